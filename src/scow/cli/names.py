# SPDX-License-Identifier: Apache-2.0
"""The name server of containers: ``python -m scow.cli.names ID RELAY``, with the container's sockets as 3 and 4."""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    """Answer until no container needs it any more."""
    from scow.cli.context import engine
    from scow.containers.networks_dns import answer
    from scow.errors import ScowError

    try:
        answer(engine().containers, argv[0], argv[1], (3, 4))
    except ScowError:
        return 1  # nobody reads; names are still in the containers' /etc/hosts
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
