# SPDX-License-Identifier: Apache-2.0
"""The generated pages are those that the tables give today."""

from __future__ import annotations

import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


def test_the_command_pages_are_current():
    program = os.path.join(ROOT, "tools", "gen_cli_docs.py")
    done = subprocess.run(
        [sys.executable, program, "--check"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
