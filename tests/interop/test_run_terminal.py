# SPDX-License-Identifier: Apache-2.0
"""Terminals, driven for real: ``run -it``, resizing, Ctrl-C, leaving and coming back, ``exec -it``."""

from __future__ import annotations

import re

import pexpect
import pytest

from fakes.busybox import IMAGE

pytestmark = [pytest.mark.interop, pytest.mark.root]
PROMPT = "box# "


@pytest.fixture(autouse=True)
def nothing_left(scow):
    yield
    scow.clean()


def terminal(scow, *words, size=(24, 80)):
    return pexpect.spawn(scow.program, [*words], env=scow.env, timeout=90, dimensions=size, encoding="utf-8")


def shell(scow, *words, **options):
    words = ("run", "-it", "--network", "none", "-e", f"PS1={PROMPT}", *words, IMAGE, "sh")
    child = terminal(scow, *words, **options)
    child.expect_exact(PROMPT)
    return child


def say(child, line):
    """Type a line; what it prints. The shell repeats its prompt while it edits, so the answer is put in brackets."""
    child.sendline(f"printf '[%s]\\n' \"$({line})\"")
    child.expect(r"\[([^%\]]*)\]\r\n")
    return child.match[1].replace("\r\n", "\n")


def see_size(child, wanted):
    """Wait until the terminal inside has a size; the news of it takes a way of its own."""
    assert say(child, f'until [ "$(stty size)" = "{wanted}" ]; do sleep 0.1; done; stty size') == wanted


def sleep(child):
    """Let a command wait in the foreground: when it prints something, the terminal is its own."""
    child.sendline("sh -c 'echo b''egun; exec sleep 600'")
    child.expect_exact("begun\r\n")


def finish(child):
    child.expect(pexpect.EOF)
    child.wait()  # the terminal is closed a moment before that, and close() would send SIGHUP
    child.close()
    return child.exitstatus


def test_a_shell(scow):
    child = shell(scow, "--rm")
    assert say(child, "tty") == "/dev/pts/0"
    assert say(child, "echo $TERM") == "xterm"
    child.sendline("exit 7")
    assert finish(child) == 7


def test_the_size_follows_the_users(scow):
    child = shell(scow, "--rm", size=(31, 97))
    see_size(child, "31 97")
    child.setwinsize(40, 120)
    see_size(child, "40 120")
    child.sendline("exit")
    assert finish(child) == 0


def test_ctrl_c_reaches_the_command_not_scow(scow):
    child = shell(scow, "--rm")
    sleep(child)
    child.sendcontrol("c")
    assert say(child, "echo alive") == "alive"
    child.sendline("exit")
    assert finish(child) == 0


def test_ctrl_d_ends_the_shell(scow):
    child = shell(scow, "--rm")
    child.sendcontrol("d")
    assert finish(child) == 0


def test_leaving_and_coming_back(scow):
    child = shell(scow, "--name", "tt")
    child.sendline("X=kept")
    assert say(child, "echo $X") == "kept"
    child.send("\x10\x11")
    assert finish(child) == 0
    assert scow("inspect", "-f", "{{.State.Running}}", "tt") == "true"
    child = terminal(scow, "attach", "tt")
    assert say(child, "echo $X") == "kept"
    child.sendline("exit 3")
    assert finish(child) == 3
    assert scow("inspect", "-f", "{{.State.ExitCode}}", "tt") == "3"


def test_other_keys_to_leave(scow):
    child = shell(scow, "--name", "kk", "--detach-keys", "ctrl-x,x")
    child.send("\x18x")
    assert finish(child) == 0
    assert scow("inspect", "-f", "{{.State.Running}}", "kk") == "true"


def test_the_terminal_is_as_it_was(scow):
    outer = pexpect.spawn("/bin/sh", env={**scow.env, "PS1": "out> "}, timeout=90, encoding="utf-8")
    outer.expect_exact("out> ")
    outer.sendline("stty -a | cksum")
    outer.expect(r"(\d+ \d+)\r\n")
    before = outer.match[1]
    outer.expect_exact("out> ")
    outer.sendline(
        f"{scow.program} run --rm -it --network none {IMAGE} true; echo ov''er"
    )  # the echoed line is no answer
    outer.expect_exact("over\r\n")
    outer.expect_exact("out> ")
    outer.sendline("stty -a | cksum")
    outer.expect(r"(\d+ \d+)\r\n")
    assert outer.match[1] == before
    outer.sendline("exit")
    assert finish(outer) == 0


def test_a_killed_command_leaves_the_container_running(scow):
    """As with docker, a terminal that goes away is a user who left."""
    child = shell(scow, "--name", "qq")
    child.kill(9)
    child.wait()  # close() would give it a moment only
    child.close()
    assert scow("inspect", "-f", "{{.State.Running}}", "qq") == "true"
    assert scow("rm", "-f", "qq") == "qq"


def test_exec_with_a_terminal(scow):
    scow("run", "-d", "--name", "ee", "--network", "none", IMAGE, "sleep", "600")
    child = terminal(scow, "exec", "-it", "-e", f"PS1={PROMPT}", "ee", "sh", size=(33, 91))
    child.expect_exact(PROMPT)
    see_size(child, "33 91")
    child.setwinsize(20, 70)
    see_size(child, "20 70")
    sleep(child)
    child.sendcontrol("c")
    assert say(child, "echo alive") == "alive"
    child.sendline("exit 5")
    assert finish(child) == 5


def test_exec_with_a_terminal_that_nobody_looks_at(scow):
    scow("run", "-d", "--name", "ee", "--network", "none", IMAGE, "sleep", "600")
    said = "test -t 0 && head -c 100000 /dev/zero && touch /tmp/said"  # more than a terminal keeps
    assert scow("exec", "-dt", "ee", "sh", "-c", said) == ""
    scow("exec", "ee", "sh", "-c", "until test -e /tmp/said; do sleep 0.1; done")
    for words in ("-d", "-dt"):
        done = scow.run("exec", words, "ee", "nosuch")
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"executable file not found" in done.stderr


def test_start_attached_with_a_terminal(scow):
    scow("create", "-it", "--name", "ss", "--network", "none", "-e", f"PS1={PROMPT}", IMAGE, "sh")
    child = terminal(scow, "start", "-ai", "ss")
    child.expect_exact(PROMPT)
    child.sendline("exit 4")
    assert finish(child) == 4


def test_without_a_terminal_the_command_has_none(scow):
    child = terminal(scow, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "test -t 1; echo $?")
    child.expect(r"(\d)\r\n")
    assert child.match[1] == "1"
    assert finish(child) == 0


def test_a_terminal_needs_a_terminal(scow):
    done = scow.run("run", "--rm", "-it", "--network", "none", IMAGE, "true", input=b"")
    assert done.returncode == 1
    assert re.search(rb"the input device is not a TTY", done.stderr)
