# SPDX-License-Identifier: Apache-2.0
"""What the user asked for, laid over what the image says. Pure.

Source: docker's behaviour (daemon, ``merge``), observed with docker 28.2.2.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CONFIG = (
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "MacAddress",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
)


def merge(request: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """Work out a container's ``Config``.

    Args:
        request: Docker's body of a create request.
        image: The image's ``config``.

    Returns:
        Docker's ``Config``; only members that are set.

    Raises:
        InvalidArgumentError: Neither says what to run.
    """
    config = {name: request[name] for name in _CONFIG if request.get(name) is not None}
    if not config.get("User"):
        config["User"] = image.get("User") or ""
    if not config.get("Entrypoint"):
        if not config.get("Cmd"):
            config["Cmd"] = image.get("Cmd") or None
        if request.get("Entrypoint") is None:
            config["Entrypoint"] = image.get("Entrypoint") or None
    if config.get("Entrypoint") == [""]:
        config["Entrypoint"] = None
    config["Env"] = merge_env(config.get("Env") or (), image.get("Env") or ())
    for name in ("ExposedPorts", "Volumes", "Labels"):
        merged = {**(image.get(name) or {}), **(config.get(name) or {})}
        if merged or name == "Labels":
            config[name] = merged
    if not config.get("WorkingDir"):
        config["WorkingDir"] = image.get("WorkingDir") or ""
    for name in ("StopSignal", "StopTimeout", "Shell"):
        if config.get(name) is None and image.get(name) is not None:
            config[name] = image[name]
    check = merge_healthcheck(config.get("Healthcheck"), image.get("Healthcheck"))
    if check:
        config["Healthcheck"] = check
    if not command(config):
        raise InvalidArgumentError("No command specified", hint="Name a command after the image.")
    return config


def merge_env(own: Any, image: Any) -> list[str]:
    """The user's variables, then those of the image that the user does not set."""
    names = {entry.partition("=")[0] for entry in own}
    return [*own, *(entry for entry in image if entry.partition("=")[0] not in names)]


def merge_healthcheck(own: Any, image: Any) -> dict[str, Any] | None:
    """The user's health check, with what it leaves out taken from the image's."""
    if not own:
        return dict(image) if image else None
    merged = {**(image or {}), **{name: value for name, value in own.items() if value}}
    return merged if merged.get("Test") else None


def command(config: Mapping[str, Any]) -> list[str]:
    """The whole command line of a container."""
    return [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
