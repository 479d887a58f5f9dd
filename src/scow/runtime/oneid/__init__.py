# SPDX-License-Identifier: Apache-2.0
"""CONTAINERS OF WHO HAS ONE ID: calls about owners and users, answered from records."""
