# SPDX-License-Identifier: Apache-2.0
"""The kernel's ``poll`` as it may happen to be: one descriptor after the other, with time in between."""

from __future__ import annotations

import os
import select

REAL = select.poll


class Late:
    """Looks at all descriptors before anything happened, but at processes (pidfds) when they have ended."""

    def __init__(self):
        self.inner, self.processes = REAL(), set()

    def register(self, fd, events):
        self.inner.register(fd, events)
        if os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[pidfd]":
            self.processes.add(fd)

    def unregister(self, fd):
        self.inner.unregister(fd)
        self.processes.discard(fd)

    def poll(self, milliseconds=None):
        if not self.processes:
            return self.inner.poll(milliseconds)
        ends = REAL()
        for fd in self.processes:
            ends.register(fd, select.POLLIN)
        return ends.poll(milliseconds)
