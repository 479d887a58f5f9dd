# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.linux import capabilities
from scow.linux.capabilities import ALL, DEFAULT, last_known, resolve


def test_dockers_default_set():
    mask = sum(1 << ALL.index(name) for name in DEFAULT)
    assert mask == 0xA80425FB  # CapEff of a process in a docker container
    assert resolve() == DEFAULT


@pytest.mark.parametrize(
    ("added", "dropped", "expected"),
    [
        (("net_admin",), (), {*DEFAULT, "CAP_NET_ADMIN"}),
        (("CAP_NET_ADMIN",), ("ALL",), {"CAP_NET_ADMIN"}),
        ((), ("ALL",), set()),
        ((), ("chown", "CAP_KILL"), {*DEFAULT} - {"CAP_CHOWN", "CAP_KILL"}),
        (("ALL",), (), {*ALL}),
        (("all",), ("SYS_ADMIN",), {*ALL} - {"CAP_SYS_ADMIN"}),
        (("chown",), (), {*DEFAULT}),
    ],
)
def test_adding_and_dropping(added, dropped, expected):
    assert set(resolve(added, dropped)) == expected


@pytest.fixture(autouse=True)
def passable(monkeypatch):
    monkeypatch.setattr(capabilities, "_passable", lambda known: known)


def test_what_this_process_has_not_cannot_be_passed_on(monkeypatch, tmp_path):
    monkeypatch.undo()
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapBnd:\t0000000000000005\n")
    real = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *rest, **named: real(status if path == "/proc/thread-self/status" else path, *rest, **named),
    )
    assert resolve(privileged=True) == (ALL[0], ALL[2])
    assert resolve(("ALL",), ("CHOWN",)) == (ALL[2],)
    assert resolve() == resolve((), ())


def test_privileged_means_everything_the_kernel_knows():
    assert resolve((), ("ALL",), privileged=True, last=36) == ALL[:37]
    assert "CAP_BPF" not in resolve(("ALL",), (), last=36)


def test_what_this_process_holds():
    with open("/proc/self/status") as file:
        mask = int(next(line.split()[1] for line in file if line.startswith("CapEff:")), 16)
    for number, name in enumerate(ALL[: last_known() + 1]):
        assert capabilities.holds(name.removeprefix("CAP_")) == bool(mask >> number & 1)
    assert capabilities.may_mount() == bool(mask >> 21 & 1)
    assert capabilities.is_whole_root() == (mask >> 21 & 1 == mask >> 12 & 1 == 1)


def test_nothing_is_held_where_it_cannot_be_read(monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr("builtins.open", refuse)
    assert not capabilities.may_mount()


def test_no_such_capability():
    with pytest.raises(InvalidArgumentError, match="invalid capability: 'FLY'"):
        resolve(("FLY",))


def test_the_kernels_last_one_is_known():
    assert 30 <= last_known() < len(ALL)
