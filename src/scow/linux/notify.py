# SPDX-License-Identifier: Apache-2.0
"""System calls that another process answers: the kernel's seccomp notifications, and the caller's memory.

The process whose filter says ``SECCOMP_RET_USER_NOTIF`` waits inside its call until the holder of the listener has
answered. What is read from its memory may be changed by its other threads at any time, so a decision is only ever
made on what was read, once; and the caller may have died and its number been given to another, so :meth:`alive` is
asked after its memory and its files were opened and before anything is done with them.

Source: seccomp_unotify(2); kernel, include/uapi/linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import threading

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self

_RECV, _SEND, _ID_VALID, _ADDFD, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103, 0x40082104
_SYNC_WAKE_UP, _CONTINUE, _ADDFD_SEND = 1, 1, 2
_REQUEST = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_GIVE = struct.Struct("=QIIII")
_NUMBER = struct.Struct("=Q")
_EMPTY = bytes(_REQUEST.size)
_PAGE = 4096
_PATH_MAX = 4096


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.process_vm_readv.restype = ctypes.c_ssize_t
_LIBC.process_vm_writev.restype = ctypes.c_ssize_t


class Call(NamedTuple):
    """One system call that waits for its answer.

    Attributes:
        id: Names it to the listener.
        pid: The calling thread, as this process numbers it.
        number: Of the call, as its architecture has it.
        architecture: ``AUDIT_ARCH_*``.
        args: Its six arguments.
    """

    id: int
    pid: int
    number: int
    architecture: int
    args: tuple[int, ...]


class Listener:
    """The answering end of a filter; closed by :meth:`close` or a ``with`` block.

    Args:
        fd: From the kernel or, over a socket, from the OCI runtime; owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._request = bytearray(_REQUEST.size)
        self._reply = bytearray(_ANSWER.size)
        try:
            # Caller and answerer take turns: the kernel need not look for another processor (Linux 6.6).
            fcntl.ioctl(fd, _SET_FLAGS, _SYNC_WAKE_UP)
        except OSError:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; calls that wait fail with ENOSYS from now on."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def receive(self) -> Call | None:
        """Take the next waiting call; call it when the descriptor is readable.

        Returns:
            The call, or ``None`` when its caller was killed meanwhile.

        Raises:
            OSError: The listener is of no use any more.
        """
        self._request[:] = _EMPTY
        try:
            fcntl.ioctl(self.fd, _RECV, self._request)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        found = _REQUEST.unpack(self._request)
        return Call(found[0], found[1], found[3], found[4], found[6:])

    def alive(self, call: Call) -> bool:
        """Whether the call still waits, so that its ``pid`` is still that of the caller."""
        try:
            fcntl.ioctl(self.fd, _ID_VALID, _NUMBER.pack(call.id))
        except OSError:
            return False
        return True

    def answer(self, call: Call, value: int = 0, error: int = 0) -> None:
        """Let the call return without the kernel having done anything.

        Args:
            call: The call.
            value: What it returns.
            error: An errno instead, when not 0.
        """
        self._send(call.id, 0 if error else value, -error, 0)

    def carry_on(self, call: Call) -> None:
        """Let the kernel do the call as if nobody had asked."""
        self._send(call.id, 0, 0, _CONTINUE)

    def give(self, call: Call, fd: int, *, close_on_exec: bool) -> None:
        """Let the call return a new descriptor of the caller's, for a file that is open here.

        Args:
            call: The call.
            fd: The file; not closed.
            close_on_exec: Of the new descriptor.
        """
        flags = os.O_CLOEXEC if close_on_exec else 0
        try:
            fcntl.ioctl(self.fd, _ADDFD, bytearray(_GIVE.pack(call.id, _ADDFD_SEND, fd, 0, flags)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.answer(call, error=error.errno or errno.EIO)

    def _send(self, identity: int, value: int, number: int, flags: int) -> None:
        _ANSWER.pack_into(self._reply, 0, identity, value, number, flags)
        try:
            fcntl.ioctl(self.fd, _SEND, self._reply)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINPROGRESS):  # the caller was killed
                raise


class _Mover:
    """A buffer, and the description of moving bytes between it and another process, made once."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_PAGE)
        self._here, self._there = _Vector(ctypes.addressof(self.buffer), 0), _Vector(0, 0)
        self._arguments = ctypes.byref(self._here), _ONE, ctypes.byref(self._there), _ONE, _NONE

    def move(self, function: ctypes._NamedFuncPointer, pid: int, address: int, size: int) -> int:
        """Move bytes.

        Raises:
            OSError: None could be.
        """
        self._here.length = self._there.length = size
        self._there.base = address
        done: int = function(pid, *self._arguments)
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return done


_ONE, _NONE = ctypes.c_ulong(1), ctypes.c_ulong(0)
_MOVERS = threading.local()


def _mover() -> _Mover:
    """This thread's own."""
    mover: _Mover | None = getattr(_MOVERS, "mine", None)
    if mover is None:
        mover = _MOVERS.mine = _Mover()
    return mover


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Read from a process.

    Args:
        pid: The process or thread.
        address: Where in its memory.
        size: How many bytes.

    Returns:
        Those that are readable there, from the first on.

    Raises:
        OSError: ``EFAULT`` when none is, ``ESRCH``, ``EPERM``.
    """
    mover = _mover()
    data = b""
    while len(data) < size:
        step = min(size - len(data), _PAGE)
        done = mover.move(_LIBC.process_vm_readv, pid, address + len(data), step)
        data += ctypes.string_at(mover.buffer, done)
        if done < step:
            break
    return data


def read_string(pid: int, address: int, limit: int = _PATH_MAX) -> bytes:
    """Read text that ends with a zero byte.

    Raises:
        OSError: As :func:`read_memory`; ``ENAMETOOLONG`` when it does not end.
    """
    mover = _mover()
    text = b""
    while len(text) < limit:
        # A page at most, for what follows the text need not be mapped; most texts are short.
        step = min(_PAGE - (address & (_PAGE - 1)), limit - len(text), _PAGE if text else 256)
        done = mover.move(_LIBC.process_vm_readv, pid, address, step)
        part = ctypes.string_at(mover.buffer, done)
        end = part.find(b"\0")
        if end >= 0:
            return text + part[:end]
        text += part
        address += done
    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def write_memory(pid: int, address: int, data: bytes) -> None:
    """Write into a process.

    Raises:
        OSError: As :func:`read_memory`.
    """
    mover = _mover()
    done = 0
    while done < len(data):
        part = data[done : done + _PAGE]
        ctypes.memmove(mover.buffer, part, len(part))
        if mover.move(_LIBC.process_vm_writev, pid, address + done, len(part)) != len(part):
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        done += len(part)
