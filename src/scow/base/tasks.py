# SPDX-License-Identifier: Apache-2.0
"""Structured concurrency on threads.

No thread outlives its ``with`` block; the first failure cancels the siblings; every failure is reported. Long work
calls ``check`` between chunks, which raises when the group is cancelled.
"""

from __future__ import annotations

import threading
from collections import deque

from scow.errors import CancelledError, UnavailableError
from scow.typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

P = ParamSpec("P")
R = TypeVar("R")


def no_thread() -> UnavailableError:
    """What to raise where no thread can be started; Python itself says it with a bare RuntimeError."""
    return UnavailableError(
        "the system does not let this process start a thread",
        hint="Raise the limit of processes (ulimit -u, docker run --pids-limit), or, in a container, use a seccomp "
        "profile that answers clone3 with ENOSYS (as Docker's since 20.10.10), or --security-opt seccomp=unconfined.",
    )


def start_thread(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        UnavailableError: The system gives this process no further one.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise no_thread() from error


class Task(Generic[R]):
    """One call on a thread of its own; made by ``TaskGroup.spawn``."""

    def __init__(self) -> None:
        self._finished = threading.Event()
        self._value: list[R] = []
        self._error: BaseException | None = None

    def finish(self, value: R) -> None:
        """Keep what the call returned."""
        self._value.append(value)

    def fail(self, error: BaseException) -> None:
        """Keep what the call raised."""
        self._error = error

    def end(self) -> None:
        """Wake those who wait for the result."""
        self._finished.set()

    def result(self) -> R:
        """Wait for the call and give what it returned.

        Raises:
            CancelledError: The call failed or never began; the group reports why.
        """
        self._finished.wait()
        if self._error is not None or not self._value:
            raise CancelledError("the work was stopped because another part of it failed") from self._error
        return self._value[0]

    @property
    def done(self) -> bool:
        """Whether the call has ended."""
        return self._finished.is_set()


class TaskGroup:
    """Runs calls on threads and waits for all of them.

    Args:
        limit: How many calls may run at the same time; 0 for no limit.

    Raises:
        BaseException: On leaving the block, the failure of the body or of the only failed task; several become one
            ``ExceptionGroup``. Failures that are only the echo of a cancellation are left out.
    """

    def __init__(self, limit: int = 0) -> None:
        self._lock = threading.Lock()
        self._limit = limit
        self._busy = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads: list[tuple[threading.Thread, threading.Event]] = []
        self._errors: list[BaseException] = []
        self._cancelled = threading.Event()
        self._on_cancel: list[Callable[[], None]] = []

    def spawn(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]:
        """Begin a call; with a limit, it waits until one of the calls before it has ended.

        Args:
            call: What to call.
            args: Its arguments.
            kwargs: Its named arguments.

        Returns:
            The task, whose result can be waited for inside the block.

        Raises:
            UnavailableError: The system gives this process no further thread; the call never begins.
        """
        task: Task[R] = Task()

        def work() -> None:
            try:
                if not self._cancelled.is_set():
                    task.finish(call(*args, **kwargs))
            except BaseException as error:
                task.fail(error)
                self._fail(error)
            finally:
                task.end()

        with self._lock:
            self._waiting.append(work)
            if not self._limit or self._busy < self._limit:
                thread = threading.Thread(target=self._serve, daemon=True)
                try:
                    start_thread(thread)
                except UnavailableError:
                    self._waiting.pop()
                    raise
                self._busy += 1
                self._threads.append((thread, task._finished))  # noqa: SLF001
        return task

    def _serve(self) -> None:
        """Do calls until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                work = self._waiting.popleft()
            work()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if not (isinstance(error, CancelledError) and self._cancelled.is_set()):
                self._errors.append(error)
        self.cancel()

    def cancel(self) -> None:
        """Ask every task to stop; those not begun never begin."""
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
            hooks = list(self._on_cancel)
        for hook in hooks:
            hook()

    def on_cancel(self, hook: Callable[[], None]) -> None:
        """Call something when the group is cancelled, for instance to close a socket a task waits on.

        Args:
            hook: Called once, from any thread; at once when the group is cancelled already.
        """
        with self._lock:
            if not self._cancelled.is_set():
                self._on_cancel.append(hook)
                return
        hook()

    @property
    def cancelled(self) -> bool:
        """Whether tasks have been asked to stop."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Stop the caller when the group is cancelled.

        Raises:
            CancelledError: It is.
        """
        if self._cancelled.is_set():
            raise CancelledError("the work was stopped because another part of it failed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        index = 0
        while index < len(self._threads):  # tasks may spawn tasks
            self._join(*self._threads[index])
            index += 1
        if not self._errors:
            return
        if len(self._errors) == 1:
            if self._errors[0] is error:
                return
            raise self._errors[0]
        plain = [failure for failure in self._errors if isinstance(failure, Exception)]
        for failure in self._errors:
            if not isinstance(failure, Exception):  # an interrupt outranks what it caused
                raise failure
        raise ExceptionGroup("several tasks failed", plain) from None

    def _join(self, thread: threading.Thread, finished: threading.Event) -> None:
        # An interrupt inside Thread.join makes CPython 3.11 take the thread for dead, so the event is waited for.
        while True:
            try:
                finished.wait()
                thread.join()
                return
            except KeyboardInterrupt as interrupt:
                self._fail(interrupt)
