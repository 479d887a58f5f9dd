# SPDX-License-Identifier: Apache-2.0
"""What a server allows, and the way from a route to the handler that answers it. No sockets here.

Only the bodies of uploads do not come through here: they are streamed by ``registry.server``.
"""

from __future__ import annotations

import time

from scow.distribution.spec import API_VERSION, H_API_VERSION
from scow.registry import routes
from scow.registry.access import PULL, makes_key
from scow.registry.blobs import Blobs
from scow.registry.listings import Listings
from scow.registry.manifests import Manifests
from scow.registry.notary import Notary
from scow.registry.protocol import JSON, Answer, RefusedError, checked_name
from scow.registry.uploads import Uploads
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.registry.access import Access
    from scow.registry.protocol import Request
    from scow.registry.routes import Route
    from scow.registry.storage import RegistryStore
    from scow.registry.tokens import Tokens

DEFAULT_BLOB_SIZE = 64 << 30
DEFAULT_UPLOAD_SECONDS = 24 * 3600.0
_MAX_OPEN_UPLOADS = 10_000
_READING = ("GET", "HEAD")


class Policy(NamedTuple):
    """What a server allows.

    Attributes:
        read_only: Nothing may be changed.
        deletes: Tags, manifests and blobs may be deleted.
        sparse: A manifest may be pushed whose parts are missing.
        max_blob_size: The most bytes a blob may have.
        upload_seconds: When an upload that nobody goes on with expires.
        grace_seconds: How long requests may go on when the server is told to end.
    """

    read_only: bool = False
    deletes: bool = True
    sparse: bool = False
    max_blob_size: int = DEFAULT_BLOB_SIZE
    upload_seconds: float = DEFAULT_UPLOAD_SECONDS
    grace_seconds: float = 5.0


class Front:
    """Every handler of one registry.

    Args:
        store: Its content.
        policy: What is allowed.
        tokens: Gives tokens to who asks for one.
        access: What each account may do; ``None`` lets all do everything.
    """

    def __init__(self, store: RegistryStore, policy: Policy, tokens: Tokens, access: Access | None = None) -> None:
        self.uploads = Uploads(store, policy.max_blob_size, _MAX_OPEN_UPLOADS)
        self._policy = policy
        self._access = access
        self._blobs = Blobs(store, self._sees)
        self._manifests = Manifests(store, sparse=policy.sparse)
        self._notary = Notary(store.db)
        listings = Listings(store.metadata, self._sees)
        self._lists: dict[str, Callable[[Request], Answer]] = {
            routes.PING: _ping,
            routes.SEARCH_PING: _search_ping,
            routes.CATALOG: listings.catalog,
            routes.SEARCH: listings.search,
            routes.TOKEN: lambda request: Answer(200, {"Content-Type": JSON}, tokens.issue(request.user, time.time())),
        }
        self._tags = listings.tags

    def route(self, request: Request) -> Route:
        """Find what a request means, and whether it is allowed.

        Raises:
            RefusedError: There is nothing, or it cannot be done.
        """
        route = routes.find_route(request.path)
        if route is None:
            raise RefusedError(404, "NAME_UNKNOWN", f"there is nothing at {request.path[:300]!r}")
        known = routes.METHODS[route.kind]
        if route.kind == routes.TOKEN and request.method == "POST":
            raise RefusedError(404, "UNSUPPORTED", "tokens are asked for with GET")  # 404 makes clients do that
        if request.method not in known:
            raise RefusedError(
                405, "UNSUPPORTED", f"{request.method[:20]} is not possible here", {"Allow": ", ".join(known)}
            )
        if self._policy.read_only and (request.method not in _READING or makes_key(route)):
            raise RefusedError(405, "UNSUPPORTED", "this registry is read-only")
        if not self._policy.deletes and request.method == "DELETE" and route.kind != routes.UPLOAD:
            raise RefusedError(405, "UNSUPPORTED", "this registry does not delete")
        if route.name:
            checked_name(route.name)
        if self._access is not None:
            self._access.check(request.user, route, request.method)
        return route

    def _sees(self, request: Request, name: str) -> bool:
        """Whether who asks may know of a repository."""
        return self._access is None or self._access.allows(request.user, name, PULL)

    def answer(self, request: Request, route: Route, body: bytes = b"") -> Answer:
        """Answer a request.

        Args:
            request: What is asked.
            route: What it means.
            body: A manifest, or an upload of trust data.

        Raises:
            RefusedError: It cannot be.
        """
        name, ref = route.name, route.ref
        match route.kind, request.method:
            case routes.MANIFEST, "GET" | "HEAD":
                return self._manifests.get(request, name, ref)
            case routes.MANIFEST, "PUT":
                return self._manifests.put(request, name, ref, body)
            case routes.MANIFEST, _:
                return self._manifests.delete(name, ref)
            case routes.BLOB, "GET":
                return self._blobs.get(request, name, ref)
            case routes.BLOB, "HEAD":
                return self._blobs.head(request, name, ref)
            case routes.BLOB, _:
                return self._blobs.delete(name, ref)
            case routes.REFERRERS, _:
                return self._manifests.referrers(request, name, ref)
            case routes.TAGS, _:
                return self._tags(request, name)
            case routes.TRUST, _:
                return self._notary.answer(request, ref, body)
            case routes.UPLOADS, _:
                return self._begin(request, name)
            case routes.UPLOAD, "GET":
                return self.uploads.status(name, ref)
            case routes.UPLOAD, _:
                return self.uploads.cancel(name, ref, request)
            case _:
                return self._lists[route.kind](request)

    def _begin(self, request: Request, name: str) -> Answer:
        """Mount a blob, or begin its upload."""
        mounted = self._blobs.mount(request, name) if request.first("mount") else None
        return mounted or Answer(202, self.uploads.headers(name, self.uploads.begin(name, request), 0))


def waits(route: Route, method: str) -> bool:
    """Whether a handler may wait for the disk, a lock or a long search, so that it must not hold others up."""
    if route.kind in {routes.CATALOG, routes.SEARCH, routes.UPLOAD, routes.TRUST}:
        return True
    return method not in _READING or (route.kind == routes.BLOB and method == "HEAD")


def _ping(_request: Request) -> Answer:
    return Answer(200, {"Content-Type": JSON, H_API_VERSION: API_VERSION}, b"{}")


def _search_ping(_request: Request) -> Answer:
    """What dockerd asks before a search; ``true`` makes it send the account it has."""
    return Answer(200, {"Content-Type": JSON, "X-Docker-Registry-Standalone": "true"}, b'{"standalone": true}')
