# SPDX-License-Identifier: Apache-2.0
"""``scow exec``: run a command in a running container."""

from __future__ import annotations

import os

from scow.cli.containerrequest import ENVIRONMENT, environment
from scow.cli.flags import Command, CommandError, Flag, parse
from scow.errors import NotFoundError, ScowError

COMMAND = Command(
    name="exec",
    usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
    summary="Execute a command in a running container",
    min_args=2,
    interspersed=False,
    aliases=("container exec", "exec"),
    flags=(
        Flag("detach", "d", help="Detached mode: run command in the background"),
        Flag("detach-keys", kind="string", help="Override the key sequence for detaching a container"),
        *ENVIRONMENT,
        Flag("interactive", "i", help="Keep STDIN open even if not attached"),
        Flag("privileged", help="Give extended privileges to the command"),
        Flag("tty", "t", help="Allocate a pseudo-TTY"),
        Flag("user", "u", kind="string", help='Username or UID (format: "<name|uid>[:<group|gid>]")'),
        Flag("workdir", "w", kind="string", help="Working directory inside the container"),
    ),
)


def main(argv: list[str]) -> int:
    """Run the command; the exit status is its own."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    name, *args = options.args
    if options.tty and options.interactive and not options.detach and not os.isatty(0):
        raise ScowError("the input device is not a TTY")
    opened = engine()
    from scow.linux.cgroups import hasten

    hasten()  # now, because the runtime gets there soon
    from scow.containers.executing import Exec, run, run_detached, run_terminal
    from scow.runtime.oci import NOT_EXECUTABLE, StartError
    from scow.runtime.stdio import Streams

    try:
        env = tuple(environment(options["env-file"], options.env))
    except CommandError as error:
        raise ScowError(error.message) from None  # without the words of `run`
    if options["detach-keys"]:
        from scow.cli.attaching import detach_keys

        detach_keys(options["detach-keys"])  # refused where nobody could type them, too
    containers = opened.containers
    containers.dedicated = True
    container = containers.find(name)
    wish = Exec(
        args=tuple(args),
        env=env,
        user=options.user,
        cwd=options.workdir,
        terminal=options.tty,
        privileged=options.privileged,
    )
    try:
        if options.tty:
            from scow.cli.attaching import detach_keys

            keys = detach_keys(options["detach-keys"])
            stdin = 0 if options.interactive and not options.detach else None
            return run_terminal(containers, container, wish, stdin=stdin, stdout=1, keys=keys, detached=options.detach)
        if options.detach:
            run_detached(containers, container, wish)
            return 0
        return run(containers, container, wish, Streams(stdin=0 if options.interactive else None))
    except (StartError, NotFoundError) as error:
        from scow.cli.report import report

        report(error)
        if options.detach:
            return 1
        return error.status if isinstance(error, StartError) else NOT_EXECUTABLE
