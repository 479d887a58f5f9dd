# SPDX-License-Identifier: Apache-2.0
"""Entering a user namespace: who joins whom, and what is refused."""

from __future__ import annotations

import codecs
import ctypes
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from scow.errors import DeniedError, UnsupportedError
from scow.linux import reentry
from scow.linux.idmaps import IdMap, in_user_namespace, read_map
from scow.linux.standing import SINGLE, SUBIDS, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

ORDINARY = 54321
PR_SET_DUMPABLE = 4


def standing() -> Standing:
    uid, gid = os.geteuid(), os.getegid()
    return Standing(SINGLE, "", "", (IdMap(0, uid, 1),), (IdMap(0, gid, 1),))


def as_ordinary_user(work: Callable[[], object]) -> str:
    """Call something in a child that is no root; what it returned, or the name of what it raised."""
    codecs.lookup("ascii")  # the interpreter's own files may lie where an ordinary user cannot get to
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(280)  # and so will its children, should one wait for ever
        try:
            os.setgroups([])
            os.setresgid(ORDINARY, ORDINARY, ORDINARY)
            os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # as after the exec that follows a login
            said = str(work())
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def place(tmp_path):
    """A run root that an ordinary user owns, and can get to."""
    for above in tmp_path.parents:
        if above.stat().st_uid == 0 and "pytest" in str(above):
            above.chmod(0o755)
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    os.chown(path, ORDINARY, ORDINARY)
    tmp_path.chmod(0o755)
    return str(path)


def enter(place: str) -> str:
    reentry.enter(standing(), place)
    return os.readlink("/proc/self/ns/user")


@pytest.mark.root
def test_the_own_id_becomes_root(place) -> None:
    def work() -> str:
        enter(place)
        return f"{os.getuid()} {os.getgid()} {in_user_namespace()} {read_map('/proc/self/uid_map')}"

    assert as_ordinary_user(work) == f"0 0 True {(IdMap(0, ORDINARY, 1),)}"


