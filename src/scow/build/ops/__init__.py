# SPDX-License-Identifier: Apache-2.0
"""What a build step can do: one kind of vertex a module."""
