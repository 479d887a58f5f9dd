# SPDX-License-Identifier: Apache-2.0
"""``python -m scow`` and the console script: hand over to the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process and return its exit status."""
    from scow.cli.main import main as cli_main

    return cli_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
