# SPDX-License-Identifier: Apache-2.0
"""How a build is shown while it runs: lines as BuildKit's plain progress, a live view on a terminal, JSON, or nothing.

Every byte that a step writes is shown or kept; a failed step's output is shown whole.
"""

from __future__ import annotations

import base64
import json
import sys
import threading

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO, TextIO

    from scow.build.events import BuildEvent


_SMALL = 1 << 20


class Kept:
    """What one step wrote, in memory while it is small, on disk when it is large."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._small = bytearray()

    def add(self, data: bytes) -> None:
        """Keep more."""
        if self._file is None and len(self._small) + len(data) > _SMALL:
            from tempfile import TemporaryFile  # 6 ms, which most builds need not wait for

            self._file = TemporaryFile()  # noqa: SIM115 - lives as long as the step's output matters
            self._file.write(self._small)
            self._small.clear()
        if self._file is None:
            self._small += data
        else:
            self._file.write(data)

    def lines(self) -> list[str]:
        """All of it, as text."""
        data = bytes(self._small)
        if self._file is not None:
            self._file.seek(0)
            data = self._file.read()
            self._file.seek(0, 2)
        return data.decode("utf-8", "replace").splitlines()


class Shown:
    """The base of all ways to show a build: keeps the output of steps that may yet fail.

    Args:
        out: Where to write.
        keep: Keep output to show it when a step fails.
    """

    def __init__(self, out: TextIO, *, keep: bool = True) -> None:
        self.out = out
        self.lock = threading.Lock()
        self.started: dict[int, float] = {}
        self.titles: dict[int, str] = {}
        self.kept: dict[int, Kept] = {}
        self._keep = keep

    def __call__(self, event: BuildEvent) -> None:
        """Take one event."""
        with self.lock:
            if event.kind == "begin":
                self.started[event.step] = event.time
                self.titles[event.step] = event.title
            elif event.kind == "log" and self._keep:
                self.kept.setdefault(event.step, Kept()).add(event.data)
            elif event.kind in ("done", "cached"):
                self.kept.pop(event.step, None)
            self.show(event)

    def show(self, event: BuildEvent) -> None:
        """Show one event; the lock is held."""

    def close(self) -> None:
        """Nothing more comes."""

    def seconds(self, event: BuildEvent) -> float:
        """Since the event's step began."""
        return max(0.0, event.time - self.started.get(event.step, event.time))

    def write(self, text: str) -> None:
        """Write text; a closed stream is nobody's problem."""
        try:
            self.out.write(text)
            self.out.flush()
        except (OSError, ValueError):
            pass

    def failure(self, step: int, excerpt: str) -> None:
        """Show the whole output of a failed step and where it stands."""
        kept = self.kept.get(step)
        lines = kept.lines() if kept is not None else []
        if lines:
            body = "".join(f"{line}\n" for line in lines)
            self.write(f"------\n > {self.titles.get(step, '')}:\n{body}------\n")
        if excerpt:
            self.write(excerpt)


