# SPDX-License-Identifier: Apache-2.0
"""``scow completion``: print the completion script for a shell."""

from __future__ import annotations

from scow.cli.flags import Command, parse

COMMAND = Command(
    name="completion",
    usage="bash|zsh|fish",
    summary="Print the completion script for a shell",
    description=(
        "Print the completion script for a shell\n\n"
        "  bash:  source <(scow completion bash)\n"
        "  zsh:   source <(scow completion zsh)\n"
        "  fish:  scow completion fish | source"
    ),
    min_args=1,
    max_args=1,
)


def main(argv: list[str]) -> int:
    """Print the script."""
    options = parse(COMMAND, argv)
    from scow.cli.completion import script

    print(script(options.args[0]), end="")
    return 0
