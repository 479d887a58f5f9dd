# SPDX-License-Identifier: Apache-2.0
"""What conmon is told, seen from the runtime it calls; conmon itself is in tests/interop."""

from __future__ import annotations

import subprocess
from itertools import pairwise

import pytest

from scow.runtime import monitor
from scow.runtime.oci import OciRuntime


def called_by_conmon(words: list[str], *more: str) -> list[str]:
    """Call the runtime as conmon does; returns what the runtime prints.

    Source: conmon 2.1, configure_runtime_args().
    """
    program = words[words.index("-r") + 1]
    args = [word for before, word in pairwise(words) if before == "--runtime-arg"]
    values = {flag: words[words.index(flag) + 1] for flag in ("-b", "-p", "-c")}
    own = ["create", "--bundle", values["-b"], "--pid-file", values["-p"], *more, values["-c"]]
    return subprocess.run([program, *args, *own], capture_output=True, check=True, text=True).stdout.splitlines()


@pytest.mark.parametrize(("start", "verb"), [(True, ["run", "--detach"]), (False, ["create"])])
def test_the_runtime_is_called_once_for_a_container_that_starts_at_once(tmp_path, monkeypatch, start, verb):
    monkeypatch.setattr(monitor, "find_monitor", lambda: "/usr/bin/conmon")
    runtime = tmp_path / "a runtime"
    runtime.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    runtime.chmod(0o755)
    bundle, state = f"{tmp_path}/the bundle", f"{tmp_path}/$state"
    watch = monitor.Watch("c0ffee", "box", bundle, start=start, stdin=False, terminal=True, leave_stdin_open=True)
    words = monitor._words(OciRuntime(state, program=str(runtime)), watch)
    given = ["--bundle", bundle, "--pid-file", f"{bundle}/pid", "--console-socket", "/s", "c0ffee"]
    assert called_by_conmon(words, "--console-socket", "/s") == ["--root", state, *verb, *given]


@pytest.mark.parametrize(("text", "found"), [("0", 0), ("137\n", 137), ("", None), ("what", None), (None, None)])
def test_an_exit_status_is_known_once_it_was_written_down(tmp_path, text, found):
    if text is not None:
        (tmp_path / "c0ffee").write_text(text)
    status = monitor.exit_status(str(tmp_path), "c0ffee")
    assert (status[0] if status else None) == found


def test_nothing_of_a_former_run_is_in_the_way_of_the_next(tmp_path):
    """Also what a runtime leaves that was killed while it wrote its process id: runc makes it with O_EXCL."""
    kept = {"config.json", "log"}
    for name in ("c0ffee", "pid", ".pid", "conmon.pid", "attach", "ctl", "winsz", *kept):
        (tmp_path / name).write_text("")
    monitor.forget(str(tmp_path), "c0ffee")
    assert {path.name for path in tmp_path.iterdir()} == kept
