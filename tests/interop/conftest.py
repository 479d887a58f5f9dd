# SPDX-License-Identifier: Apache-2.0
"""What most tests with real containers start from."""

from __future__ import annotations

import pytest

from fakes.busybox import make_scow


@pytest.fixture(scope="module")
def scow(tmp_path_factory, request):
    """The command with a store of its own that holds busybox; one for each module."""
    made = make_scow(str(tmp_path_factory.mktemp(request.module.__name__.removeprefix("test_"))))
    yield made
    made.clean()


@pytest.fixture
def ctx(tmp_path):
    """An empty build context."""
    (tmp_path / "c").mkdir()
    return tmp_path / "c"
