# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.containers.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [("b", "abc", True), ("^b", "abc", False), ("^a.c$", "abc", True), ("", "abc", True), ("[", "a[c", False)],
)
def test_filters_by_name_are_regular_expressions(pattern, name, found):
    assert matches(pattern, name) == found
