# SPDX-License-Identifier: Apache-2.0
"""Processes isolated from the host."""
