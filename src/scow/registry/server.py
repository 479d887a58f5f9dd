# SPDX-License-Identifier: Apache-2.0
"""The server: sockets, bodies and signals, with aiohttp on the plain asyncio loop.

One loop answers; what waits for the disk is done by threads. A blob goes from its file to the socket by sendfile(2); an
upload is written and hashed by a thread while the next part of it arrives, in a bounded buffer. When the server ends,
requests have a moment to end too; what an upload brought so far is kept, and any server of the directory goes on with
it.

This module and ``registry.auth`` are the only ones that import what is not in the standard library.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

from aiohttp import web

from scow.errors import InvalidArgumentError, ScowError, UnavailableError
from scow.oci.decode import MAX_MANIFEST_SIZE
from scow.oci.mediatype import is_manifest
from scow.registry import routes
from scow.registry.access import Access
from scow.registry.auth import Htpasswd, account_of
from scow.registry.certificate import Certificate
from scow.registry.front import Front, waits
from scow.registry.protocol import Answer, RefusedError, Request, refusal
from scow.registry.tokens import Tokens, challenge
from scow.registry.uploads import ended, wanted_digest
from scow.typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from scow.registry.front import Policy
    from scow.registry.routes import Route
    from scow.registry.storage import RegistryStore
    from scow.registry.uploads import Receiving

T = TypeVar("T")
_BATCH = 1 << 20
"""Bytes of an upload that are written at a time; up to three times as many are in memory."""
_THREADS = 16
_IDLE_SECONDS = 300.0
_TURN_SECONDS = 5.0
_FLUSH_SECONDS = 10.0
_SWEEP_SECONDS = 600.0
_NOTHING: Mapping[str, list[str]] = {}
_NAME: Mapping[str, str] = {"Server": "scow"}


class Listen(NamedTuple):
    """Where a server listens, and who may come.

    Attributes:
        host: A name or address, ``""`` for all.
        port: 0 for any that is free.
        certificate: A file with the certificate and those above it, ``""`` for plain HTTP.
        key: The file of its key.
        htpasswd: The file of accounts, ``""`` to let everybody in.
        access: The file of what accounts may do, ``""`` to let all do everything.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    certificate: str = ""
    key: str = ""
    htpasswd: str = ""
    access: str = ""


