# SPDX-License-Identifier: Apache-2.0
"""Attaching to a container that another command runs in its foreground, with a terminal and without."""

from __future__ import annotations

import signal
import subprocess

import pexpect
import pytest

from fakes.busybox import IMAGE, left, traces, until

pytestmark = [pytest.mark.interop, pytest.mark.root]


@pytest.fixture(autouse=True)
def nothing_left(scow):
    yield
    scow.clean()
    assert left(lambda: traces(scow)) == []


@pytest.fixture
def begin(scow):
    """Starts commands whose streams are pipes, and ends those that are left."""
    begun = []

    def start(*words):
        pipe = subprocess.PIPE
        command = subprocess.Popen([scow.program, *words], env=scow.env, stdin=pipe, stdout=pipe, stderr=pipe)
        begun.append(command)
        return command

    yield start
    for command in begun:
        command.kill()
        command.communicate()


def running(scow, name):
    return until(lambda: scow.run("inspect", "-f", "{{.State.Running}}", name).stdout == b"true\n")


def say(command, text):
    command.stdin.write(text + b"\n")
    command.stdin.flush()


ECHO = 'while read line; do echo "heard $line"; [ "$line" != bye ] || exit 5; done'


@pytest.mark.parametrize("options", [(), ("--rm",)])
def test_both_hear_and_speak_and_get_the_status(scow, begin, options):
    first = begin("run", "-i", "--name", "aa", "--network", "none", *options, IMAGE, "sh", "-c", ECHO)
    assert running(scow, "aa")
    second = begin("attach", "aa")
    # the one who attaches is there when it is heard
    say(second, b"two")
    assert first.stdout.readline() == second.stdout.readline() == b"heard two\n"
    say(first, b"one")
    assert first.stdout.readline() == second.stdout.readline() == b"heard one\n"
    say(second, b"bye")
    assert first.stdout.read() == second.stdout.read() == b"heard bye\n"
    assert (first.wait(90), second.wait(90)) == (5, 5)


def test_who_is_killed_ends_nothing(scow, begin):
    first = begin("run", "-i", "--rm", "--name", "bb", "--network", "none", IMAGE, "sh", "-c", ECHO)
    assert running(scow, "bb")
    second = begin("attach", "bb")
    say(second, b"two")
    assert first.stdout.readline() == b"heard two\n"
    second.kill()
    second.wait()
    say(first, b"bye")
    assert first.stdout.readline() == b"heard bye\n"
    assert first.wait(90) == 5


def test_input_that_is_over_ends_the_containers(scow, begin):
    first = begin("run", "-i", "--rm", "--name", "cc", "--network", "none", IMAGE, "sh", "-c", "cat; echo end")
    assert running(scow, "cc")
    done = subprocess.run(
        [scow.program, "attach", "cc"], env=scow.env, input=b"a\n", capture_output=True, timeout=90, check=True
    )
    assert done.stdout == b"a\nend\n"
    assert first.stdout.read() == b"a\nend\n"


def test_signals_of_one_who_is_attached_reach_the_container(scow, begin):
    script = "trap 'echo caught; exit 6' TERM; echo ready; while :; do sleep 0.1; done"
    first = begin("run", "--rm", "--name", "dd", "--network", "none", IMAGE, "sh", "-c", script)
    assert first.stdout.readline() == b"ready\n"
    assert running(scow, "dd")
    second = begin("attach", "--no-stdin", "dd")
    assert until(lambda: send(second, first))
    assert first.wait(90) == 6
    assert second.wait(90) == 6
    assert second.stdout.read() == b"caught\n"


def send(attached, runs):
    """Tell one to end who may not have got to where it passes signals on; before that, it would end by itself."""
    with open(f"/proc/{attached.pid}/status") as file:
        caught = int(next(line.split()[1] for line in file if line.startswith("SigCgt:")), 16)
    if caught >> (signal.SIGTERM - 1) & 1:
        attached.send_signal(signal.SIGTERM)
        return True
    return runs.poll() is not None


def test_two_at_one_terminal(scow):
    def terminal(*words):
        return pexpect.spawn(scow.program, [*words], env=scow.env, timeout=90, encoding="utf-8")

    first = terminal("run", "-it", "--name", "tt", "--network", "none", "-e", "PS1=box# ", IMAGE, "sh")
    first.expect_exact("box# ")
    second = terminal("attach", "tt")
    second.sendline("X=kept; echo si''de")
    second.expect_exact("side\r\n")
    first.expect_exact("side\r\n")
    first.sendline("echo $X; exit 4")
    second.expect_exact("kept\r\n")
    for child in (first, second):
        child.expect(pexpect.EOF)
        child.wait()  # the terminal is closed a moment before that, and close() would send SIGHUP
        child.close()
        assert child.exitstatus == 4
