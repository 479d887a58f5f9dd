# SPDX-License-Identifier: Apache-2.0
"""Docker's ``config.json``, as far as commands read it: default formats, and proxies for containers and builds.

Source: docker CLI manual, "Proxy configuration for the CLI"; ``ALL_PROXY`` and both spellings as docker CLI 28.2.2.
"""

from __future__ import annotations

import os

from scow.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIABLES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def client_config(key: str) -> Any:
    """Read one member of ``config.json`` in ``DOCKER_CONFIG`` or ``~/.docker``.

    A missing or unreadable file counts as empty, as for docker; what is no JSON object is told.

    Args:
        key: The member's name.

    Returns:
        Its value, ``None`` when it is not there.
    """
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            value = loads(file.read())
    except OSError:
        return None
    except ValueError as error:
        _tell(path, str(error))
        return None
    if isinstance(value, dict):
        return value.get(key)
    _tell(path, "it holds no object")
    return None


def _tell(path: str, reason: str) -> None:
    from scow.cli.report import note

    note(f"WARNING: Error parsing config file ({path}): {reason}")


def with_proxies(given: list[str]) -> list[str]:
    """Add the variables of the configured proxies.

    Args:
        given: What the command line sets, as ``NAME=value`` or ``NAME``; it wins.

    Returns:
        ``given`` and what was added.
    """
    proxies = client_config("proxies")
    chosen = proxies.get("default") if isinstance(proxies, dict) else None
    if not isinstance(chosen, dict):
        return given
    names = {entry.partition("=")[0] for entry in given}
    found = [*given]
    for member, variable in _VARIABLES.items():
        value = chosen.get(member)
        if isinstance(value, str) and value:
            found += [f"{name}={value}" for name in (variable, variable.lower()) if name not in names]
    return found
