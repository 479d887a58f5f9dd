# SPDX-License-Identifier: Apache-2.0
"""The life of one blob upload as a table, used by the client now and by a server later. Pure.

::

    state      event                    next
    (none)     POST                     open        202, a Location
    (none)     POST ?mount=             done | open 201 mounted, 202 refused
    open       PATCH, bytes fit         open        202, a new Location and Range
    open       PATCH, wrong start       open        416
    open       GET                      open        204, Location and Range
    open       PUT ?digest=, right      done        201
    open       PUT ?digest=, wrong      failed      400
    open       DELETE                   gone        204
    open       any, unknown session     gone        404

Source: OCI distribution-spec v1.1, "Pushing Blobs".
"""

from __future__ import annotations

from scow.distribution import spec
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.oci.digest import Digest

OPEN, DONE, FAILED, GONE = "open", "done", "failed", "gone"

TRANSITIONS: dict[tuple[str, str, int], str] = {
    ("", "POST", 201): DONE,
    ("", "POST", 202): OPEN,
    (OPEN, "PATCH", 201): OPEN,
    (OPEN, "PATCH", 202): OPEN,
    (OPEN, "PATCH", 204): OPEN,
    (OPEN, "PATCH", 416): OPEN,
    (OPEN, "PATCH", 404): GONE,
    (OPEN, "GET", 200): OPEN,
    (OPEN, "GET", 202): OPEN,
    (OPEN, "GET", 204): OPEN,
    (OPEN, "GET", 404): GONE,
    (OPEN, "PUT", 200): DONE,
    (OPEN, "PUT", 201): DONE,
    (OPEN, "PUT", 204): DONE,
    (OPEN, "PUT", 400): FAILED,
    (OPEN, "PUT", 404): GONE,
    (OPEN, "PUT", 416): OPEN,
    (OPEN, "DELETE", 204): GONE,
    (OPEN, "DELETE", 404): GONE,
}
"""(state, method, status) -> state. The lenient entries (200 and 204 for PUT, 201 and 204 for PATCH) are answers of
real registries and proxies that mean success."""


class Upload(NamedTuple):
    """An upload as the client sees it.

    Attributes:
        state: One of ``OPEN``, ``DONE``, ``FAILED``, ``GONE``.
        location: The absolute URL of the next request.
        offset: Bytes the registry is known to have.
        chunk_min: Fewest bytes of a chunk that is not the last one.
    """

    state: str
    location: str
    offset: int = 0
    chunk_min: int = 0


def started(status: int, url: str, headers: Mapping[str, str]) -> Upload | None:
    """The upload after a POST; ``None`` when the answer is against the protocol.

    Args:
        status: Of the answer.
        url: That was posted to.
        headers: Of the answer; names in lower case.
    """
    state = TRANSITIONS.get(("", "POST", status))
    location = headers.get("location", "")
    if state is None or (state == OPEN and not location):
        return None
    minimum = spec.number(headers.get(spec.H_CHUNK_MIN.lower(), "")) or 0
    return Upload(state, spec.join(url, location), 0, minimum)


def advanced(upload: Upload, method: str, status: int, headers: Mapping[str, str], sent: int = 0) -> Upload | None:
    """The upload after a PATCH, GET, PUT or DELETE; ``None`` when the answer fits no row of the table.

    Args:
        upload: Before the request.
        method: Of the request.
        status: Of the answer.
        headers: Of the answer; names in lower case.
        sent: Bytes of the request's body.
    """
    state = TRANSITIONS.get((upload.state, method, status))
    if state is None:
        return None
    location = spec.join(upload.location, headers.get("location", "")) if state == OPEN else ""
    offset = upload.offset + (sent if status < 300 else 0)
    told = spec.uploaded(headers.get("range"))
    if state == OPEN and told is not None and (method == "GET" or status < 300):
        offset = told
    return Upload(state, location or upload.location, offset, upload.chunk_min)


def chunk_range(offset: int, length: int) -> str:
    """The ``Content-Range`` of a chunk of ``length`` bytes at ``offset``: no unit, ends included."""
    return f"{offset}-{offset + length - 1}"


def closing_url(upload: Upload, digest: Digest) -> str:
    """The URL of the PUT that ends an upload."""
    return spec.with_digest(upload.location, digest)
