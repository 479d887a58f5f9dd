# SPDX-License-Identifier: Apache-2.0
"""The direction of imports, by import-linter's contracts in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


def test_imports_point_down():
    program = os.path.join(os.path.dirname(sys.executable), "lint-imports")
    if not os.path.exists(program):
        pytest.skip("import-linter is not installed in this environment")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
