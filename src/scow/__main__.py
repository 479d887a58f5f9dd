# SPDX-License-Identifier: Apache-2.0
"""``python -m scow`` and the console script: hand over to the command line."""

from __future__ import annotations

import gc
import os
import sys

_COLLECT_EVERY = 50_000
"""Objects between two looks for garbage: short commands never look, long ones seldom (measured: 3 ms of ``run``)."""


def main() -> int:
    """Run the command line of this process and end it with its exit status."""
    gc.set_threshold(_COLLECT_EVERY)
    from scow.cli.main import main as cli_main

    status = cli_main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # the reader is gone; cli.main has had its say about that
    # Taking the interpreter apart piece by piece would take longer than many a command.
    os._exit(status)


if __name__ == "__main__":
    main()
