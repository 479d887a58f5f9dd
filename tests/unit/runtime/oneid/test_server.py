# SPDX-License-Identifier: Apache-2.0
"""The answering process asked by somebody hostile: it survives, and touches nothing outside of the caller's root."""

from __future__ import annotations

import ctypes
import os
import random
import time

import pytest

from scow.linux.notify import Call
from scow.runtime.oneid.calls import abis
from scow.runtime.oneid.server import Answers, Heard

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not abis(os.uname().machine), reason="nobody can be asked on this processor"),
]
PATHS = [
    b"",
    b"/",
    b".",
    b"..",
    b"/file",
    b"file",
    b"/d/e",
    b"/d/../../../../etc/passwd",
    b"/out/etc/passwd",
    b"/abs/etc/passwd",
    b"/loop",
    b"/proc/1/root/etc/passwd",
    b"/proc/self/fd/0",
    b"/dev/fd/999",
    b"/dev/stdout",
    b"x" * 300,
    b"/" + b"y/" * 2000,
    b"\xff\xfe\x01",
    b"/new1",
    b"/d/new2",
    b"/d/new3/",
]


class Silent:
    """A listener that remembers answers and whose callers never die."""

    def __init__(self) -> None:
        self.errors: list[int] = []
        self.carried = self.given = 0

    def alive(self, call: Call) -> bool:
        return True

    def answer(self, call: Call, value: int = 0, error: int = 0) -> None:
        self.errors.append(error)

    def carry_on(self, call: Call) -> None:
        self.carried += 1

    def give(self, call: Call, fd: int, *, close_on_exec: bool) -> None:
        self.given += 1


def marked(top: str) -> dict[str, tuple[object, ...]]:
    """Everything below a directory, as exactly as can be told."""
    found: dict[str, tuple[object, ...]] = {}
    for path, directories, files in os.walk(top):
        for name in [*directories, *files, "."]:
            full = os.path.join(path, name)
            info = os.lstat(full)
            names = tuple(os.listxattr(full, follow_symlinks=False))
            found[full] = (info.st_mode, info.st_uid, info.st_mtime_ns, info.st_ctime_ns, names)
    return found


def child(work) -> int:  # type: ignore[no-untyped-def]
    """Call something in a child; returns its process id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ask(caller: int, addresses: list[int], seed: int, who: tuple[int, int]) -> None:
    """Ask everything there is, with all kinds of arguments."""
    config = {"uid": who[0], "gid": who[1], "groups": [], "capabilities": ["CAP_CHOWN", "CAP_MKNOD", "CAP_SETUID"]}
    answers = Answers(config, os.uname().machine)
    heard = Heard(Silent())  # type: ignore[arg-type]
    heard.fresh = False
    chance = random.Random(seed)
    numbers = [
        0,
        1,
        2,
        5,
        0o644,
        0o100,
        0o2000000,
        0x100,
        0x1000,
        0xFFFFFF9C,
        (1 << 32) - 1,
        (1 << 63),
        (1 << 64) - 1,
        7,
    ]
    for abi in abis(os.uname().machine):
        for name, number in abi.calls.items():
            for _ in range(60):
                arguments = tuple(chance.choice(addresses if chance.random() < 0.5 else numbers) for _ in range(6))
                heard.listener.errors.clear()  # type: ignore[attr-defined]
                answers.answer(heard, Call(1, caller, number, abi.audit, arguments))
                assert all(error >= 0 for error in heard.listener.errors), name  # type: ignore[attr-defined]


@pytest.mark.parametrize("who", [(0, 0), (33, 44)])
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_asked_nothing_outside_of_the_root_is_touched(tmp_path, who, seed) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "etc").mkdir(parents=True)
    (outside / "etc" / "passwd").write_text("host's")
    for name in ("d/e", "proc", "etc"):
        (root / name).mkdir(parents=True)
    (root / "file").write_text("mine")
    (root / "out").symlink_to("../../../../../../../../.." + str(outside))
    (root / "abs").symlink_to(str(outside))
    (root / "loop").symlink_to("loop")
    before = marked(str(outside))
    buffers = [ctypes.create_string_buffer(path + b"\0", 8192) for path in PATHS]
    addresses = [ctypes.addressof(buffer) for buffer in buffers]

    def caller() -> None:
        os.chroot(root)
        os.chdir("/d")
        time.sleep(1000)

    asked = child(caller)
    try:
        while os.readlink(f"/proc/{asked}/cwd") != str(root / "d"):
            time.sleep(0.01)
        asker = child(lambda: ask(asked, addresses, seed, who))
        assert os.waitstatus_to_exitcode(os.waitpid(asker, 0)[1]) == 0
    finally:
        os.kill(asked, 9)
        os.waitpid(asked, 0)
    assert marked(str(outside)) == before
    assert len(marked(str(root))) > 8, "something was made inside"
