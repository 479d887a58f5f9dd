# SPDX-License-Identifier: Apache-2.0
"""What writes a log with a bound: ``python -m scow.cli.logwriter PATH BYTES FILES``; 3 is the pipe, 4 a lock."""

from __future__ import annotations

import sys

_PIPE, _LOCK = 3, 4


def main(argv: list[str]) -> int:
    """Write until the monitor has ended."""
    from scow.runtime.logs import keep

    path, size, files = argv
    keep(_PIPE, _LOCK, path, int(size), int(files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
