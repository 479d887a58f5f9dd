# SPDX-License-Identifier: Apache-2.0
"""Logs with a bound: written by a process beside the monitor, read over the files that rotation makes of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import pytest

from fakes.busybox import IMAGE, left, open_files, traces, until

pytestmark = [pytest.mark.interop, pytest.mark.root]
COUNT = 4000
SAY = f"i=0; while [ $i -lt {COUNT} ]; do echo $i; i=$((i+1)); done"


@pytest.fixture(autouse=True)
def nothing_left(scow):
    yield
    scow.clean()
    assert left(lambda: traces(scow)) == []


def run(scow, name, *options, script=SAY):
    return scow("run", "--name", name, "--network", "none", *options, IMAGE, "sh", "-c", script)


def directory_of(scow, name):
    return f"{scow.root}/containers/{scow('inspect', '-f', '{{.Id}}', name)}"


def log_files(scow, name):
    directory = directory_of(scow, name)
    return {entry: os.path.getsize(f"{directory}/{entry}") for entry in os.listdir(directory) if entry[:3] == "log"}


def numbers(text):
    return [int(line) for line in text.split()]


@pytest.mark.parametrize("options", [("-d",), ("-d", "-t"), ()])
def test_the_newest_files_are_kept(scow, options):
    run(scow, "kk", *options, "--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    scow("wait", "kk")
    kept = numbers(scow("logs", "kk"))
    assert kept == list(range(kept[0], COUNT))
    assert kept[0] > 0, "the oldest went"
    files = log_files(scow, "kk")
    assert {"log", "log.1", "log.2"} <= set(files)
    assert "log.3" not in files
    # a terminal's line comes in pieces, and its last one may be what is too much
    assert all(files[name] <= (20 << 10) + 100 for name in ("log", "log.1", "log.2"))
    assert files["log.1"] + files["log.2"] > 30 << 10, "two files that were full"
    assert numbers(scow("logs", "--tail", "900", "kk")) == list(range(COUNT - 900, COUNT))


def test_one_file_by_itself(scow):
    run(scow, "oo", "-d", "--log-opt", "max-size=20k")
    scow("wait", "oo")
    kept = numbers(scow("logs", "oo"))
    assert kept == list(range(kept[0], COUNT))
    assert log_files(scow, "oo")["log"] <= 20 << 10


def test_following_goes_over_the_files(scow):
    """The container goes on when the follower has read its first line."""
    script = "echo -1; until [ -e /go ]; do sleep 0.1; done; " + SAY
    run(scow, "ff", "-d", "--log-opt", "max-size=8k", "--log-opt", "max-file=200", script=script)
    with subprocess.Popen([scow.program, "logs", "-f", "ff"], env=scow.env, stdout=subprocess.PIPE) as follower:
        assert follower.stdout.readline() == b"-1\n"
        scow("exec", "ff", "touch", "/go")
        assert numbers(follower.stdout.read()) == list(range(COUNT))
    assert len(log_files(scow, "ff")) > 5


def test_a_second_run_adds_to_the_log(scow):
    run(scow, "ss", "-d", "--log-opt", "max-size=1m", "--log-opt", "max-file=2", script="echo once")
    scow("wait", "ss")
    for count in (2, 3):
        scow("start", "ss")
        scow("wait", "ss")
        assert scow("logs", "ss").split() == ["once"] * count


def test_restarts_by_policy_add_to_the_log(scow):
    run(scow, "rr", "-d", "--restart", "on-failure:3", "--log-opt", "max-size=1m", script="echo again; exit 1")
    assert until(lambda: scow("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "rr") == "3 exited")
    assert scow("logs", "rr").split() == ["again"] * 4


def test_a_container_whose_log_cannot_be_written_goes_on(scow):
    """The process that writes the log is killed: the container does not notice."""
    script = "echo one; until [ -e /go ]; do sleep 0.1; done; echo lost; echo two >/two; sleep 1000"
    run(scow, "ww", "-d", "--log-opt", "max-size=1m", script=script)
    assert until(lambda: scow("logs", "ww") == "one")
    directory = directory_of(scow, "ww")
    (writer,) = writers(directory)
    os.kill(writer, signal.SIGKILL)
    assert until(lambda: not is_writer(writer, directory))
    scow("exec", "ww", "touch", "/go")
    assert until(lambda: scow.run("exec", "ww", "cat", "/two").stdout == b"two\n")
    assert scow("logs", "ww") == "one"


@contextlib.contextmanager
def halted(*pids):
    """Processes that get no processor in a block."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("options", [(), ("--log-opt", "max-size=1m")])
def test_who_has_waited_for_the_end_reads_all_of_the_log(scow, tmp_path, options):
    """However late the monitor is, and who writes the log for it."""
    script = "until [ -e /ctl/go ]; do sleep 0.1; done; seq 500; exit 7"
    run(scow, "mm", "-d", "-v", f"{tmp_path}:/ctl", *options, script=script)
    directory = directory_of(scow, "mm")
    assert until(lambda: len(writers(directory)) == (1 if options else 0))
    with open(f"{directory}/conmon.pid") as file:
        monitor = int(file.read())
    with halted(*writers(directory)):
        with halted(monitor), scow.start("wait", "mm", stdout=subprocess.PIPE) as waiting:
            assert until(lambda: "anon_inode:[pidfd]" in open_files(waiting.pid))
            (tmp_path / "go").touch()
            assert until(lambda: "anon_inode:[pidfd]" not in open_files(waiting.pid))
            assert waiting.poll() is None
            os.kill(monitor, signal.SIGCONT)
            assert waiting.stdout.read() == b"7\n"
        reading = scow.start("logs", "mm", stdout=subprocess.PIPE)
        assert not options or until(lambda: is_held_up(reading.pid))
    with reading:
        assert numbers(reading.stdout.read()) == list(range(1, 501))


def is_held_up(pid):
    """Whether a process waits for a lock."""
    with open("/proc/locks") as file:
        return any("->" in line and f" {pid} " in line for line in file)


def writers(directory):
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_writer(pid, directory)]


def is_writer(pid, directory):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"scow.cli.logwriter" in words and f"{directory}/log".encode() in words


def test_drivers(scow):
    run(scow, "json", "-d", "--log-driver", "json-file", script="echo hello")
    run(scow, "local", "-d", "--log-driver", "local", "--log-opt", "max-size=10k", script="echo hello")
    run(scow, "none", "-d", "--log-driver", "none", script="echo hello")
    for name in ("json", "local", "none"):
        scow("wait", name)
    assert scow("logs", "json") == scow("logs", "local") == "hello"
    done = scow.run("logs", "none")
    assert done.returncode == 1
    assert b"configured logging driver does not support reading" in done.stderr
