# SPDX-License-Identifier: Apache-2.0
"""``scow run``: create a container from an image and run it; the hottest path of the program."""

from __future__ import annotations

import os
import sys

from scow.cli.containerflags import FLAGS, RUN_FLAGS
from scow.cli.containerrequest import request
from scow.cli.flags import Command, CommandError, parse
from scow.errors import NotFoundError, ScowError, UntrustedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.engine import Engine

COMMAND = Command(
    name="run",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Create and run a new container from an image",
    min_args=1,
    interspersed=False,
    aliases=("container run", "run"),
    flags=tuple(sorted((*FLAGS, *RUN_FLAGS), key=lambda flag: flag.name)),
)
_FAILED = 125


def main(argv: list[str]) -> int:
    """Run a container; the exit status is the container's, or 125, 126, 127 as docker's."""
    options = parse(COMMAND, argv)
    detached: bool = options.detach
    body = request(options, detached=detached)
    if options.tty and body["AttachStdin"] and not os.isatty(0) and not detached:
        raise ScowError("the input device is not a TTY")
    if options["detach-keys"] and not detached:
        from scow.cli.attaching import detach_keys

        detach_keys(options["detach-keys"])  # refused where nobody could type them, too
    from scow.cli.context import engine as open_engine

    engine = open_engine(options, meanwhile=_load_next)
    try:
        containers = engine.containers
        containers.dedicated = True
        container = create(engine, options, body)
        if detached:
            from scow.containers.detached import start

            try:
                start(containers, container)
            finally:
                sys.stdout.write(container.id + "\n")
            return 0
        if body["Tty"] or not is_simple(container):
            from scow.cli.attaching import run_attached

            return run_attached(
                containers, container, keys=options["detach-keys"], proxy=options["sig-proxy"], start=True
            )
        return _foreground(containers, container, body, proxy=options["sig-proxy"])
    except CommandError:
        raise
    except ScowError as error:
        raise refusal(error) from error


def refusal(error: ScowError) -> CommandError:
    """Why a container was not made or started, with docker's exit status for that."""
    from scow.oci.platform import InvalidPlatformError
    from scow.oci.reference import InvalidReferenceError
    from scow.runtime.oci import StartError, failure_status

    # others have a status of another kind, such as a registry's of its answer
    status = error.status if isinstance(error, StartError) else failure_status(error.message)
    # docker's client, not its daemon, says what is not to be believed
    ours = (
        isinstance(error, (UntrustedError, InvalidReferenceError, InvalidPlatformError)) or error.code == "trust-server"
    )
    head = "" if ours else "Error response from daemon: "
    return CommandError(f"{head}{error.message}", status=status, hint=error.hint)


def _load_next() -> None:
    """What every run needs first."""
    from scow.base import sqlite
    from scow.containers import creating, service
    from scow.snapshot import choose

    del sqlite, creating, service, choose


def is_simple(container: Container) -> bool:
    """Whether this process can be the container's only monitor."""
    host = container.host
    if (host.get("RestartPolicy") or {}).get("Name") not in {None, "", "no"}:
        return False
    return "Healthcheck" not in container.config


def create(engine: Engine, options: Parsed, body: dict[str, Any]) -> Container:
    """Create the container, pulling the image when it is not here; write the ``--cidfile``.

    Args:
        engine: The store.
        options: The command line.
        body: Docker's body of a create request.

    Raises:
        CommandError: The file exists already.
    """
    cidfile = options.cidfile
    if cidfile and os.path.exists(cidfile):
        raise CommandError("container ID file found, make sure the other container isn't running or delete " + cidfile)
    policy = options.pull
    if policy not in {"always", "missing", "never"}:
        raise CommandError(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')
    if not cidfile:
        return _create(engine, options, body)
    _note_id(cidfile, "")  # before there is a container to name in it
    try:
        container = _create(engine, options, body)
    except BaseException:
        os.unlink(cidfile)
        raise
    _note_id(cidfile, container.id)
    return container


def _create(engine: Engine, options: Parsed, body: dict[str, Any]) -> Container:
    """Create the container, pulling the image when it is not here."""
    policy = options.pull
    wanted = engine.meant(body["Image"])
    body["Image"] = engine.pinned(wanted)
    platform = options.platform or engine.settings.default_platform
    if policy == "always" or (platform and _is_another(engine, body["Image"], platform)):
        if policy == "never":
            raise NotFoundError(f"No such image: {body['Image']} for {platform}")
        if policy == "missing":
            _note_missing(options, body["Image"])
        body["Image"] = _pull(engine, options, wanted)
    try:
        container = engine.containers.create(body, options.name)
    except NotFoundError as error:
        if error.code != "image-not-found" or policy == "never":
            raise
        _note_missing(options, body["Image"])
        body["Image"] = _pull(engine, options, wanted)
        container = engine.containers.create(body, options.name)
    while engine.containers.warnings:
        sys.stderr.write(f"WARNING: {engine.containers.warnings.pop(0)}\n")
    return container


def _note_id(path: str, identity: str) -> None:
    """Write the ``--cidfile``."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(identity)
    except OSError as error:
        reason = f"failed to create the container ID file: open {path}: {(error.strerror or '').lower()}"
        raise CommandError(reason, status=127 if isinstance(error, FileNotFoundError) else _FAILED) from None


def _is_another(engine: Engine, image: str, platform: str) -> bool:
    """Whether the image that has this name here is for another platform than the one asked for.

    Raises:
        InvalidPlatformError: That is no platform.
    """
    from scow.oci.model import Platform
    from scow.oci.platform import InvalidPlatformError, host_platform, parse_platform, score

    try:
        wanted = parse_platform(platform, host_platform(os.uname().machine))
    except InvalidPlatformError as error:
        error.message = f"error parsing specified platform: {error.message}"
        raise
    try:
        record = engine.images.resolve(image)
    except NotFoundError:
        return False
    return not score(wanted, Platform(record.os, record.architecture, record.variant))


def _note_missing(options: Parsed, image: str) -> None:
    from scow.oci.reference import Reference

    if options.quiet:
        return
    sys.stderr.write(f"Unable to find image '{Reference.parse(image).with_default_tag().familiar}' locally\n")
    sys.stderr.flush()


def _pull(engine: Engine, options: Parsed, image: str) -> str:
    from scow.cli.registryflags import show_pull

    pulled = show_pull(engine, image, options.platform, quiet=options.quiet)
    return pulled.reference.familiar if pulled.tagged else engine.meant(image)


def _foreground(containers: Containers, container: Container, body: dict[str, Any], *, proxy: bool) -> int:
    from scow.containers.foreground import run
    from scow.runtime.stdio import Streams

    streams = Streams(
        stdin=0 if body["OpenStdin"] and body["AttachStdin"] else None,
        stdout=1 if body["AttachStdout"] else None,
        stderr=2 if body["AttachStderr"] else None,
    )
    return run(containers, container, streams, proxy=proxy)
