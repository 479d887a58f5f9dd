# SPDX-License-Identifier: Apache-2.0
"""Runs a command as it would run in an ordinary container of docker: ``ordinary.py COMMAND...``.

Root keeps docker's default capabilities; the calls that docker's filter refuses without CAP_SYS_ADMIN fail with EPERM
(clone3 with ENOSYS, so that threads are made the old way). Standard library only, for any interpreter.
Source: seccomp(2), BPF; moby's default profile (facts).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

REFUSED = {
    "x86_64": (0xC000003E, (165, 166, 155, 272, 308, 428, 429, 430, 431, 432, 442), 435),
    "aarch64": (0xC00000B7, (40, 39, 41, 97, 268, 428, 429, 430, 431, 432, 442), 435),
}
KEPT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)  # CHOWN to SETFCAP, by number
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38


def program() -> bytes:
    """The filter."""
    audit, refused, missing = REFUSED[os.uname().machine]
    words = [(0x20, 0, 0, 4), (0x15, 1, 0, audit), (0x06, 0, 0, ALLOW), (0x20, 0, 0, 0)]
    words += [step for number in refused for step in ((0x15, 0, 1, number), (0x06, 0, 0, ERRNO | EPERM))]
    words += [(0x15, 0, 1, missing), (0x06, 0, 0, ERRNO | ENOSYS), (0x06, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *word) for word in words)


def confine() -> None:
    """Give up what docker does not give."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for number in range(64):
            if number not in KEPT and libc.prctl(23, number, 0, 0, 0) == 1:
                libc.prctl(24, number, 0, 0, 0)
        mask = sum(1 << number for number in KEPT)
        sets = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
        if libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), sets) != 0:
            raise OSError(ctypes.get_errno(), "capset")
    text = program()
    buffer = ctypes.create_string_buffer(text, len(text))
    fprog = struct.pack("@HxxxxxxP", len(text) // 8, ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, fprog, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    confine()
    os.execvp(sys.argv[1], sys.argv[1:])
