# SPDX-License-Identifier: Apache-2.0
"""What handlers see of HTTP: a request, its answer, and the refusals in the protocol's own codes. No sockets here.

Source: OCI distribution-spec v1.1, "Error Codes"; RFC 9110.
"""

from __future__ import annotations

from scow.base.streams import BlobMismatchError
from scow.distribution.spec import API_VERSION, H_API_VERSION, H_DIGEST, WireError, error_body
from scow.errors import ScowError, UnavailableError
from scow.oci.digest import Digest, InvalidDigestError
from scow.oci.reference import valid_path
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

JSON = "application/json"
_NOTHING: Mapping[str, str] = {}


class Request(NamedTuple):
    """One request, without its body.

    Attributes:
        method: Such as ``GET``.
        path: Without its query, percent-decoded.
        query: Every value of every name.
        headers: Looked up by the usual spelling of their names, such as ``Content-Range``.
        user: Who asks, ``""`` where nobody needs an account.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    user: str = ""

    def first(self, name: str) -> str:
        """The first value of a name in the query, or ``""``."""
        values = self.query.get(name)
        return values[0] if values else ""


class Slice(NamedTuple):
    """A part of an open file; whoever sends it closes the file."""

    file: BinaryIO
    offset: int
    size: int


class Answer(NamedTuple):
    """What is sent back: a small body, or a part of a file."""

    status: int
    headers: Mapping[str, str] = _NOTHING
    body: bytes = b""
    file: Slice | None = None


class RefusedError(ScowError):
    """A client of the registry asked for what cannot be, and is told so in the protocol's words.

    Args:
        status: The HTTP status.
        wire: One of the specification's error codes.
        message: One sentence.
        headers: What the answer carries besides.
    """

    code = "refused-by-registry"

    def __init__(self, status: int, wire: str, message: str, headers: Mapping[str, str] = _NOTHING) -> None:
        super().__init__(message)
        self.http_status = status
        self.wire = wire
        self.headers = headers


def refusal(error: ScowError) -> Answer:
    """Say in an answer what went wrong.

    Args:
        error: What a handler raised.
    """
    if isinstance(error, RefusedError):
        status, wire, headers = error.http_status, error.wire, dict(error.headers)
    elif isinstance(error, BlobMismatchError):
        status, wire, headers = 400, "DIGEST_INVALID", {}
    elif isinstance(error, UnavailableError):
        status, wire, headers = error.http_status, "UNAVAILABLE", {"Retry-After": "5"}
    else:
        status, wire, headers = error.http_status, "UNKNOWN", {}
    headers |= {"Content-Type": JSON, H_API_VERSION: API_VERSION}
    # what happens inside is the operator's business: the log has the sentence
    message = error.message if status < 500 else "the registry failed; its log says why"
    return Answer(status, headers, error_body([WireError(wire, message)]))


def digest_of(text: str, *, status: int = 400) -> Digest:
    """Read a digest out of a request.

    Raises:
        RefusedError: It is none (400 DIGEST_INVALID).
    """
    try:
        return Digest(text)
    except InvalidDigestError as error:
        raise RefusedError(status, "DIGEST_INVALID", error.message) from error


def checked_name(name: str) -> str:
    """A repository's name out of a request.

    Raises:
        RefusedError: It does not follow the grammar (400 NAME_INVALID).
    """
    if not valid_path(name):
        raise RefusedError(400, "NAME_INVALID", f"{name[:300]!r} is not the name of a repository")
    return name


def stored_at(path: str, digest: Digest, **more: str) -> Answer:
    """The answer 201: content is here now, at a path."""
    return Answer(201, {"Location": path, H_DIGEST: digest, H_API_VERSION: API_VERSION, **more})


def unchanged(request: Request, tag: str) -> bool:
    """Whether the client has what is asked for already, by its ``If-None-Match``.

    Source: RFC 9110, 13.1.2.
    """
    wanted = request.headers.get("If-None-Match")
    return wanted is not None and (wanted.strip() == "*" or tag in [part.strip() for part in wanted.split(",")])
