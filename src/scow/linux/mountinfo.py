# SPDX-License-Identifier: Apache-2.0
"""What is mounted where, and whether what is mounted there is passed on to others.

Source: proc(5), ``/proc/pid/mountinfo``; mount_namespaces(7).
"""

from __future__ import annotations

import os


def place_of(path: str) -> tuple[str, bool, bool]:
    """Find the mount that a path is on.

    Args:
        path: Absolute path; links are followed.

    Returns:
        Its mount point, whether it is shared, and whether it follows another one.
    """
    wanted = os.path.realpath(path)
    best, shared, follows = "", False, False
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            point = unescape(fields[4])
            if len(point) >= len(best) and (wanted == point or wanted.startswith(point.rstrip("/") + "/")):
                options = fields[6 : fields.index("-")]
                best = point
                shared = any(option.startswith("shared:") for option in options)
                follows = any(option.startswith("master:") for option in options)
    return best, shared, follows


def mount_points(below: str) -> list[str]:
    """List what this thread sees mounted at or below a directory.

    Args:
        below: A directory, without a slash at its end.

    Returns:
        Mount points in the order they were made; one twice when two mounts lie on each other.
    """
    found = []
    with open("/proc/thread-self/mountinfo", "rb") as file:  # mounts belong to threads
        for line in file:
            path = unescape(os.fsdecode(line.split(b" ", 5)[4]))
            if path == below or path.startswith(below + "/"):
                found.append(path)
    return found


def unescape(text: str) -> str:
    """Undo the octal escapes of blanks and backslashes."""
    if "\\" not in text:
        return text
    head, *pieces = text.split("\\")
    return head + "".join(chr(int(piece[:3], 8)) + piece[3:] for piece in pieces)
