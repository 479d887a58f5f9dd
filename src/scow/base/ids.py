# SPDX-License-Identifier: Apache-2.0
"""Random identities: 64 hexadecimal digits as docker's, and names a person can say."""

from __future__ import annotations

import os

SHORT = 12

_QUALITIES = (
    "able amber ample apt avid bold brave breezy brisk bright calm candid careful cheery civil clear clever "
    "cosy crisp curious daring deft eager early earnest even fair fleet fond frank fresh gentle glad golden "
    "grand handy happy hardy hearty honest jolly keen kind lively lucid lucky mellow merry mild modest neat "
    "nimble noble patient placid plucky polite proud quick quiet ready robust rosy serene sharp silent smart "
    "snug sober spry steady sturdy sunny swift tidy trusty upbeat valiant vivid warm wise witty zesty"
)
_PEOPLE = (
    "abel ampere archimedes babbage bell bernoulli bohr boole borg bose cantor carson cerf chandra cori curie "
    "darwin dirac edison einstein elion euclid euler faraday fermat fermi feynman fourier franklin galileo "
    "galois gauss germain goodall hamilton hertz hilbert hodgkin hopper hubble huygens hypatia joule kare "
    "kepler knuth lamarr lamport leavitt leibniz liskov lovelace maxwell meitner mendel mirzakhani morse nash "
    "newton nobel noether ohm pascal pasteur pauling planck poincare ramanujan riemann ritchie sagan shannon "
    "sinoussi tesla thompson torvalds turing volta watt wiles wu yalow"
)


def random_id() -> str:
    """Make a new identity.

    Returns:
        64 hexadecimal digits, the first twelve not all decimal, so that a short id is never taken for a number.
    """
    while True:
        value = os.urandom(32).hex()
        if not value[:SHORT].isdecimal():
            return value


def short(identity: str) -> str:
    """Cut an id or a digest to the twelve digits docker shows.

    Args:
        identity: 64 hexadecimal digits, or ``sha256:`` and them.

    Returns:
        The first twelve digits, without the algorithm.
    """
    return identity.rpartition(":")[2][:SHORT]


def friendly_name(attempt: int = 0) -> str:
    """Make up a name for a container.

    Args:
        attempt: How many names were taken already; from the first retry on a digit is added.

    Returns:
        A quality and a person, such as ``calm_noether``.
    """
    first, second, third = os.urandom(3)
    qualities, people = _QUALITIES.split(), _PEOPLE.split()
    name = f"{qualities[first % len(qualities)]}_{people[second % len(people)]}"
    return f"{name}{third % 10}" if attempt else name
