# SPDX-License-Identifier: Apache-2.0
"""A runtime that reads its document from a pipe; programs of a line play the runtime."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from scow.runtime.handover import Begun, Handover, launch, release, write_config

# As runc reads: until the document is complete, without waiting for an end of file.
DECODE = """
import json, sys
text = ""
with open(sys.argv[1], "rb", buffering=0) as file:
    while True:
        text += file.read(512).decode()
        try:
            print(len(json.loads(text)["a"]))
            break
        except ValueError:
            if not text:
                sys.exit("nothing came")
"""


def start(bundle, program=DECODE, delay=0.0):
    wait = f"import time; time.sleep({delay})\n" if delay else ""
    words = [sys.executable, "-I", "-S", "-c", wait + program, str(bundle / "config.json")]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def give(handover, text, child):
    pidfd = os.pidfd_open(child.pid)
    try:
        handover.give(text, pidfd)
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("delay", [0.0, 0.15])
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_the_runtime_gets_all_of_it(tmp_path, size, delay):
    text = '{"a":"' + "x" * size + '"}'
    with Handover(str(tmp_path)) as handover:
        child = start(tmp_path, delay=delay)
        give(handover, text, child)
    out, err = child.communicate(timeout=90)
    assert (out.strip(), err) == (str(size), "")


def test_one_that_reads_to_the_end_gets_an_end(tmp_path):
    with Handover(str(tmp_path)) as handover:
        child = start(tmp_path, "import sys; print(len(open(sys.argv[1]).read()))")
        give(handover, '{"a":1}', child)
        out, _ = child.communicate(timeout=90)
    assert out.strip() == "7"


def test_afterwards_the_document_is_a_file(tmp_path):
    with Handover(str(tmp_path)) as handover:
        child = start(tmp_path)
        give(handover, '{"a":"b"}', child)
    child.wait(timeout=90)
    assert (tmp_path / "config.json").read_text() == '{"a":"b"}'
    assert stat.S_ISREG(os.lstat(tmp_path / "config.json").st_mode)
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_runtime_that_died_is_not_waited_for(tmp_path):
    with Handover(str(tmp_path)) as handover:
        child = start(tmp_path, "import sys; sys.exit(3)")
        give(handover, '{"a":"' + "x" * 1_000_000 + '"}', child)
    assert child.wait(timeout=90) == 3
    child.communicate()


def test_a_runtime_whose_starter_gives_up_reads_an_end(tmp_path):
    with Handover(str(tmp_path)):
        child = start(tmp_path)
        time.sleep(0.1)
    # whether it had opened the pipe or not: it must not wait for ever
    try:
        child.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        # it came after the pipe had lost its writer; then the starter kills it (containers.foreground)
        child.kill()
        child.communicate()
    assert child.returncode != 0


def test_a_pipe_left_by_a_killed_command_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    write_config(str(tmp_path), "{}")
    assert (tmp_path / "config.json").read_text() == "{}"
    os.unlink(tmp_path / "config.json")
    os.mkfifo(tmp_path / "config.json")
    with Handover(str(tmp_path)):
        assert stat.S_ISFIFO(os.lstat(tmp_path / "config.json").st_mode)


def test_whoever_waits_in_vain_is_let_go(tmp_path):
    """A starter that was killed leaves its pipe; a reader that came later must not wait for ever."""
    os.mkfifo(tmp_path / "config.json")
    read, waiting = [], threading.Thread(target=lambda: read.append((tmp_path / "config.json").read_bytes()))
    waiting.start()
    time.sleep(0.05)
    release(str(tmp_path))
    waiting.join(90)
    assert read == [b""]
    assert (tmp_path / "config.json").read_bytes() == b"", "for those that come later still"
    release(str(tmp_path))
    release(str(tmp_path / "none"))


@pytest.mark.parametrize("early", [True, False])
def test_launched_early_or_late_the_runtime_gets_the_document(tmp_path, early):
    began = []

    def begin():
        began.append(start(tmp_path))
        return Begun(began[0].pid, os.pidfd_open(began[0].pid))

    def make():
        assert bool(began) == early
        return '{"a":"xyz"}', "something"

    begun, made = launch(str(tmp_path), begin, make, early=early)
    os.close(begun.ended)
    out, err = began[0].communicate(timeout=90)
    assert (made, out.strip(), err) == ("something", "3", "")


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_a_bundle_that_cannot_be_made_ends_the_runtime(tmp_path, delay):
    """Whether it waits in the pipe already or comes to it later; and the failure is what the caller hears of."""
    children = []

    def begin():
        children.append(start(tmp_path, delay=delay))
        return Begun(children[0].pid, os.pidfd_open(children[0].pid))

    def make():
        raise ValueError("no such user")

    with pytest.raises(ValueError, match="no such user"):
        launch(str(tmp_path), begin, make, early=True)
    assert children[0].poll() not in {None, 0}, "it has ended before launch returns"
    children[0].communicate()
