# SPDX-License-Identifier: Apache-2.0
"""Which content may be believed: signatures on tags, and the keys that make them."""
