# SPDX-License-Identifier: Apache-2.0
"""CONTAINERS OF WHO HAS FEW IDS: calls about owners, users and devices, answered from records."""
