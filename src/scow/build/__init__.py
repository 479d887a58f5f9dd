# SPDX-License-Identifier: Apache-2.0
"""A syntax tree to an image."""
