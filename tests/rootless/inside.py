# SPDX-License-Identifier: Apache-2.0
"""Runs pytest where an ordinary user's commands work: ``python inside.py PYTEST-ARGUMENTS``."""

from __future__ import annotations

import sys

import pytest

from scow.engine import Engine

standing = Engine().enter()
assert standing is not None, "this is for ordinary users"
print(f"mode: {standing.mode} ({standing.reason})", flush=True)
sys.exit(pytest.main(sys.argv[1:]))
