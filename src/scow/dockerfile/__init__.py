# SPDX-License-Identifier: Apache-2.0
"""Dockerfile text to a syntax tree, and advice about it."""
