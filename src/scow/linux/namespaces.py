# SPDX-License-Identifier: Apache-2.0
"""Namespaces of the calling thread: private mounts, entering others.

Linux keeps namespaces per thread. :func:`private_mounts` therefore gives mounts to the calling thread and to the
processes it starts, and to nobody else: a program with one thread calls it directly; inside a library,
:func:`run_private` does some work in a thread of its own, whose mounts vanish with it, however it ends.
"""

from __future__ import annotations

import errno
import os

from scow.errors import DeniedError, NotFoundError, UnavailableError, UnsupportedError
from scow.linux import kernel
from scow.linux.capabilities import may_mount
from scow.linux.mount import set_propagation
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, TypeVar

    from scow.errors import ScowError

    T = TypeVar("T")
    U = TypeVar("U")

    class Home(Protocol):
        """Calls something in the thread that waits, and gives back what it returned or raised."""

        def __call__(self, request: Callable[[], U], /) -> U: ...  # noqa: D102


CLONE_FS = 0x200
_NS_GET_USERNS = 0xB701
FLAGS = {
    "mnt": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
"""Kinds of namespace, as ``/proc/PID/ns`` calls them (time is left out: nothing here needs it)."""


def private_mounts() -> None:
    """Give the calling thread mounts of its own: it still sees what the host mounts later, the host sees nothing.

    Who may not mount at all has nothing to keep to itself: then nothing happens.

    Raises:
        UnavailableError: Too many namespaces exist.
    """
    if not may_mount():
        return
    unshare("mnt")
    set_propagation("/", "rslave")


def unshare(*kinds: str) -> None:
    """Leave namespaces for new ones.

    Args:
        kinds: Keys of :data:`FLAGS`. ``pid`` concerns the next child; ``user`` needs a program with one thread.

    Raises:
        DeniedError: The caller may not.
        UnsupportedError: The kernel cannot.
        UnavailableError: Too many namespaces exist.
    """
    flags = 0
    for kind in kinds:
        flags |= FLAGS[kind]
    try:
        kernel.unshare(flags)
    except OSError as error:
        raise _error(error, "make", kinds) from error


def enter(pid: int, *kinds: str) -> None:
    """Join namespaces of a process.

    Args:
        pid: The process.
        kinds: Keys of :data:`FLAGS`; ``user`` is joined first, ``mnt`` last, whatever the order given.

    Raises:
        NotFoundError: There is no such process.
        DeniedError: The caller may not.
        UnsupportedError: The kernel cannot.
    """
    order = sorted(kinds, key=lambda kind: (kind == "mnt", kind != "user"))
    fds: list[tuple[int, str]] = []
    try:
        for kind in order:
            fds.append((os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), kind))  # noqa: PERF401
        for fd, kind in fds:
            if kind == "mnt":
                kernel.unshare(CLONE_FS)  # a thread that shares its working directory may not change mounts
            kernel.setns(fd, FLAGS[kind])
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no process {pid}") from error
    except OSError as error:
        raise _error(error, "enter", kinds) from error
    finally:
        for fd, _ in fds:
            os.close(fd)


def run_private(work: Callable[[], T]) -> T:
    """Call something in a thread with mounts of its own, and take its result.

    What it mounts disappears when it returns or raises; processes it leaves behind and files it leaves open keep
    their view. File descriptors and memory are shared with the caller as usual.

    Args:
        work: What to call.

    Returns:
        What it returned; what it raised is raised.

    Raises:
        DeniedError: The caller may not have private mounts.
    """
    return _run_elsewhere(private_mounts, lambda _home: work())


def run_inside(pid: int, kinds: Sequence[str], work: Callable[[], T]) -> T:
    """Call something in a thread that has joined namespaces of a process.

    Args:
        pid: The process.
        kinds: As for :func:`enter`, without ``user`` and ``pid``.
        work: What to call.

    Returns:
        What it returned; what it raised is raised.

    Raises:
        NotFoundError: There is no such process.
        DeniedError: The caller may not.
    """
    return _run_elsewhere(lambda: enter(pid, *kinds), lambda _home: work())


def run_new(kind: str, work: Callable[[], T]) -> T:
    """Call something in a thread with a new namespace, which lives on as long as something in it or a descriptor.

    Args:
        kind: A key of :data:`FLAGS`, such as ``net``.
        work: What to call.

    Returns:
        What it returned; what it raised is raised.

    Raises:
        DeniedError: The caller may not.
    """
    return _run_elsewhere(lambda: unshare(kind), lambda _home: work())


def run_in(fd: int, kind: str, work: Callable[[Home], T]) -> T:
    """Call something in a thread that has joined a namespace, with a way to have something done where the caller is.

    Args:
        fd: Descriptor of the namespace.
        kind: Which it is, a key of :data:`FLAGS`.
        work: What to call; it gets a function that calls another one in the caller's thread.

    Returns:
        What it returned; what it raised is raised.

    Raises:
        DeniedError: The caller may not.
    """

    def prepare() -> None:
        try:
            kernel.setns(fd, FLAGS[kind])
        except OSError as error:
            raise _error(error, "enter", (kind,)) from error

    return _run_elsewhere(prepare, work)


def owns(kind: str) -> bool:
    """Whether a namespace of this thread belongs to its user namespace, so that it may be changed.

    Args:
        kind: A key of :data:`FLAGS`, such as ``net``.

    Source: ioctl_ns(2), NS_GET_USERNS.
    """
    import fcntl

    fd = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(fd, _NS_GET_USERNS)
    except OSError as error:
        if error.errno == errno.EPERM:  # it belongs to one further out
            return False
        raise
    finally:
        os.close(fd)
    try:
        return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino
    finally:
        os.close(owner)


def _run_elsewhere(prepare: Callable[[], None], work: Callable[[Home], T]) -> T:
    """Call something in a thread that has gone somewhere, and meanwhile do here what it asks for."""
    import threading
    from _queue import SimpleQueue

    wishes: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
    results: list[T] = []
    errors: list[BaseException] = []

    def home(request: Callable[[], U]) -> U:
        answers: SimpleQueue[tuple[list[U], BaseException | None]] = SimpleQueue()

        def do() -> None:
            try:
                answers.put(([request()], None))
            except BaseException as error:
                answers.put(([], error))

        wishes.put(do)
        found, failure = answers.get()
        if failure is not None:
            raise failure
        return found[0]

    def body() -> None:
        try:
            prepare()
            results.append(work(home))
        except BaseException as error:
            errors.append(error)
        finally:
            wishes.put(None)

    thread = threading.Thread(target=body, name="elsewhere")
    thread.start()
    while (wish := wishes.get()) is not None:
        wish()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _error(error: OSError, verb: str, kinds: Sequence[str]) -> ScowError:
    what = f"cannot {verb} {' and '.join(kinds)} namespaces: {os.strerror(error.errno or 0)}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return DeniedError(what, hint="this needs root (CAP_SYS_ADMIN)")
    if error.errno in (errno.ENOSPC, errno.EUSERS, errno.ENOMEM):
        return UnavailableError(what, hint="see /proc/sys/user/max_*_namespaces")
    return UnsupportedError(what)
