# SPDX-License-Identifier: Apache-2.0
"""Blobs addressed by digest."""