class Plain(Shown):
    """``#5 [2/3] RUN make`` and so on, one line at a time, for logs and files."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._current = 0
        self._partial: dict[tuple[int, int], bytes] = {}

    def show(self, event: BuildEvent) -> None:
        """Show one event."""
        step = event.step
        if event.kind == "begin":
            self._switch(step, again=False)
        elif event.kind == "log":
            self._log(event)
        elif event.kind in ("done", "cached", "failed", "cancelled"):
            self._finish_lines(event)
            self._switch(step)
            text = {
                "done": f"DONE {self.seconds(event):.1f}s",
                "cached": "CACHED",
                "cancelled": "CANCELED",
                "failed": f"ERROR: {event.text}",
            }[event.kind]
            self.write(f"#{step} {text}\n\n")
            self._current = 0
        elif event.kind == "note":
            self.write(f"#{step} {event.text}\n")

    def _switch(self, step: int, *, again: bool = True) -> None:
        if self._current == step and again:
            return
        if self._current and self._current != step:
            self.write(f"#{self._current} ...\n\n")
        self._current = step
        self.write(f"#{step} {self.titles.get(step, '')}\n")

    def _log(self, event: BuildEvent) -> None:
        key = (event.step, event.stream)
        data = self._partial.pop(key, b"") + event.data
        whole, newline, rest = data.rpartition(b"\n")
        if rest:
            self._partial[key] = rest
        if not newline:
            return
        self._switch(event.step)
        self._write_lines(event, whole)

    def _write_lines(self, event: BuildEvent, data: bytes) -> None:
        seconds = self.seconds(event)
        text = data.decode("utf-8", "replace")
        self.write("".join(f"#{event.step} {seconds:.3f} {line}\n" for line in text.split("\n")))

    def _finish_lines(self, event: BuildEvent) -> None:
        for stream in (1, 2):
            rest = self._partial.pop((event.step, stream), b"")
            if rest:
                self._switch(event.step)
                self._write_lines(event, rest)


class Silent(Shown):
    """Nothing but the output of a step that failed."""


class RawJson(Shown):
    """One JSON object a line for each event."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out, keep=False)

    def show(self, event: BuildEvent) -> None:
        """Show one event."""
        value: dict[str, object] = {"step": event.step, "event": event.kind, "time": event.time}
        if event.title:
            value["title"] = event.title
        if event.kind == "log":
            value |= {"stream": event.stream, "data": base64.b64encode(event.data).decode("ascii")}
        if event.text:
            value["text"] = event.text
        self.write(json.dumps(value) + "\n")

    def failure(self, step: int, excerpt: str) -> None:
        """Show where a failed step stands."""
        self.write(json.dumps({"step": step, "event": "excerpt", "text": excerpt}) + "\n")


class Live(Shown):
    """A view that is redrawn: finished steps, running steps with their last lines."""

    _TAIL = 6
    _EVERY = 0.1

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        import shutil
        import time

        self._time = time.time
        self._begun = time.time()
        self._width = max(40, shutil.get_terminal_size().columns)
        self._drawn = 0
        self._last = 0.0
        self._running: dict[int, list[str]] = {}
        self._finished = 0

    def show(self, event: BuildEvent) -> None:
        """Show one event."""
        if event.kind == "begin":
            self._running[event.step] = []
        elif event.kind == "log":
            tail = self._running.setdefault(event.step, [])
            tail += event.data.decode("utf-8", "replace").splitlines()
            del tail[: -self._TAIL]
        elif event.kind in ("done", "cached", "failed", "cancelled"):
            self._running.pop(event.step, None)
            self._finished += 1
            self._erase()
            word = {"cached": "CACHED ", "failed": "ERROR ", "cancelled": "CANCELED "}.get(event.kind, "")
            self._line(f" => {word}{event.title}", f"{self.seconds(event):.1f}s")
        self._draw(force=event.kind != "log")

    def close(self) -> None:
        """Take the running steps away and sum up."""
        with self.lock:
            self._erase()
            self.write(f"[+] Building {self._time() - self._begun:.1f}s ({self._finished} steps)\n")

    def _draw(self, *, force: bool) -> None:
        now = self._time()
        if not force and now - self._last < self._EVERY:
            return
        self._last = now
        self._erase()
        for step, tail in list(self._running.items())[-8:]:
            self._line(f" => {self.titles.get(step, '')}", f"{now - self.started.get(step, now):.1f}s")
            self._drawn += 1
            for line in tail:
                self._line(f" => => # {line}", "")
                self._drawn += 1

    def _erase(self) -> None:
        if self._drawn:
            self.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _line(self, left: str, right: str) -> None:
        clean = "".join(char if char.isprintable() else " " for char in left)
        room = self._width - len(right) - 1
        self.write(f"{clean[:room]:<{room}}{right}\n" if right else f"{clean[: self._width - 1]}\n")


def make(kind: str, out: TextIO | None = None) -> Shown:
    """The way to show a build.

    Args:
        kind: ``auto``, ``plain``, ``tty``, ``rawjson``, ``quiet`` or ``none``.
        out: Where to write; standard error by default.
    """
    stream = out or sys.stderr
    if kind in ("quiet", "none"):
        return Silent(stream)
    if kind == "rawjson":
        return RawJson(stream)
    if kind == "tty" or (kind == "auto" and stream.isatty()):
        return Live(stream)
    return Plain(stream)
