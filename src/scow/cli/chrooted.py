# SPDX-License-Identifier: Apache-2.0
"""``python -m scow.cli.chrooted``: the runtime of last resort, as a program; see ``runtime.chroot``."""

from __future__ import annotations

import sys


def main() -> None:
    """Do what the arguments say, and exit."""
    from scow.runtime.chroot.program import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
