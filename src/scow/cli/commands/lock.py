# SPDX-License-Identifier: Apache-2.0
"""``scow lock``: write down the digests that a build depends on."""

from __future__ import annotations

import os
import sys

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="lock",
    usage="[OPTIONS] [PATH]",
    summary="Write down the digests that a build depends on",
    max_args=1,
    flags=(
        Flag("build-arg", kind="list", help="Set build-time variables"),
        Flag("build-context", kind="list", help='Additional build contexts (e.g., "name=path")'),
        Flag("file", "f", kind="string", help='Name of the Dockerfile (default: "PATH/Dockerfile")'),
        Flag("platform", kind="string", help="Platform that the build is for"),
        Flag("pull", help="Ask the registry what the names of images mean now"),
        Flag("target", kind="string", help="Stage that the build is for"),
    ),
)


def main(argv: list[str]) -> int:
    """Find the inputs, write the lock file, and say what changed in it."""
    from scow.build import locking
    from scow.cli.buildflags import COMMAND as BUILD
    from scow.cli.buildflags import read
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    root = options.args[0] if options.args else "."
    words = [f"--build-arg={text}" for text in options["build-arg"]]
    words += [f"--build-context={text}" for text in options["build-context"]]
    words += [f"--{name}={options[name]}" for name in ("file", "platform", "target") if options[name]]
    words += ["--pull"] * options.pull
    build = read(parse(BUILD, [*words, root]), os.environ)
    path, inputs = engine().builder.inputs(build)
    changes = locking.write(path, inputs)
    for line in changes:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{path}: {len(set(inputs))} inputs, {len(changes) or 'none'} changed\n")
    return 0
