# SPDX-License-Identifier: Apache-2.0
"""The kernel's rules on changing ids, by themselves and beside the kernel."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import random
from typing import TYPE_CHECKING

import pytest

from scow.runtime.oneid.credentials import CHOWN, KEEP, SETUID, Ids, all_of, of
from scow.runtime.oneid.identities import FIRST, Identities

if TYPE_CHECKING:
    from scow.runtime.oneid.credentials import Credentials

EVERYTHING = (1 << 41) - 1


def test_root_becomes_anybody_and_cannot_go_back():
    who = of(0, 0, bounding=EVERYTHING)
    new = who.with_users(who.users.set(42, powerful=who.may(SETUID)))
    assert new.users == all_of(42)
    assert not new.may(SETUID)
    assert new.users.set(0, powerful=new.may(SETUID)) is None


def test_root_that_saved_itself_goes_back():
    who = of(0, 0, bounding=EVERYTHING)
    away = who.with_users(who.users.set_three(KEEP, 42, KEEP, powerful=True))
    assert not away.may(CHOWN)
    back = away.with_users(away.users.set(0, powerful=away.may(SETUID)))
    assert back.users.effective == 0
    assert back.may(CHOWN)


def test_capabilities_are_kept_on_demand_and_taken_again():
    who = of(0, 0, bounding=EVERYTHING)._replace(keeps=True)
    new = who.with_users(all_of(6))
    assert (new.permitted, new.effective) == (EVERYTHING, 0)


def test_files_of_another_user_take_the_rights_on_files_away():
    who = of(0, 0, bounding=EVERYTHING)
    new = who.with_files(who.users.set_files(5, powerful=True))
    assert not new.may(CHOWN)
    assert new.may(SETUID)
    assert new.with_files(new.users.set_files(0, powerful=True)) == who


def test_programs_with_set_id_bits():
    who = of(1000, 1000, (4,), bounding=EVERYTHING)
    assert who.executed(None, None, EVERYTHING) == who
    root = who.executed(0, None, EVERYTHING)
    assert root.users == Ids(1000, 0, 0, 0)
    assert root.may(SETUID)
    assert who.executed(None, 8, EVERYTHING).groups == Ids(1000, 8, 8, 8)
    assert who.executed(7, None, EVERYTHING).effective == 0


def test_groups_for_files():
    who = of(5, 6, (7, 8))
    assert [who.in_group(gid) for gid in (5, 6, 7, 8, 9)] == [False, True, True, True, False]


# ------------------------------------------------------------------ beside the kernel


def ours(who: Credentials, name: str, values: tuple[int, ...]) -> Credentials | None:
    given = [value & KEEP for value in values]
    powerful = who.may(SETUID)
    if name == "setuid":
        new = who.users.set(given[0], powerful=powerful)
    elif name == "setreuid":
        new = who.users.set_two(*given, powerful=powerful)
    elif name == "setresuid":
        new = who.users.set_three(*given, powerful=powerful)
    else:
        return who.with_files(who.users.set_files(given[0], powerful=powerful))
    return None if new is None else who.with_users(new)


def kernels(steps: list[tuple[str, tuple[int, ...]]]) -> tuple[list[bool], tuple[int, ...], int, int]:
    """What a real process becomes: successes, its four user ids, effective and permitted capabilities."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            numbers = {"setuid": 105, "setreuid": 113, "setresuid": 117, "setfsuid": 122}
            done = [
                libc.syscall(numbers[name], *(ctypes.c_long(value & KEEP) for value in values)) >= 0
                for name, values in steps
            ]
            # Without a codec: it may be a module that this user cannot read.
            status = os.read(os.open("/proc/thread-self/status", os.O_RDONLY), 16384)
            lines = dict(line.split(b":", 1) for line in status.splitlines())
            ids = tuple(map(int, lines[b"Uid"].split()))
            caps = [int(lines[key], 16) for key in (b"CapEff", b"CapPrm")]
            os.write(writer, repr((done, ids, *caps)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 4096)
    os.close(reader)
    os.waitpid(pid, 0)
    import ast

    return ast.literal_eval(said.decode())


@pytest.mark.root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of calls")
def test_sequences_of_two_calls_end_as_with_the_kernel():
    values = (-1, 0, 5, 9)
    singles = [("setuid", (v,)) for v in values[1:]] + [("setfsuid", (v,)) for v in values]
    pairs = [("setreuid", pair) for pair in itertools.product(values, repeat=2)]
    triples = [
        ("setresuid", triple) for triple in ((5, 9, 0), (-1, 5, -1), (5, 5, 5), (9, -1, 5), (0, 9, 9), (-1, 0, 0))
    ]
    everything = singles + pairs + triples
    _, _, effective, permitted = kernels([])
    assert effective == permitted
    everything = [*itertools.product(everything, repeat=2)]
    for steps in random.Random(6).sample(everything, 300):
        who = of(0, 0, bounding=permitted)
        successes = []
        for name, given in steps:
            new = ours(who, name, given)
            successes.append(new is not None)
            who = new or who
        found = kernels(list(steps))
        assert (successes, tuple(who.users), who.effective, who.permitted) == found, steps


def test_groups_are_kept_in_the_kernels_order():
    assert of(5, 6, (50, 7, 1234)).supplementary == (7, 50, 1234)


def test_a_program_that_makes_up_identities_cannot_fill_the_memory():
    known = Identities(of(0, 0, bounding=EVERYTHING), EVERYTHING, lambda _pid: b"")
    groups = tuple(range(65536))
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        for number in range(100):
            known.limit(of(number, 0, groups[number:], EVERYTHING))
    assert known.limit(of(0, 0, groups, EVERYTHING)) == known.limit(of(0, 0, groups, EVERYTHING))
    assert known.limit(of(7, 7, (), EVERYTHING)) > FIRST
