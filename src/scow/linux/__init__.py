# SPDX-License-Identifier: Apache-2.0
"""The kernel calls scow needs; the only room with ctypes."""
