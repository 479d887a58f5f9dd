# SPDX-License-Identifier: Apache-2.0
"""The distribution protocol as data: routes, headers, error codes and the errors they become. Pure.

Both sides of the protocol use it: the client to build requests and to read answers, a server to write them.

Source: OCI distribution-spec v1.1; Docker registry HTTP API v2 for ``_catalog`` and the legacy error codes.
"""

from __future__ import annotations

from scow.distribution.address import parse_address
from scow.errors import (
    CorruptError,
    DeniedError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    RateLimitError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)
from scow.jsontext import dumps, loads
from scow.oci import mediatype
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scow.errors import (
        ScowError,
    )

API_VERSION = "registry/2.0"
H_API_VERSION = "Docker-Distribution-Api-Version"
H_DIGEST = "Docker-Content-Digest"
H_SUBJECT = "OCI-Subject"
H_FILTERS = "OCI-Filters-Applied"
H_CHUNK_MIN = "OCI-Chunk-Min-Length"
H_UPLOAD_UUID = "Docker-Upload-UUID"

MANIFEST_TYPES = (
    mediatype.OCI_INDEX_V1,
    mediatype.DOCKER_MANIFEST_LIST_V2,
    mediatype.OCI_MANIFEST_V1,
    mediatype.DOCKER_MANIFEST_V2,
)
"""What scow accepts as a manifest, best first."""

MAX_ERROR_BODY = 64 << 10
"""Bytes read of the body of a failed request."""
_DIGITS = 18
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~")  # Source: RFC 3986, 2.3

ERROR_CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)
"""Source: distribution-spec, "Error Codes"."""


class WireError(NamedTuple):
    """One entry of a registry's error body."""

    code: str
    message: str


class _FromRegistry:
    """What every error that a registry answered carries."""

    status: int = 0
    codes: tuple[str, ...] = ()
    side: str = "registry"


class RegistryError(_FromRegistry, UnavailableError):
    """The registry failed (5xx) or answered something that fits nowhere else."""

    code = "registry"


class RegistryNotFoundError(_FromRegistry, NotFoundError):
    """The registry does not have it."""

    code = "registry-not-found"


class RegistryUnauthenticatedError(_FromRegistry, UnauthenticatedError):
    """The registry wants credentials, or other ones."""

    code = "registry-unauthenticated"


class RegistryDeniedError(_FromRegistry, DeniedError):
    """The registry knows the user and refuses."""

    code = "registry-denied"


class RegistryRateLimitError(_FromRegistry, RateLimitError):
    """The registry asks to slow down."""

    code = "registry-rate-limit"


class RegistryRefusedError(_FromRegistry, InvalidArgumentError):
    """The registry finds the request malformed."""

    code = "registry-refused"


class RegistryTooLargeError(_FromRegistry, LimitError):
    """The registry finds the content too large."""

    code = "registry-too-large"


class RegistryUnsupportedError(_FromRegistry, UnsupportedError):
    """The registry does not offer this operation."""

    code = "registry-unsupported"


class BadAnswerError(CorruptError):
    """The registry answered against the protocol."""

    code = "registry-bad-answer"


_BY_STATUS: dict[int, type[ScowError]] = {
    400: RegistryRefusedError,
    401: RegistryUnauthenticatedError,
    403: RegistryDeniedError,
    404: RegistryNotFoundError,
    405: RegistryUnsupportedError,
    413: RegistryTooLargeError,
    416: RegistryRefusedError,
    429: RegistryRateLimitError,
    501: RegistryUnsupportedError,
}


# ---------------------------------------------------------------------------------------------------------- routes


def ping_path() -> str:
    """end-1."""
    return "/v2/"


def catalog_path(n: int = 0, last: str = "") -> str:
    """The list of repositories, an extension of Docker's. ``n`` is the page size, 0 for the server's own."""
    return "/v2/_catalog" + _page(n, last)


def tags_path(name: str, n: int = 0, last: str = "") -> str:
    """end-8."""
    return f"/v2/{name}/tags/list" + _page(n, last)


def manifest_path(name: str, reference: str) -> str:
    """end-3, end-7 and end-9: ``reference`` is a tag or a digest."""
    return f"/v2/{name}/manifests/{_quoted(reference)}"


def blob_path(name: str, digest: str) -> str:
    """end-2 and end-10."""
    return f"/v2/{name}/blobs/{_quoted(digest)}"


