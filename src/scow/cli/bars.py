# SPDX-License-Identifier: Apache-2.0
"""Progress for people and programs: live bars on a terminal, lines elsewhere, JSON lines, or nothing.

    with bars.shown(options.progress, quiet=options.quiet) as progress:
        engine().pull(name, progress=progress)

What ``progress`` is given may come from any thread. rich is imported only when bars are drawn.
"""

from __future__ import annotations

import sys
import threading
import time

from scow.cli.sizes import human_size
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self, TextIO

    from scow.base.progress import Event

STYLES = ("auto", "plain", "tty", "rawjson", "quiet")
_INTERVAL_SECONDS = 0.1
_SLOW_INTERVAL_SECONDS = 5.0
# Statuses that end a task though they count nothing.
_FINAL = ("Already exists", "Layer already exists", "Loaded", "Mounted from", "Pull complete", "Pushed", "Skipped")


def shown(style: str = "auto", *, quiet: bool = False, stream: TextIO | None = None) -> Display:
    """Choose how progress is shown.

    Args:
        style: "auto" draws bars when ``stream`` is a terminal and writes lines otherwise; "tty", "plain", "rawjson" and
            "quiet" insist.
        quiet: Show nothing, whatever the style.
        stream: Where to; stderr when ``None``.

    Returns:
        A context manager that gives the callable to hand to the engine.

    Raises:
        InvalidArgumentError: There is no such style.
    """
    stream = sys.stderr if stream is None else stream
    if style not in STYLES:
        raise InvalidArgumentError(f"invalid progress mode {style!r}", hint=f"one of {', '.join(STYLES)}")
    if quiet or style == "quiet":
        return Display(stream)
    if style == "rawjson":
        return JSONLines(stream)
    if style == "tty" or (style == "auto" and stream.isatty()):
        return Bars(stream)
    return Lines(stream)


class Display:
    """Shows nothing; what the others have in common.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""

    def line(self, text: str) -> None:
        """Write a line of output without tearing what is shown."""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # progress is no reason to stop the work


class Lines(Display):
    """One line per task and status, as docker writes without a terminal.

    What counts is said only when it lasts: every few seconds how far it is, how fast it goes and how long it will take.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._last: dict[str, tuple[str, float, int]] = {}

    def __call__(self, event: Event, /) -> None:
        """Write the event unless it only moves a count on that was shown lately."""
        now = time.monotonic()
        with self._lock:
            status, when, reached = self._last.get(event.task, ("", 0.0, 0))
            news = event.status != status
            counts = event.total is not None and event.current < event.total
            if not news and now - when < _SLOW_INTERVAL_SECONDS:
                return
            self._last[event.task] = (event.status, now, event.current)
            if news and counts:
                return
            head = f"{event.task}: " if event.task else ""
            more = "" if news else _count(event) + _pace(event, event.current - reached, now - when)
            self._write(f"{head}{event.status}{more}\n")

    def line(self, text: str) -> None:
        """Write a line between the others."""
        with self._lock:
            self._write(text + "\n")


class JSONLines(Display):
    """One JSON object per event: task, status, current, total, unit; counts at most ten times a second per task."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._last: dict[str, tuple[str, float]] = {}

    def __call__(self, event: Event, /) -> None:
        """Write the event."""
        import json

        now = time.monotonic()
        with self._lock:
            status, when = self._last.get(event.task, ("", 0.0))
            if event.status == status and event.current != event.total and now - when < _INTERVAL_SECONDS:
                return
            self._last[event.task] = (event.status, now)
            self._write(json.dumps(event._asdict(), ensure_ascii=False, separators=(",", ":")) + "\n")

    def line(self, text: str) -> None:
        """Write a line of output as an object with ``output``."""
        import json

        with self._lock:
            self._write(json.dumps({"output": text}, ensure_ascii=False, separators=(",", ":")) + "\n")


class Bars(Display):
    """Live bars: one per task, with rate and time left; finished ones make room when the terminal is full."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._progress: Any = None
        self._tasks: dict[str, int] = {}
        self._statuses: dict[str, str] = {}
        self._ended: dict[str, None] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(file=self._stream, force_terminal=True, highlight=False),
            refresh_per_second=10,
        )
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop drawing; the last state of the bars stays."""
        self._progress.stop()

    def __call__(self, event: Event, /) -> None:
        """Move the task's bar."""
        with self._lock:
            if not event.task:
                self._print(event.status)
                return
            name = f"{event.task}: {event.status}"
            done = event.status.startswith(_FINAL) or (event.total is not None and event.current >= event.total)
            total, current = (event.total, event.current) if event.total or not done else (1, 1)
            if event.task not in self._tasks:
                self._tasks[event.task] = self._progress.add_task(name, total=total, count="")
            task = self._tasks[event.task]
            if self._statuses.get(event.task) != event.status:
                self._statuses[event.task] = event.status
                self._progress.reset(task, total=total)
            speed = next((each.speed for each in self._progress.tasks if each.id == task), None)
            rate = f" {human_size(speed, 3)}/s" if speed and event.unit == "bytes" and not done else ""
            count = _count(event).strip() + rate
            self._progress.update(task, description=name, completed=current, total=total, count=count)
            if done:
                self._ended[event.task] = None
                self._make_room()
            else:
                self._ended.pop(event.task, None)

    def line(self, text: str) -> None:
        """Write a line above the bars."""
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(text))

    def _make_room(self) -> None:
        """Hide the oldest finished bars when they would not fit."""
        room = max(self._progress.console.size.height - 2, 3)
        while len(self._tasks) > room and self._ended:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._progress.remove_task(self._tasks.pop(oldest))


def _pace(event: Event, moved: int, seconds: float) -> str:
    """Write rate and time left: ``, 1.2MB/s, 40s left``."""
    if event.unit != "bytes" or moved <= 0:
        return ""
    rate = moved / seconds
    left = round((event.total - event.current) / rate) if event.total else 0
    minutes, rest = divmod(left, 60)
    return f", {human_size(rate, 3)}/s" + (f", {f'{minutes}m' if minutes else ''}{rest}s left" if left else "")


def _count(event: Event) -> str:
    """Write how far an event is: `` 1.2MB/5MB`` or `` 3/7 steps``."""
    if event.unit == "bytes":
        here = human_size(event.current, 3)
        return f" {here}/{human_size(event.total, 3)}" if event.total else f" {here}" if event.current else ""
    if event.total is None:
        return f" {event.current} {event.unit}" if event.current else ""
    return f" {event.current}/{event.total} {event.unit}"
