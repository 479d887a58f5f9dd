# SPDX-License-Identifier: Apache-2.0
"""Devices that a build step makes where ids are real: the kernel makes none for users, so they are written down.

Steps seldom make devices, so nobody waits for it but a thread that holds the filter's listener: the process that
answers, with this module's :func:`main`, is started by the first question. It ends with the step's processes.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import threading

from scow.errors import ScowError, UnavailableError
from scow.linux import owners, process
from scow.linux.notify import Listener, read_string
from scow.runtime.oneid.answerer import program, remove_socket, socket_path
from scow.runtime.oneid.calls import abis, asking_devices
from scow.runtime.oneid.credentials import DAC_OVERRIDE, MKNOD
from scow.runtime.oneid.looking import signed
from scow.runtime.oneid.place import AT_FDCWD, Place, at, number_of
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

    from scow.linux.notify import Call

_LISTENER = 3


class Devices:
    """Lets the devices of one step be made; for the length of a ``with`` block.

    Args:
        document: The step's ``config.json``; its filter is changed in place.
        run_root: A directory of this user's for what a reboot may lose.

    Raises:
        UnavailableError: The socket cannot be made.
    """

    def __init__(self, document: dict[str, Any], run_root: str) -> None:
        import socket

        machine = os.uname().machine
        self._thread: threading.Thread | None = None
        if not abis(machine):
            return
        self._path = socket_path(run_root)
        document["linux"]["seccomp"] = asking_devices(document["linux"].get("seccomp"), machine, self._path)
        self._stop_reader, self._stop = os.pipe2(os.O_CLOEXEC)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._door.bind(self._path)
            self._door.listen(1)
        except OSError as error:
            self._close()
            raise UnavailableError(f"cannot listen at {self._path!r}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._wait, name="devices", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            os.write(self._stop, b"x")
            self._thread.join()
            self._close()

    def _close(self) -> None:
        self._door.close()
        os.close(self._stop_reader)
        os.close(self._stop)
        remove_socket(self._path)

    def _wait(self) -> None:
        try:
            self._attend()
        except (OSError, ScowError):
            return  # the step's calls fail

    def _attend(self) -> None:
        import socket

        if not self._comes(self._door.fileno()):
            return
        with self._door.accept()[0] as runtime:
            _, fds, _, _ = socket.recv_fds(runtime, 1 << 20, 1)
        if not fds:
            return
        pid = -1
        try:
            if self._comes(fds[0]):
                pid = process.spawn(program("devices"), keep={_LISTENER: fds[0]}, session=True)
        finally:
            os.close(fds[0])
        if pid > 0:
            process.wait_status(pid)

    def _comes(self, fd: int) -> bool:
        """Wait for something to read; false when the step has ended instead."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._stop_reader, select.POLLIN)
        ready = dict(poll.poll())
        return bool(ready.get(fd, 0) & select.POLLIN) and self._stop_reader not in ready


class Maker:
    """Answers ``mknod``.

    Args:
        machine: As ``os.uname().machine``.
    """

    def __init__(self, machine: str) -> None:
        self._place = Place()
        self._own = os.stat("self/ns/user")
        self._calls = {
            (abi.audit, abi.calls[name]): name
            for abi in abis(machine)
            for name in ("mknod", "mknodat")
            if name in abi.calls
        }

    def answer(self, listener: Listener, call: Call) -> None:
        """Answer one call.

        Raises:
            OSError: The listener is of no use any more.
        """
        name = self._calls.get((call.architecture, call.number))
        self._place.listener = listener
        try:
            if name == "mknod":
                self._make(call, AT_FDCWD, *call.args[:3])
            elif name == "mknodat":
                self._make(call, signed(call.args[0]), *call.args[1:4])
            else:
                listener.carry_on(call)
                return
        except OSError as error:
            listener.answer(call, error=error.errno or errno.EIO)
            return
        listener.answer(call)

    def _make(self, call: Call, dir_fd: int, path: int, mode: int, device: int) -> None:
        kind, device = stat.S_IFMT(mode), device & 0xFFFFFFFF
        gid, umask = self._asker(call.pid)
        if kind not in {stat.S_IFCHR, stat.S_IFBLK} or (kind == stat.S_IFCHR and not device):
            raise OSError(errno.EPERM, "")  # as overlayfs, to which 0:0 means a removed file
        self._place.mixed = True
        parent, name = self._place.find_parent(call, dir_fd, read_string(call.pid, path))
        try:
            where = b"%s/%s" % (at(parent), name)
            os.mknod(where, stat.S_IFREG | mode & 0o7777 & ~umask)
            inherits = os.fstat(parent).st_mode & stat.S_ISGID
            if gid and not inherits:
                os.chown(where, -1, gid, follow_symlinks=False)
            made = os.lstat(where)
            record = owners.Owner(made.st_uid, made.st_gid, kind, device)
            os.setxattr(where, owners.NAME, record.encode(), follow_symlinks=False)
        finally:
            os.close(parent)

    def _asker(self, pid: int) -> tuple[int, int]:
        """The group of files and the mask of who asks; only root of the step itself may, with its usual power.

        Raises:
            OSError: Somebody else asks.
        """
        status = self._place.status(pid)
        wanted = 1 << MKNOD | 1 << DAC_OVERRIDE
        there = os.stat(b"%d/ns/user" % pid)
        whole = number_of(status, b"CapEff", 16) & wanted == wanted
        if not whole or _files(status, b"Uid") or (there.st_dev, there.st_ino) != (self._own.st_dev, self._own.st_ino):
            raise OSError(errno.EPERM, "")
        return _files(status, b"Gid"), number_of(status, b"Umask", 8)


def _files(status: bytes, name: bytes) -> int:
    """The last of four ids in a ``status``: the one that reaches files."""
    return int(status.partition(b"\n" + name + b":")[2].split(maxsplit=4)[3])


def main() -> None:
    """Answer for the step whose listener is descriptor 3, until nobody can ask any more."""
    os.umask(0)
    maker = Maker(os.uname().machine)
    # From here on modules would be looked for among the step's files.
    sys.path.clear()
    sys.meta_path.clear()
    poll = select.poll()
    with Listener(_LISTENER) as listener:
        poll.register(listener.fd, select.POLLIN)
        while poll.poll()[0][1] & select.POLLIN:
            try:
                call = listener.receive()
                if call is not None:
                    maker.answer(listener, call)
            except OSError as error:
                if error.errno != errno.ENOENT:  # who asked was killed
                    return
