# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys

from fakes.busybox import until
from scow.runtime.deadman import Deadman


def test_a_disarmed_deadman_does_nothing(tmp_path):
    with Deadman(["/bin/touch", str(tmp_path / "acted")]) as deadman:
        deadman.disarm()
    assert not (tmp_path / "acted").exists()


def test_it_acts_when_its_process_is_killed(tmp_path):
    script = (
        "import sys, time\nfrom scow.runtime.deadman import Deadman\n"
        "Deadman(['/bin/touch', sys.argv[1]])\nprint('armed', flush=True)\ntime.sleep(600)\n"
    )
    acted = tmp_path / "acted"
    child = subprocess.Popen([sys.executable, "-c", script, str(acted)], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout.readline() == b"armed\n"
    assert not acted.exists()
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert until(acted.exists)


def test_a_deadman_that_was_killed_is_disarmed_all_the_same(tmp_path):
    with Deadman(["/bin/touch", str(tmp_path / "acted")]) as deadman:
        os.kill(deadman._pid, signal.SIGKILL)
        os.waitid(os.P_PID, deadman._pid, os.WEXITED | os.WNOWAIT)
    assert not (tmp_path / "acted").exists()
