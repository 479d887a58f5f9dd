# SPDX-License-Identifier: Apache-2.0
"""Which proxy serves which host, from the usual variables.

Source: the behaviour of ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` in docker (Go's httpproxy).
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.distribution.http1 import Connection


class Proxies:
    """Chooses proxies.

    Args:
        environ: Where the variables are read; lower case wins over upper case.

    Raises:
        InvalidArgumentError: A variable is not an address.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._by_scheme: dict[str, str] = {}
        for scheme in ("http", "https"):
            text = environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY") or ""
            # a CGI script's HTTP_PROXY is a header of the request ("httpoxy")
            if text and not (scheme == "http" and "REQUEST_METHOD" in environ):
                self._by_scheme[scheme] = text if "://" in text else f"http://{text}"
                if not _is_proxy(self._by_scheme[scheme]):
                    raise InvalidArgumentError(f"the variable {scheme.upper()}_PROXY is not the address of a proxy")
        rules = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._direct = [rule.strip().lower() for rule in rules.split(",") if rule.strip()]

    def proxy_for(self, scheme: str, host: str, port: int) -> str:
        """The proxy's URL, or ``""`` for a direct connection; loopback is always direct."""
        proxy = self._by_scheme.get(scheme, "")
        if not proxy or is_loopback(host) or any(_matches(rule, host.lower(), port) for rule in self._direct):
            return ""
        return proxy

    def authorization(self, proxy: str) -> dict[str, str]:
        """The header with the proxy's user and password, if its URL has them."""
        from binascii import b2a_base64
        from urllib.parse import unquote, urlsplit

        split = urlsplit(proxy)
        if split.username is None:
            return {}
        pair = f"{unquote(split.username)}:{unquote(split.password or '')}"
        return {"Proxy-Authorization": "Basic " + b2a_base64(pair.encode(), newline=False).decode()}

    def lead(self, connection: Connection, proxy: str) -> None:
        """Let a connection go through a proxy."""
        from urllib.parse import urlsplit

        split = urlsplit(proxy)
        connection.proxy = split.hostname or "", split.port or (443 if split.scheme == "https" else 80)
        if connection.context is not None:
            connection.tunnel = self.authorization(proxy)


def _is_proxy(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        split = urlsplit(url)
        return split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether the name or address means this machine: localhost, 127.0.0.0/8 or ::1."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if name.startswith("127.") and name.count(".") == 3:
        return all(part.isdigit() and int(part) < 256 for part in name.split("."))
    return name in {"::1", "0:0:0:0:0:0:0:1"}


def in_network(host: str, rule: str) -> bool:
    """Whether an address lies in a CIDR such as ``10.0.0.0/8``."""
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def _matches(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    if "/" in rule:
        return in_network(host, rule)
    name, colon, wanted = rule.rpartition(":")
    if colon and wanted.isdigit() and "]" not in wanted and ":" not in name.strip("[]"):
        if int(wanted) != port:
            return False
        rule = name
    rule = rule.strip("[]").removeprefix("*")
    if rule.startswith("."):
        return host.endswith(rule) or host == rule[1:]
    return host == rule or host.endswith("." + rule)
