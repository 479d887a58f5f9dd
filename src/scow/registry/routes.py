# SPDX-License-Identifier: Apache-2.0
"""Paths to routes. A repository may be named like the protocol's own words, so paths are read from the end.

Source: OCI distribution-spec v1.1, "Endpoints"; Docker's ``_catalog`` and ``/v1/search``.
"""

from __future__ import annotations

from scow.typing import NamedTuple

PING, CATALOG, TAGS, MANIFEST, BLOB = "ping", "catalog", "tags", "manifest", "blob"
UPLOADS, UPLOAD, REFERRERS, SEARCH, SEARCH_PING = "uploads", "upload", "referrers", "search", "search-ping"
TOKEN = "token"  # noqa: S105 - a word
TRUST = "trust"

METHODS: dict[str, tuple[str, ...]] = {
    PING: ("GET", "HEAD"),
    CATALOG: ("GET",),
    TAGS: ("GET",),
    MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    BLOB: ("GET", "HEAD", "DELETE"),
    UPLOADS: ("POST",),
    UPLOAD: ("GET", "PATCH", "PUT", "DELETE"),
    REFERRERS: ("GET",),
    SEARCH: ("GET",),
    SEARCH_PING: ("GET",),
    TOKEN: ("GET",),
    TRUST: ("GET", "POST", "DELETE"),
}
"""What can be done with each."""

_WHOLE = {
    "/v2": PING,
    "/v2/": PING,
    "/v2/_catalog": CATALOG,
    "/v1/search": SEARCH,
    "/v1/_ping": SEARCH_PING,
    "/token": TOKEN,
}
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]")
_BEFORE_LAST = {"manifests": MANIFEST, "blobs": BLOB, "referrers": REFERRERS}


class Route(NamedTuple):
    """Where a request goes.

    Attributes:
        kind: One of the words of this module.
        name: The repository, unchecked.
        ref: The tag, digest or upload, unchecked.
    """

    kind: str
    name: str = ""
    ref: str = ""


def find_route(path: str) -> Route | None:
    """Find what a path means; ``None`` when it means nothing.

    Args:
        path: Percent-decoded.
    """
    if path in _WHOLE:
        return Route(_WHOLE[path])
    signed = _trust(path)
    if signed is not None:
        return signed
    parts = path.split("/")
    if len(parts) < 5 or parts[0] or parts[1] != "v2":
        return None
    before, last = parts[-2:]
    if before == "tags" and last == "list":
        return Route(TAGS, "/".join(parts[2:-2]))
    if parts[-3:-1] == ["blobs", "uploads"] and len(parts) > 5:
        return Route(UPLOAD if last else UPLOADS, "/".join(parts[2:-3]), last)
    if before == "blobs" and last == "uploads":
        return Route(UPLOADS, "/".join(parts[2:-2]))
    if before in _BEFORE_LAST and last:
        return Route(_BEFORE_LAST[before], "/".join(parts[2:-2]), last)
    return None


def _trust(path: str) -> Route | None:
    """Trust data of a repository, which is named in full there: the host as clients call it comes first.

    No part of a repository's name begins with an underscore, so that nothing else can be meant.
    """
    gun, mark, ref = path.partition("/_trust/tuf/")
    if not mark or not gun.startswith("/v2/"):
        return None
    host, slash, name = gun.removeprefix("/v2/").partition("/")
    if not ("." in host or ":" in host or host == "localhost"):
        host, name = "", host + slash + name
    return Route(TRUST, name, ref) if name and _HOST.issuperset(host) else None
