# SPDX-License-Identifier: Apache-2.0
"""What docker's filters by name match: a regular expression, anywhere in the name."""

from __future__ import annotations

import re


def matches(pattern: str, text: str) -> bool:
    """Tell whether a filter's value means a name; one that is no expression means none.

    Source: moby 20.10, api/types/filters, ``Args.Match``.
    """
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False
