# SPDX-License-Identifier: Apache-2.0
"""How a container reaches the network: one module per mode."""
