# SPDX-License-Identifier: Apache-2.0
"""``scow context ls``, ``du`` and ``why``: what a build would see of a directory."""

from __future__ import annotations

import stat

from scow.cli.flags import Command, Flag, parse

_FILE = Flag("file", "f", kind="string", help='Name of the Dockerfile (default: "PATH/Dockerfile")')
LS = Command(
    name="ls",
    usage="[OPTIONS] [PATH]",
    summary="List the files of a build context",
    max_args=1,
    flags=(
        _FILE,
        Flag("format", kind="enum", default="text", choices=("json", "make", "text"), help='"text", "json" or "make"'),
    ),
)
DU = Command(
    name="du",
    usage="[OPTIONS] [PATH]",
    summary="Show what takes space in a build context",
    max_args=1,
    flags=(_FILE, Flag("json", help="Print as JSON")),
)
WHY = Command(
    name="why",
    usage="[OPTIONS] FILE [PATH]",
    summary="Explain why a file is in a build context or not",
    min_args=1,
    max_args=2,
    flags=(_FILE,),
)


def ls(argv: list[str]) -> int:
    """List the files."""
    import json
    import os

    from scow.build.contextview import ContextView

    options = parse(LS, argv)
    root = options.args[0] if options.args else "."
    rows = [(path, info) for path, info in ContextView(root, options.file).files() if not stat.S_ISDIR(info.st_mode)]
    if options.format == "json":
        found = [
            {"path": path, "size": info.st_size, "mode": f"{stat.S_IMODE(info.st_mode):04o}"} for path, info in rows
        ]
        print(json.dumps(found, indent=1))
    elif options.format == "make":
        names = " \\\n  ".join(os.path.join(root, path).replace(" ", "\\ ").replace("$", "$$") for path, _ in rows)
        print(f"image: {names}")
    else:
        for path, _ in rows:
            print(path)
    return 0


def du(argv: list[str]) -> int:
    """Show what takes space."""
    import json

    from scow.build.contextview import ContextView
    from scow.cli.format import human_size

    options = parse(DU, argv)
    rows = ContextView(options.args[0] if options.args else ".", options.file).usage()
    if options.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return 0
    width = max((len(row.path) for row in rows), default=0)
    seen = [row for row in rows if not row.ignored]
    for row in rows:
        if row.ignored:
            said = f"left out by {row.ignored!r}"
        elif row.users:
            said = f"used by: {row.users[0]}" + (f" and {len(row.users) - 1} more" if len(row.users) > 1 else "")
        else:
            said = "not copied by any instruction; suggest: add to .dockerignore"
        print(f"{human_size(row.size):>9}  {row.path:<{width}}  {said}")
    needed = [row for row in seen if row.users]
    print(
        f"total {human_size(sum(row.size for row in seen))} in {sum(row.files for row in seen):,} files; "
        f"used: {human_size(sum(row.size for row in needed))} in {sum(row.files for row in needed):,} files"
    )
    return 0


def why(argv: list[str]) -> int:
    """Say why a file is there or not; the exit status is 1 when it is not."""
    from scow.build.contextview import ContextView

    options = parse(WHY, argv)
    name = options.args[0]
    verdict = ContextView(options.args[1] if len(options.args) > 1 else ".", options.file).why(name)
    if not verdict.there:
        print(f"{name}: there is no such file")
        return 1
    if not verdict.included:
        print(f"{name}: excluded by {verdict.source} {verdict.pattern!r}")
        return 1
    print(f"{name}: included" + (f", brought back by {verdict.source} {verdict.pattern!r}" if verdict.pattern else ""))
    for use in verdict.uses:
        print(f"  used by: {use}")
    if not verdict.uses:
        print("  not copied by any instruction")
    return 0
