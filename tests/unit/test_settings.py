# SPDX-License-Identifier: Apache-2.0
"""What the environment decides."""

from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.settings import Settings


@pytest.mark.parametrize("name", ["", "runc", "crun"])
def test_the_runtime_is_one_of_two(name):
    assert Settings.from_env({"HOME": "/h", "SCOW_RUNTIME": name}).runtime == name


def test_another_runtime_is_refused():
    with pytest.raises(InvalidArgumentError, match="SCOW_RUNTIME is 'kata'"):
        Settings.from_env({"HOME": "/h", "SCOW_RUNTIME": "kata"})