@pytest.mark.root
def test_root_maps_many_ids_without_helpers(place) -> None:
    maps = (IdMap(0, 0, 5000), IdMap(5000, 6000, 7))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(280)
        try:
            reentry.make(Standing(SUBIDS, "", "", maps, maps[:1]))
            os.write(writer, repr((read_map("/proc/self/uid_map"), read_map("/proc/self/gid_map"))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read() == repr((maps, maps[:1]))
    os.waitpid(pid, 0)


@pytest.mark.root
@pytest.mark.parametrize("bad", [0, 1])
def test_the_complaint_of_either_helper_is_told(place, tmp_path, bad) -> None:
    helper = tmp_path / "helper"
    helper.write_text('#!/bin/sh\necho "$2 to $3: not yours" >&2\nexit 1\n')
    helper.chmod(0o755)
    helpers = ["/bin/true", "/bin/true"]
    helpers[bad] = str(helper)
    uids, gids = (IdMap(0, ORDINARY, 1), IdMap(1, 100000, 9)), (IdMap(7, ORDINARY, 1),)

    def work() -> str:
        with pytest.raises(DeniedError) as raised:
            reentry.make(Standing(SUBIDS, "", "", uids, gids, tuple(helpers)))
        return raised.value.message

    first = (uids, gids)[bad][0].inside
    assert as_ordinary_user(work) == f"the subordinate ids cannot be used: {first} to {ORDINARY}: not yours"


@pytest.mark.root
def test_a_second_command_joins_the_first(place) -> None:
    def work() -> bool:
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(280)
            os.write(ready[1], enter(place).encode())
            os.read(done[0], 1)
            os._exit(0)
        first = os.read(ready[0], 100).decode()
        second = enter(place)
        os.write(done[1], b"x")
        return first == second

    assert as_ordinary_user(work) == "True"


@pytest.mark.root
def test_a_detached_container_is_joined_by_the_files_in_its_directory(place) -> None:
    def work() -> bool:
        os.mkdir(f"{place}/box")
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            mine = enter(place)
            if os.fork() == 0:  # the monitor, which lives on when the command has ended
                with open(f"{place}/box/conmon.pid", "w") as file:
                    file.write(str(os.getpid()))
                signal.alarm(280)
                os.write(ready[1], mine.encode())
                os.read(done[0], 1)
                os._exit(0)
            reentry.note_container(place, f"{place}/box")
            os._exit(0)
        first = os.read(ready[0], 100).decode()
        os.waitpid(pid, 0)
        second = enter(place)
        os.write(done[1], b"x")
        return first == second

    assert as_ordinary_user(work) == "True"


@pytest.mark.root
def test_a_number_used_again_by_a_stranger_is_not_joined(place) -> None:
    os.mkdir(f"{place}/box")
    with open(f"{place}/box/conmon.pid", "w") as file:
        file.write(str(os.getpid()))  # of root, in the host's namespace
    with open(f"{place}/namespace", "w") as file:
        file.write(f"garbage\n1 1\n@{place}/absent\n@{place}/box\n")
    os.chown(f"{place}/namespace", ORDINARY, ORDINARY)
    assert as_ordinary_user(lambda: enter(place)).startswith("user:")
    with open(f"{place}/namespace") as file:
        assert file.read().count("\n") == 1


@pytest.mark.root
def test_the_dead_are_forgotten_in_the_end(place) -> None:
    with open(f"{place}/namespace", "w") as file:
        file.write("".join(f"{number} 1\n" for number in range(999_999_002, 999_999_200)))
    os.chown(f"{place}/namespace", ORDINARY, ORDINARY)

    def work() -> int:
        if (pid := os.fork()) == 0:
            enter(place)
            os._exit(0)
        os.waitpid(pid, 0)
        with open(f"{place}/namespace") as file:
            return file.read().count("\n")

    assert as_ordinary_user(work) == "1"


@pytest.mark.root
def test_threads_are_told_so(place) -> None:
    def work() -> str:
        go = threading.Event()
        threading.Thread(target=go.wait, daemon=True).start()
        return enter(place)

    assert as_ordinary_user(work) == UnsupportedError.__name__


@pytest.mark.root
def test_a_directory_of_somebody_else_is_refused(place) -> None:
    os.chown(place, 0, 0)
    os.chmod(place, 0o777)
    assert as_ordinary_user(lambda: enter(place)) == DeniedError.__name__


def test_a_directory_that_others_can_write_to_is_refused(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o770)
    with pytest.raises(DeniedError):
        reentry.own_directory(str(tmp_path / "run"))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(DeniedError):
        reentry.own_directory(str(tmp_path / "link"))
    reentry.own_directory(str(tmp_path / "new/below"))
    assert (tmp_path / "new/below").stat().st_mode & 0o777 == 0o700


def members_of(path: object) -> list[str]:
    with open(f"{path}/namespace", encoding="ascii") as file:
        return file.read().splitlines()


def noted(path: object, lines: list[str]) -> None:
    with open(f"{path}/namespace", "w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_members_that_died_behind_one_that_lives_are_forgotten(tmp_path):
    """Only so many bytes are read: who lives must not come to stand behind them."""
    own = reentry.self_mark()
    noted(tmp_path, [own, *["999999999 1"] * 80_000])
    reentry.note_container(str(tmp_path), str(tmp_path / "box"))
    assert members_of(tmp_path) == [own, own, f"@{tmp_path}/box"]


def test_who_is_killed_while_the_dead_are_forgotten_leaves_the_living(tmp_path, monkeypatch):
    own = reentry.self_mark()
    noted(tmp_path, [own, *["999999999 1"] * 40])

    def killed(*_):
        raise KeyboardInterrupt

    members = reentry._Members(str(tmp_path))
    with members:
        members.dead = 40
        monkeypatch.setattr(os, "write", killed)
        monkeypatch.setattr(os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            members.add("1 1")
        monkeypatch.undo()
    assert own in members_of(tmp_path)


def test_who_waited_for_the_file_of_members_writes_into_the_one_that_is_there(tmp_path):
    own = reentry.self_mark()
    noted(tmp_path, [own])
    with reentry._Members(str(tmp_path)) as members:
        waiting = threading.Thread(target=reentry.note_container, args=(str(tmp_path), "/late"))
        waiting.start()
        members.dead = 40
        members.add("@/early")
        members.add("@/next")
    waiting.join()
    assert set(members_of(tmp_path)) == {own, "@/early", "@/next", "@/late"}
