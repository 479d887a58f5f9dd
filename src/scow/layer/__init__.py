# SPDX-License-Identifier: Apache-2.0
"""File trees to and from changesets (OCI image-spec, layer.md)."""
