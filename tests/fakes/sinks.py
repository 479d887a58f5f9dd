# SPDX-License-Identifier: Apache-2.0
"""In memory what an ingest is to a download."""

from __future__ import annotations

import hashlib

from scow.oci.digest import Digest


class Sink:
    """What an ingest is to a download."""

    def __init__(self, start=b""):
        self.data = bytearray(start)
        self.rewinds = 0

    @property
    def offset(self):
        return len(self.data)

    @property
    def digest(self):
        return Digest("sha256:" + hashlib.sha256(self.data).hexdigest())

    def write(self, data):
        self.data += data
        return len(data)

    def rewind(self):
        self.rewinds += 1
        self.data.clear()
