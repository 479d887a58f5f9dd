# SPDX-License-Identifier: Apache-2.0
"""What a monitor runs when its container has ended: ``python -m scow.cli.ended ID``."""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Settle a container that has ended, and restart it when its policy says so."""
    from scow.cli.context import engine
    from scow.containers.settling import has_ended
    from scow.errors import ScowError

    try:
        has_ended(engine().containers, argv[0])
    except ScowError:
        return 1  # the row says what went wrong, and nobody is there to read it here
    return 0


if __name__ == "__main__":
    # As every command: closing the database would write all of it back, and let the next one begin its log anew.
    os._exit(main(sys.argv[1:]))
