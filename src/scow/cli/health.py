# SPDX-License-Identifier: Apache-2.0
"""What looks after a container with a HEALTHCHECK: ``python -m scow.cli.health ID``."""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Look after a container until it ends."""
    from scow.cli.context import engine
    from scow.containers.health import watch
    from scow.errors import ScowError

    try:
        watch(engine().containers, argv[0])
    except ScowError:
        return 1  # nobody reads; the container's state stays as it was last seen
    return 0


if __name__ == "__main__":
    # As every command: closing the database would write all of it back, and let the next one begin its log anew.
    os._exit(main(sys.argv[1:]))
