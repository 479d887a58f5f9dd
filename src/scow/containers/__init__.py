# SPDX-License-Identifier: Apache-2.0
"""Containers made from images."""