def uploads_path(name: str, *, mount: str = "", source: str = "") -> str:
    """end-4a, and end-11 when ``mount`` names a digest (``source``: the repository that has it)."""
    query = {"mount": mount, "from": source} if mount else {}
    return f"/v2/{name}/blobs/uploads/" + _query({key: value for key, value in query.items() if value})


def referrers_path(name: str, digest: str, artifact_type: str = "") -> str:
    """end-12."""
    query = _query({"artifactType": artifact_type} if artifact_type else {})
    return f"/v2/{name}/referrers/{_quoted(digest)}{query}"


def _page(n: int, last: str) -> str:
    query: dict[str, str] = {}
    if n:
        query["n"] = str(n)
    if last:
        query["last"] = last
    return _query(query)


def _query(members: Mapping[str, str]) -> str:
    if not members:
        return ""
    from urllib.parse import urlencode

    return "?" + urlencode(members)


def _quoted(text: str) -> str:
    if _UNRESERVED.issuperset(text.replace(":", "")):  # every tag and digest that is one
        return text
    from urllib.parse import quote

    return quote(text, safe=":")


def with_digest(location: str, digest: str) -> str:
    """The URL that closes an upload (end-6): ``location`` with ``digest`` added to whatever query it has."""
    joiner = "&" if "?" in location else "?"
    return f"{location}{joiner}digest={_quoted(digest).replace(':', '%3A')}"


def referrers_tag(digest: str) -> str:
    """The fallback tag under which referrers of ``digest`` are listed.

    Source: distribution-spec v1.1, "Referrers Tag Schema".
    """
    algorithm, _, encoded = digest.partition(":")
    text = f"{algorithm[:32]}-{encoded[:64]}"
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in text)


# ---------------------------------------------------------------------------------------------------------- headers


def join(url: str, target: str) -> str:
    """An absolute URL from one that a server gave, relative to the one that was asked.

    Raises:
        BadAnswerError: It is no URL.
    """
    from urllib.parse import urljoin

    try:
        joined = urljoin(url, target)
        parse_address(joined)
    except ValueError as error:
        raise BadAnswerError(f"the registry names {target[:200]!r}, which is no address") from error
    return joined


def next_link(header: str | None, url: str) -> str | None:
    """The next page named by a ``Link`` header, as an absolute URL.

    Args:
        header: The header's value, such as ``</v2/_catalog?last=b&n=2>; rel="next"``.
        url: The URL that was asked, against which a relative target is resolved.

    Source: RFC 8288; distribution-spec, "Listing Tags".
    """
    for part in _link_values(header or ""):
        target, _, parameters = part.partition(">")
        relations = [p.partition("=")[2].strip(' "') for p in parameters.split(";") if p.strip().startswith("rel")]
        if target.startswith("<") and any("next" in relation.split() for relation in relations):
            return join(url, target[1:])
    return None


def _link_values(header: str) -> list[str]:
    # commas may also stand inside <...>
    values: list[str] = []
    start = 0
    inside = False
    for position, char in enumerate(header):
        if char == "<":
            inside = True
        elif char == ">":
            inside = False
        elif char == "," and not inside:
            values.append(header[start:position].strip())
            start = position + 1
    return [*values, header[start:].strip()]


