# SPDX-License-Identifier: Apache-2.0
"""The registry protocol: what both sides share, and the client."""
