# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat

import pytest

from scow.build.modes import parse_mode
from scow.errors import InvalidArgumentError

FILE, DIRECTORY = stat.S_IFREG, stat.S_IFDIR


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", FILE | 0o644, FILE | 0o755),
        ("0", FILE | 0o644, FILE),
        ("4755", FILE | 0o644, FILE | 0o4755),
        ("u+x", FILE | 0o644, FILE | 0o744),
        ("+x", FILE | 0o644, FILE | 0o755),
        ("a-w", FILE | 0o666, FILE | 0o444),
        ("go=", FILE | 0o777, FILE | 0o700),
        ("u=rwX,go=rX", FILE | 0o600, FILE | 0o644),
        ("u=rwX,go=rX", FILE | 0o700, FILE | 0o755),
        ("u=rwX,go=rX", DIRECTORY | 0o700, DIRECTORY | 0o755),
        ("g=u", FILE | 0o640, FILE | 0o660),
        ("o=g", FILE | 0o640, FILE | 0o644),
        ("u+s", FILE | 0o755, FILE | 0o4755),
        ("g+s", DIRECTORY | 0o755, DIRECTORY | 0o2755),
        ("+t", DIRECTORY | 0o777, DIRECTORY | 0o1777),
        ("u=rw", FILE | 0o4755, FILE | 0o655),
        ("u=rwx", DIRECTORY | 0o2755, DIRECTORY | 0o2755),
        ("u+x-w", FILE | 0o644, FILE | 0o544),
        ("g=rx", DIRECTORY | 0o2755, DIRECTORY | 0o755),
        ("a-x,+X", FILE | 0o755, FILE | 0o755),
        ("u+x,go+X", FILE | 0o644, FILE | 0o744),
        ("-X", FILE | 0o755, FILE | 0o644),
        ("=", FILE | 0o7755, FILE | 0o1000),
        ("a=,u=rX", FILE | 0o100, FILE | 0o500),
        ("go=u-w", FILE | 0o700, FILE | 0o755),
        ("g=ur", FILE | 0o210, FILE | 0o240),
        ("o=u", FILE | 0o4751, FILE | 0o4757),
        ("go-u", FILE | 0o567, FILE | 0o522),
        ("g=", FILE | 0o2775, FILE | 0o705),
        ("+s", FILE | 0o755, FILE | 0o6755),
        ("o+st", FILE | 0o755, FILE | 0o755),
        ("u+t", FILE | 0o755, FILE | 0o1755),
        ("+xt", FILE | 0o644, FILE | 0o1644),
        ("=t", FILE | 0o644, FILE | 0o1644),
        ("u+xt", FILE | 0o644, FILE | 0o1744),
        ("+", FILE | 0o644, FILE | 0o644),
    ],
)
def test_apply(text, before, after):
    assert oct(parse_mode(text).apply(before)) == oct(after)


@pytest.mark.parametrize("text", ["", "8", "10000", "-1", "u+q", "x", "u", "rwx", "u+x,", "0o755", "+9"])
def test_refusals(text):
    with pytest.raises(InvalidArgumentError, match="invalid chmod"):
        parse_mode(text)
