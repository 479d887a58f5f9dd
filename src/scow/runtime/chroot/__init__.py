# SPDX-License-Identifier: Apache-2.0
"""THE LAST RESORT: processes in a changed root, for root where nothing can be mounted and no namespace made."""
