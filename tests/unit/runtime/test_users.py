# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.runtime.users import Identity, UserNotFoundError, resolve

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n# comment\nbad line\nbob:x:1000:1001::/home/bob:/bin/sh\n12:x:77:78::/n:\n"
GROUP = b"root:x:0:\nbob:x:1001:\nstaff:x:50:bob,root\n\nwheel:x:99999999999:bob\n"


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("", Identity(0, 0, (50,), "/root")),
        ("root", Identity(0, 0, (50,), "/root")),
        ("bob", Identity(1000, 1001, (50,), "/home/bob")),
        ("1000", Identity(1000, 1001, (50,), "/home/bob")),
        ("4242", Identity(4242, 0, (), "/")),
        ("bob:staff", Identity(1000, 50, (), "/home/bob")),
        ("bob:7", Identity(1000, 7, (), "/home/bob")),
        ("5:6", Identity(5, 6, (), "/")),
        ("+5:6:7", Identity(5, 6, (), "/")),
        ("12", Identity(77, 78, (), "/n")),
    ],
)
def test_who_a_text_means(text, identity):
    assert resolve(text, PASSWD, GROUP) == identity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eve", "unable to find user eve: no matching entries in passwd file"),
        ("bob:nosuch", "unable to find group nosuch: no matching entries in group file"),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_a_name_without_an_entry_is_refused(text, message):
    with pytest.raises(UserNotFoundError, match=message):
        resolve(text, PASSWD, GROUP)


def test_without_files_only_numbers_have_a_meaning():
    assert resolve("", b"", b"") == Identity(0, 0, (), "/")
    assert resolve("7:8", b"", b"") == Identity(7, 8, (), "/")


def test_more_groups():
    assert resolve("bob", PASSWD, GROUP, ["staff", "9"]).groups == (50, 9)


def test_an_entry_with_a_number_out_of_range_does_not_count():
    assert resolve("root", b"root:x:99999999999:0::/:\nroot:x:5:5::/five:\n", b"") == Identity(5, 5, (), "/five")


@given(st.text(max_size=20), st.binary(max_size=200), st.binary(max_size=200))
def test_hostile_files_give_an_identity_or_a_clear_refusal(text, passwd, group):
    try:
        found = resolve(text, passwd, group)
    except UserNotFoundError:
        return
    assert 0 <= found.uid < 1 << 31
    assert 0 <= found.gid < 1 << 31