def parse_address(text: str) -> tuple[str, int]:
    """Read ``host:port``, ``[v6]:port`` or ``:port``.

    Raises:
        InvalidArgumentError: It is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidArgumentError(
            f"{text!r} is not an address", hint="Write it as 127.0.0.1:5000, [::1]:5000 or :5000."
        )
    return host, int(port)


class Server:
    """One registry server.

    Args:
        store: What it serves.
        policy: What it allows.
        listen: Where, and for whom.
        log: Takes a line for each trouble.
        requests: Whether it gets a line for each request too.

    Raises:
        InvalidArgumentError: The certificate or the accounts cannot be used.
        UnavailableError: The accounts cannot be read.
    """

    def __init__(
        self,
        store: RegistryStore,
        policy: Policy,
        listen: Listen,
        log: Callable[[str], object],
        *,
        requests: bool = False,
    ) -> None:
        self._store = store
        self._policy = policy
        self._listen = listen
        self._log = log
        self._requests = requests
        self._accounts = Htpasswd(listen.htpasswd) if listen.htpasswd else None
        self._access = Access(listen.access) if listen.access else None
        self._tokens = Tokens(store.secret())
        self._front = Front(store, policy, self._tokens, self._access)
        self._watched = [part.file.refresh for part in (self._accounts, self._access) if part is not None]
        self._tls = Certificate(listen.certificate, listen.key) if listen.certificate else None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._comparing = asyncio.Semaphore(2)
        self._pulls: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(_THREADS, "registry")

    # ------------------------------------------------------------------ life

    def run(self, ready: Callable[[str], object]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            ready: Called with each URL once it is listened at.

        Raises:
            UnavailableError: The address cannot be had.
        """
        asyncio.run(self._until_signal(ready))

    async def _until_signal(self, ready: Callable[[str], object]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await self.serve(ready, stop)

    async def serve(self, ready: Callable[[str], object], stop: asyncio.Event) -> None:
        """Serve until an event.

        Args:
            ready: Called with each URL once it is listened at.
            stop: Ends it.

        Raises:
            UnavailableError: The address cannot be had.
        """
        # whoever sends nonsense would fill the error output with tracebacks
        quiet = logging.getLogger("scow.registry.http")
        quiet.disabled = True
        # bodies are kept as they come
        inner = web.Server(self._handle, access_log=None, logger=quiet, auto_decompress=False, read_bufsize=_BATCH)
        runner = web.ServerRunner(inner, shutdown_timeout=self._policy.grace_seconds)
        await runner.setup()
        chores = asyncio.create_task(self._chores())
        try:
            host, port = self._listen.host or None, self._listen.port
            context = self._tls.context if self._tls is not None else None
            try:
                await web.TCPSite(runner, host, port, ssl_context=context, backlog=512).start()
            except OSError as error:
                where = f"{host or ''}:{port}"
                raise UnavailableError(f"cannot listen at {where}: {error.strerror or error}") from error
            for address in runner.addresses:
                ready(_url(address, tls=self._tls is not None))
            await stop.wait()
        finally:
            chores.cancel()
            await runner.cleanup()
            await self._count_pulls()
            self._pool.shutdown()

    async def _chores(self) -> None:
        """Write down how often repositories are pulled, take a renewed certificate, let uploads expire."""
        since = _SWEEP_SECONDS
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self._count_pulls()
            since += _FLUSH_SECONDS
            try:
                if self._tls is not None:
                    self._tls.refresh()
                if since >= _SWEEP_SECONDS:
                    since = 0.0
                    await self._thread(self._store.content.sweep_ingests, self._policy.upload_seconds)
            except (ScowError, OSError) as error:
                self._log(f"{type(error).__name__}: {error}")

    async def _count_pulls(self) -> None:
        pulls, self._pulls = self._pulls, {}
        if pulls:
            with suppress(ScowError):  # a number for searches is not worth failing for
                await self._thread(self._store.metadata.count_pulls, list(pulls.items()))

    async def _thread(self, call: Callable[..., T], *values: object) -> T:
        """Let a thread do something, and be there until it has, also when this request is broken off."""
        done = asyncio.get_running_loop().run_in_executor(self._pool, call, *values)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise

    # ------------------------------------------------------------------ one request

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        user = None
        try:
            user = await self._admit(incoming)
            answer = await self._answer(incoming, user)
        except ScowError as error:
            answer = refusal(error)
            if answer.status == 401:
                answer = answer._replace(headers={**answer.headers, "WWW-Authenticate": self._challenge(incoming)})
            self._note(error, answer)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            if incoming.transport is None or incoming.transport.is_closing():
                raise ConnectionResetError from error  # the client is gone, and with it the rest of the body
            answer = refusal(ScowError("failed in a way it does not foresee"))
            self._note(error, answer)
        if self._requests:
            size = answer.file.size if answer.file else len(answer.body)
            self._log(f'{incoming.remote} {user or "-"} "{incoming.method} {incoming.path_qs}" {answer.status} {size}')
        return await _sent(incoming, answer)

    def _note(self, error: Exception, answer: Answer) -> None:
        if answer.status >= 500:
            self._log(f"{type(error).__name__}: {error}")

    async def _admit(self, incoming: web.BaseRequest) -> str | None:
        """Find out who asks.

        Returns:
            The user; ``""`` where nobody needs an account, and for who has a token without one; ``None`` for who has
            said nothing, where something is allowed to everybody.

        Raises:
            RefusedError: The password or the token is wrong, or there is neither.
        """
        if self._accounts is None:
            return ""
        for refresh in self._watched:
            trouble = refresh()
            if trouble:
                self._log(f"{trouble}; what it said before counts")
        header = incoming.headers.get("Authorization")
        if header is None and self._open_to_everybody:
            return None
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() == "bearer":
            owner = self._tokens.user_of(token.strip(), time.time())
            if owner or (owner == "" and self._open_to_everybody):
                return owner
        account = account_of(header)
        if account is not None:
            if self._accounts.is_remembered(account):
                return account.user
            async with self._comparing:  # bcrypt is slow on purpose: guessing must not take every thread
                if await self._thread(self._accounts.check, account):
                    return account.user
        raise RefusedError(401, "UNAUTHORIZED", "a user and a password are needed")

    @property
    def _open_to_everybody(self) -> bool:
        return self._access is not None and self._access.knows_everybody

    def _challenge(self, incoming: web.BaseRequest) -> str:
        """How a client may say who it is: with a token where some come without an account, else with a password."""
        if not self._open_to_everybody or incoming.path == "/token":
            return 'Basic realm="scow registry"'
        tls = self._tls is not None or incoming.headers.get("X-Forwarded-Proto") == "https"
        origin = f"{'https' if tls else 'http'}://{incoming.host}"
        return challenge(origin, routes.find_route(incoming.path), incoming.method)

    async def _answer(self, incoming: web.BaseRequest, user: str | None) -> Answer:
        request = _request(incoming, user or "")
        route = self._front.route(request)
        if user is None and route.kind == routes.PING:  # where clients learn how to say who they are
            raise RefusedError(401, "UNAUTHORIZED", "a token is needed, which is given without an account too")
        if route.kind == routes.UPLOAD:
            return await self._upload(incoming, request, route)
        if route.kind == routes.UPLOADS and request.first("digest") and not request.first("mount"):
            return await self._at_once(incoming, request, route)
        if (route.kind, request.method) in {(routes.MANIFEST, "PUT"), (routes.TRUST, "POST")}:
            raw = await _small_body(incoming)
            return await self._thread(self._front.answer, request, route, raw)
        if waits(route, request.method):
            return await self._thread(self._front.answer, request, route)
        answer = self._front.answer(request, route)
        if route.kind == routes.MANIFEST and answer.body and is_manifest(answer.headers["Content-Type"]):
            self._pulls[route.name] = self._pulls.get(route.name, 0) + 1
        return answer

    # ------------------------------------------------------------------ uploads

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Wait until an earlier request of the same upload has ended, which takes a moment when its client is gone."""
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise RefusedError(
                409, "BLOB_UPLOAD_INVALID", "another request is writing to this upload", {"Retry-After": "1"}
            ) from None
        try:
            yield
        finally:
            lock.release()

    async def _upload(self, incoming: web.BaseRequest, request: Request, route: Route) -> Answer:
        if request.method == "GET":
            with suppress(RefusedError):  # still being written: the answer is how far that is
                async with self._turn(route.ref):
                    pass
            return await self._thread(self._front.answer, request, route)
        digest = wanted_digest(request) if request.method == "PUT" else None
        async with self._turn(route.ref):
            if request.method == "DELETE":
                return await self._thread(self._front.answer, request, route)
            receiving = await self._open(incoming, request, route.name, route.ref, digest.algorithm if digest else "")
            try:
                await self._pour(incoming, receiving)
                if digest is None:
                    return Answer(202, self._front.uploads.headers(route.name, route.ref, receiving.offset))
                await self._thread(receiving.commit, route.name, digest)
                return ended(route.name, digest)
            finally:
                await self._thread(receiving.keep)

    async def _at_once(self, incoming: web.BaseRequest, request: Request, route: Route) -> Answer:
        """A blob in a single request; nothing of it stays when that fails, as its client knows no upload."""
        digest = wanted_digest(request)
        key = await self._thread(self._front.uploads.begin, route.name, request)
        receiving = await self._open(incoming, request, route.name, key, digest.algorithm)
        try:
            await self._pour(incoming, receiving)
            await self._thread(receiving.commit, route.name, digest)
        finally:
            await self._thread(receiving.discard)
        return ended(route.name, digest)

    async def _open(
        self, incoming: web.BaseRequest, request: Request, name: str, key: str, algorithm: str
    ) -> Receiving:
        return await self._thread(self._front.uploads.open, name, key, request, incoming.content_length, algorithm)

    async def _pour(self, incoming: web.BaseRequest, receiving: Receiving) -> None:
        """Write a body to its upload: a batch is written and hashed while the next one arrives.

        Raises:
            RefusedError: It is longer than it may be, or not as long as it says; what it brought is dropped.
        """
        await _go_on(incoming)
        limit = receiving.limit if receiving.end is None else receiving.end
        come = receiving.offset
        writing: asyncio.Future[Any] | None = None
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await _read(incoming):
                pieces.append(piece)
                size += len(piece)
                come += len(piece)
                if come > limit:
                    break
                if size >= _BATCH:
                    if writing is not None:
                        await writing
                    writing, pieces, size = asyncio.ensure_future(self._thread(receiving.write, pieces)), [], 0
        finally:
            # also when the client is gone: what came is kept, and nobody may write after this
            if writing is not None:
                await writing
            if pieces and come <= limit:
                await self._thread(receiving.write, pieces)
        if receiving.end is not None and come != receiving.end:
            await self._thread(receiving.back)
            raise RefusedError(400, "SIZE_INVALID", "the chunk is not as long as its range says")
        if come > limit:
            await self._thread(receiving.back)
            raise RefusedError(413, "SIZE_INVALID", f"a blob may have {limit} bytes here")


# ------------------------------------------------------------------------------------------------ to and from aiohttp


def _request(incoming: web.BaseRequest, user: str) -> Request:
    headers: Mapping[str, str] = incoming.headers
    accepted = incoming.headers.getall("Accept", ())
    if len(accepted) > 1:
        several = incoming.headers.copy()
        several["Accept"] = ", ".join(accepted)
        headers = several
    query: Mapping[str, list[str]] = _NOTHING
    if incoming.query_string:
        given = incoming.rel_url.query
        query = {name: given.getall(name) for name in given}
    return Request(incoming.method, incoming.path, query, headers, user)


async def _go_on(incoming: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body: only now is it clear that the body is wanted."""
    if incoming.headers.get("Expect", "").lower() == "100-continue":
        await incoming.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        incoming.writer.output_size = 0  # as aiohttp does: the answer has not begun


async def _read(incoming: web.BaseRequest) -> bytes:
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            return await incoming.content.readany()
    except TimeoutError:
        raise RefusedError(408, "BLOB_UPLOAD_INVALID", "the body does not go on") from None


async def _small_body(incoming: web.BaseRequest) -> bytes:
    """Read a manifest, or an upload of trust data.

    Raises:
        RefusedError: It is too large (413).
    """
    too_large = RefusedError(413, "MANIFEST_INVALID", f"it may have {MAX_MANIFEST_SIZE} bytes at most")
    if (incoming.content_length or 0) > MAX_MANIFEST_SIZE:
        raise too_large
    await _go_on(incoming)
    body = bytearray()
    while piece := await _read(incoming):
        body += piece
        if len(body) > MAX_MANIFEST_SIZE:
            raise too_large
    return bytes(body)


async def _sent(incoming: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    if answer.file is None:
        return web.Response(status=answer.status, headers={**answer.headers, **_NAME}, body=answer.body)
    with answer.file.file as file:
        response = web.StreamResponse(status=answer.status, headers={**answer.headers, **_NAME})
        response.content_length = answer.file.size
        await response.prepare(incoming)
        transport = incoming.transport
        if transport is None:
            raise ConnectionResetError
        loop = asyncio.get_running_loop()
        await loop.sendfile(transport, file, answer.file.offset, answer.file.size)
    return response


def _url(address: Any, *, tls: bool) -> str:
    host, port = address[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
