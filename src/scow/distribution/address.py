# SPDX-License-Identifier: Apache-2.0
"""Web addresses: one reading decides where a request goes and whether credentials may go along.

Stricter than :mod:`urllib.parse`, and a tenth of what that loads: a host is ASCII, and user names, spaces and control
characters are refused instead of dropped, for an address that two readers understand differently is how secrets leak.
"""

from __future__ import annotations

from scow.typing import NamedTuple

_PORTS = {"http": 80, "https": 443}
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._~")
_IPV6 = frozenset("abcdefghijklmnopqrstuvwxyz0123456789:.%-_~")


class Address(NamedTuple):
    """An absolute http or https URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: In lower case, an IPv6 address without its brackets.
        port: The scheme's own when the URL has none.
        target: Path and query, as the request names them.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def netloc(self) -> str:
        """``host[:port]``, the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Read an absolute URL; a fragment is left out.

    Source: RFC 3986, sections 3.1 to 3.4; RFC 9110, section 4.2.

    Args:
        url: The URL.

    Raises:
        ValueError: It is not http or https, has no host, a port out of range, a user name, or characters that no URL
            has.
    """
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in _PORTS or any(char <= " " or char == "\x7f" for char in url):
        raise ValueError("not a web address")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    host, port = split_host(rest[:end])
    target = rest[end:]
    return Address(
        scheme, host, _PORTS[scheme] if port is None else port, target if target[:1] == "/" else "/" + target
    )


def split_host(text: str) -> tuple[str, int | None]:
    """Read ``host[:port]``.

    Returns:
        The host, in lower case and without brackets, and the port if there is one.

    Raises:
        ValueError: There is no host, or the port is out of range.
    """
    allowed = _NAME
    host, port = text.lower(), ""
    if host[:1] == "[":
        host, found, port = host[1:].partition("]")
        allowed = _IPV6
        if not found or port[:1] not in {"", ":"}:
            raise ValueError("not a host")
        port = port[1:]
    else:
        host, _, port = host.partition(":")
    if not host or not allowed.issuperset(host):
        raise ValueError("not a host")
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("not a port")
    return host, int(port)


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have scheme, host and port in common: what decides whether credentials may go along."""
    try:
        return parse_address(one)[:3] == parse_address(other)[:3]
    except ValueError:
        return False
