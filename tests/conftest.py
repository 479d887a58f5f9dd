# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: root tests are skipped loudly without root, and slow machines do not fail Hypothesis."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# timings on shared machines are noise: a property fails for what it found, never for how long it took
settings.register_profile("scow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# .ci/run has the same examples each time, so that what it says depends on the tree alone; everybody else finds new ones
settings.register_profile("ci", parent=settings.get_profile("scow"), derandomize=True)
settings.register_profile("thorough", parent=settings.get_profile("scow"), max_examples=2000)
settings.load_profile(os.environ.get("SCOW_HYPOTHESIS", "scow"))

# A shell without job control starts what it puts in the background with SIGINT ignored, and every child inherits that:
# the tests that press Ctrl-C would then wait for nothing. With a handler here, children have the default again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # tests/rootless/run says so: a user with subordinate ids does what root does, but for what the host keeps to itself
    rootless = bool(os.environ.get("SCOW_TEST_ROOTLESS"))
    if os.geteuid() == 0 and not rootless:
        return
    skip = pytest.mark.skip(reason="needs root on the host itself" if rootless else "needs root")
    for item in items:
        if ("host" if rootless else "root") in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """A folder for trees so deep that pytest's own clean-up would give up; it is gone after the test."""
    from scow.base.files import remove_tree

    folder = tmp_path / "deep-ones"
    folder.mkdir()
    yield folder
    remove_tree(str(folder))
