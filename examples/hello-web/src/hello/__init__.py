# SPDX-License-Identifier: Apache-2.0
"""A guest book: the smallest web application that keeps something."""

from __future__ import annotations

__version__ = "1.0"
