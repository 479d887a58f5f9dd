# SPDX-License-Identifier: Apache-2.0
"""Lists a page at a time: tags, repositories, what a search finds.

Source: OCI distribution-spec v1.1, "Listing Tags"; Docker's ``_catalog``; Docker Hub's old ``/v1/search`` as dockerd
and podman ask for it.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from scow.distribution.spec import API_VERSION, H_API_VERSION
from scow.registry.protocol import JSON, Answer, RefusedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.registry.metadata import FoundRepository, Metadata
    from scow.registry.protocol import Request

MAX_PAGE = 10_000
_CATALOG_PAGE = 1000
_SEARCH_PAGE, _MAX_SEARCH_PAGE = 25, 100


class Listings:
    """The lists of a registry.

    Args:
        metadata: What is in it.
        sees: Whether who asks may know of a repository.
    """

    def __init__(self, metadata: Metadata, sees: Callable[[Request, str], bool]) -> None:
        self._metadata = metadata
        self._sees = sees

    def tags(self, request: Request, name: str) -> Answer:
        """List the tags of a repository.

        Raises:
            RefusedError: There is no such repository.
        """
        if not self._metadata.exists(name):
            raise RefusedError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        return _page(
            request, {"name": name}, "tags", MAX_PAGE, lambda after, count: self._metadata.tags(name, after, count)
        )

    def catalog(self, request: Request) -> Answer:
        """List the repositories."""

        def rows(after: str, count: int) -> list[str]:
            found: list[str] = []
            while len(found) < count and (batch := self._metadata.repositories(after, count)):
                found += [name for name in batch if self._sees(request, name)]
                after = batch[-1]
            return found[:count]

        return _page(request, {}, "repositories", _CATALOG_PAGE, rows)

    def search(self, request: Request) -> Answer:
        """Find repositories."""
        size = min(_number(request, "n") or _SEARCH_PAGE, _MAX_SEARCH_PAGE)
        page = max(_number(request, "page") or 1, 1)
        term = request.first("q").strip()
        found = [entry for entry in self._metadata.search(term) if self._sees(request, entry.name)]
        document = {
            "num_pages": -(-len(found) // size),
            "num_results": len(found),
            "page": page,
            "page_size": size,
            "query": term,
            "results": [_result(entry) for entry in found[(page - 1) * size : page * size]],
        }
        return _json(document)


def _result(found: FoundRepository) -> dict[str, Any]:
    """A repository as Docker Hub shows it: those in ``library`` are the official ones, pulls are its stars."""
    return {
        "name": found.name,
        "description": found.description,
        "star_count": found.pulls,
        "is_official": found.name.startswith("library/"),
        "is_automated": False,
        "is_trusted": False,
    }


def _page(
    request: Request, document: dict[str, Any], member: str, usual: int, rows: Callable[[str, int], list[str]]
) -> Answer:
    asked = _number(request, "n")
    size = usual if asked is None else min(asked, MAX_PAGE)
    found = rows(request.first("last"), size + 1)
    page, more = found[:size], {}
    if len(found) > size and page:
        query = urlencode({"n": size, "last": page[-1]})
        more["Link"] = f'<{request.path}?{query}>; rel="next"'
    return _json({**document, member: page}, more)


def _number(request: Request, name: str) -> int | None:
    """A number of the query, ``None`` when it is not there.

    Raises:
        RefusedError: It is no number.
    """
    text = request.first(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise RefusedError(400, "PAGINATION_NUMBER_INVALID", f"{name}={text[:50]!r} is not a number of entries")
    return int(text)


def _json(document: dict[str, Any], more: dict[str, str] | None = None) -> Answer:
    headers = {"Content-Type": JSON, H_API_VERSION: API_VERSION, **(more or {})}
    return Answer(200, headers, json.dumps(document).encode())
