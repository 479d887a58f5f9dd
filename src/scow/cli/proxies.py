# SPDX-License-Identifier: Apache-2.0
"""The proxies that docker's ``config.json`` gives to containers and builds.

Source: docker CLI manual, "Proxy configuration for the CLI"; ``ALL_PROXY`` and both spellings as docker CLI 28.2.2.
"""

from __future__ import annotations

import os

_VARIABLES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def with_proxies(given: list[str]) -> list[str]:
    """Add the variables of the configured proxies.

    Args:
        given: What the command line sets, as ``NAME=value`` or ``NAME``; it wins.

    Returns:
        ``given`` and what was added.
    """
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    try:
        with open(os.path.join(folder, "config.json"), "rb") as file:
            if b'"proxies"' not in file.read():
                return given  # as nearly always: `run` reads no JSON for it
    except OSError:
        return given
    from scow.cli.format import client_config

    proxies = client_config().get("proxies")
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
