# SPDX-License-Identifier: Apache-2.0
"""Named images in the local store, and moving them."""