def number(text: str) -> int | None:
    """A count of bytes in a header; ``None`` for what is none, or larger than anything can be."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def uploaded(header: str | None) -> int | None:
    """How many bytes a registry has, from the ``Range: 0-<last>`` of an upload; ``None`` when it does not say.

    An empty upload is told as ``0-0`` by most servers, as ``0--1`` or nothing by some; a reported single byte is taken
    for none, which at worst sends one byte twice.
    """
    first, dash, last = (header or "").removeprefix("bytes=").removeprefix("bytes ").partition("-")
    end = number(last)
    if not dash or first.strip() != "0" or end is None:
        return 0 if header and dash else None
    return end + 1 if end else 0


class ContentRange(NamedTuple):
    """``Content-Range: bytes first-last/total``, ends included; ``total`` is ``None`` when unknown."""

    first: int
    last: int
    total: int | None


def content_range(header: str | None) -> ContentRange | None:
    """Read a ``Content-Range`` header; ``None`` when there is none or it makes no sense.

    Source: RFC 9110, 14.4.
    """
    unit, _, rest = (header or "").strip().partition(" ")
    span, slash, total = rest.strip().partition("/")
    begin, dash, end = span.partition("-")
    first, last, size = number(begin), number(end), number(total)
    if unit.lower() != "bytes" or not slash or not dash or first is None or last is None:
        return None
    if first > last or (size is not None and last >= size):
        return None
    return ContentRange(first, last, size)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait, from a ``Retry-After`` of seconds or of a date; ``None`` when it says nothing usable.

    Args:
        header: The header's value.
        now: Seconds since the epoch.

    Source: RFC 9110, 10.2.3.
    """
    text = (header or "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text)) if text.replace(".", "", 1).isdigit() else _until(text, now)
    except (ValueError, OverflowError):
        return None


def _until(date: str, now: float) -> float:
    from email.utils import parsedate_to_datetime

    return max(0.0, parsedate_to_datetime(date).timestamp() - now)


def warnings(headers: Iterable[tuple[str, str]]) -> list[str]:
    """The texts of ``Warning: 299 - "..."`` headers, without duplicates, at most 4096 characters in all.

    Source: distribution-spec, "Warnings".
    """
    found: list[str] = []
    for name, value in headers:
        if name.lower() == "warning" and value.startswith("299 ") and '"' in value:
            text = value[value.index('"') + 1 : value.rindex('"')]
            text = "".join(char for char in text if char.isprintable()).replace('\\"', '"')
            if text and text not in found and sum(map(len, found)) + len(text) <= 4096:
                found.append(text)
    return found


# ----------------------------------------------------------------------------------------------------------- errors


def parse_errors(body: bytes) -> tuple[WireError, ...]:
    """The entries of an error body; empty when it is not one.

    Hostile text is cut to 300 printable characters for each entry, 10 entries at most.
    """
    try:
        document = loads(body)
    except (ValueError, RecursionError):
        return ()
    entries = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        message = document.get("message") or document.get("details") if isinstance(document, dict) else None
        return (WireError("", _clean(message)),) if isinstance(message, str) and message else ()
    found = [
        WireError(_clean(str(entry.get("code") or "")), _clean(str(entry.get("message") or "")))
        for entry in entries[:10]
        if isinstance(entry, dict)
    ]
    return tuple(found)


def error_body(errors: Sequence[WireError]) -> bytes:
    """Write an error body, the server's side of :func:`parse_errors`."""
    return dumps({"errors": [{"code": e.code, "message": e.message} for e in errors]}).encode()


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


def error_from(what: str, status: int, headers: Mapping[str, str], body: bytes, *, now: float = 0.0) -> ScowError:
    """The error for a refused request.

    Args:
        what: What was tried, with host and name, such as ``"GET manifest 1 of localhost:5000/a"``.
        status: The HTTP status.
        headers: Of the answer; names in lower case.
        body: Of the answer, as far as it was read.
        now: Seconds since the epoch, for a ``Retry-After`` that is a date.

    Returns:
        An error of the kind that tells what to do, with ``status`` and ``codes`` set.
    """
    wire = parse_errors(body)
    codes = tuple(error.code for error in wire if error.code)
    kind = _kind(status, codes)
    said = "; ".join(_told(error) for error in wire if error.message or error.code)
    if kind is RegistryNotFoundError and not what.partition(" ")[0].endswith("ing"):
        what += " not found"  # a thing, not a deed
    message = f"{what}: {said}" if said else f"{what}: the registry answered {status}"
    error: ScowError
    if kind is RegistryRateLimitError:
        error = RegistryRateLimitError(
            message,
            retry_after=retry_after(headers.get("retry-after"), now),
            hint="The registry limits how often it is asked; log in to raise the limit, or wait.",
        )
    else:
        error = kind(message, hint=_HINTS.get(kind, ""))
    if isinstance(error, _FromRegistry):
        error.status, error.codes = status, codes
    return error


_HINTS: dict[type[ScowError], str] = {
    RegistryUnauthenticatedError: "Log in with `scow login`, or check the user name and password.",
    RegistryDeniedError: "The repository may not exist, or may require `scow login` with another account.",
}


def _told(error: WireError) -> str:
    """As docker shows it: ``manifest unknown: manifest unknown``."""
    return ": ".join(part for part in (error.code.lower().replace("_", " "), error.message) if part)


def _kind(status: int, codes: Sequence[str]) -> type[ScowError]:
    # some registries answer 400 or 403 for what the code says is something else
    if "TOOMANYREQUESTS" in codes:
        return RegistryRateLimitError
    if status in {400, 404} and any(code.endswith("_UNKNOWN") for code in codes):
        return RegistryNotFoundError
    if status in {400, 404} and "UNSUPPORTED" in codes:
        return RegistryUnsupportedError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return RegistryRefusedError if 400 <= status < 500 else RegistryError
