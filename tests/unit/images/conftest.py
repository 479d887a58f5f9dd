# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.stores import Store


@pytest.fixture(params=["overlay", "erofs"])
def any_store(request, tmp_path):
    return Store(tmp_path / "store", request.param)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")
