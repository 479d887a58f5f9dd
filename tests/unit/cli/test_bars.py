# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import subprocess
import sys
import threading

import pytest

from scow.base.progress import Event
from scow.cli import bars
from scow.errors import InvalidArgumentError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(style: str, stream: io.StringIO, **options: bool) -> str:
    with bars.shown(style, stream=stream, **options) as progress:
        progress(Event("", "v1: Pulling from x"))
        for task in ("aaa", "bbb"):
            progress(Event(task, "Pulling fs layer"))
            for done in range(0, 1001, 100):
                progress(Event(task, "Downloading", done, 1000))
            progress(Event(task, "Extracting", 3, 7, "files"))
            progress(Event(task, "Pull complete"))
        progress.line("Status: done")
    return stream.getvalue()


def test_lines_tell_each_status_once():
    each = ["Pulling fs layer", "Pull complete"]
    expected = ["v1: Pulling from x", *(f"{task}: {status}" for task in ("aaa", "bbb") for status in each)]
    assert show("plain", io.StringIO()).splitlines() == [*expected, "Status: done"]
    assert show("auto", io.StringIO()) == show("plain", io.StringIO())


def test_a_long_status_is_repeated_with_its_count(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with bars.shown("plain", stream=stream) as progress:
        for second in range(12):
            now[0] = 100.0 + second
            progress(Event("a", "Downloading", second * 10**6, 12 * 10**6))
        now[0] = 200.0
        progress(Event("a", "Downloading", 10 * 10**6, 1000 * 10**6))
    assert stream.getvalue().splitlines() == [
        "a: Downloading 5MB/12MB, 1MB/s, 7s left",
        "a: Downloading 10MB/12MB, 1MB/s, 2s left",
        "a: Downloading 10MB/1GB",
    ]


def test_minutes_are_told_apart(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with bars.shown("plain", stream=stream) as progress:
        progress(Event("a", "Downloading", 0, 10**9))
        now[0] = 110.0
        progress(Event("a", "Downloading", 10**8, 10**9))
        progress(Event("a", "Download complete", 10**9, 10**9))
    assert stream.getvalue().splitlines() == ["a: Downloading 100MB/1GB, 10MB/s, 1m30s left", "a: Download complete"]


def test_json_lines_keep_first_and_last_of_a_count():
    rows = [json.loads(line) for line in show("rawjson", io.StringIO()).splitlines()]
    counts = [row["current"] for row in rows if row.get("task") == "aaa" and row.get("status") == "Downloading"]
    assert (counts[0], counts[-1]) == (0, 1000)
    assert rows[0] == {"task": "", "status": "v1: Pulling from x", "current": 0, "total": None, "unit": "bytes"}
    assert rows[-1] == {"output": "Status: done"}


def test_quiet_says_nothing():
    assert show("quiet", io.StringIO()) == ""
    assert show("tty", Terminal(), quiet=True) == ""


def test_a_terminal_gets_bars():
    text = show("auto", Terminal())
    assert "\x1b[" in text
    assert "v1: Pulling from x" in text
    assert "aaa: Pull complete" in text
    assert "Status: done" in text


def test_finished_bars_make_room(monkeypatch):
    stream = Terminal()
    with bars.shown("tty", stream=stream) as progress:
        for number in range(100):
            progress(Event(f"layer{number}", "Downloading", 0, 10))
            progress(Event(f"layer{number}", "Pull complete"))
        assert len(progress._progress.tasks) < 100
        progress(Event("layer0", "Verifying"))
        assert any(task.description == "layer0: Verifying" for task in progress._progress.tasks)


def test_names_are_not_markup():
    stream = Terminal()
    with bars.shown("tty", stream=stream) as progress:
        progress(Event("[red]x[/red]", "[bold]status"))
        progress.line("[blue]line")
    assert "[red]x[/red]: [bold]status" in stream.getvalue()
    assert "[blue]line" in stream.getvalue()


@pytest.mark.parametrize("style", ["plain", "rawjson", "tty"])
def test_events_may_come_from_many_threads(style):
    stream = Terminal()
    with bars.shown(style, stream=stream) as progress:

        def work(number: int) -> None:
            for done in range(200):
                progress(Event(f"t{number}", "Downloading", done, 200))
            progress(Event(f"t{number}", "Pull complete"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if style == "plain":
        lines = stream.getvalue().splitlines()
        assert sorted(lines) == sorted(f"t{n}: {s}" for n in range(8) for s in ("Pull complete",))


def test_a_broken_stream_does_not_stop_the_work():
    stream = io.StringIO()
    with bars.shown("plain", stream=stream) as progress:
        stream.close()
        progress(Event("a", "Downloading"))


def test_an_unknown_style_is_refused():
    with pytest.raises(InvalidArgumentError, match="fancy"):
        bars.shown("fancy")


def test_rich_is_loaded_only_for_bars():
    code = (
        "import sys, io\nfrom scow.cli import bars\nfrom scow.base.progress import Event\n"
        "with bars.shown('auto', stream=io.StringIO()) as p: p(Event('a', 'b'))\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
