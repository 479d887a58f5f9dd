# SPDX-License-Identifier: Apache-2.0
"""Layers stacked into mountable trees; returns mounts, never mounts."""
