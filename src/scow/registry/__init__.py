# SPDX-License-Identifier: Apache-2.0
"""The private registry: a server of the OCI distribution protocol over a directory of its own."""
