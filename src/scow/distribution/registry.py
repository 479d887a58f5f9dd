# SPDX-License-Identifier: Apache-2.0
"""A whole registry: is it there, may we in, what does it hold, what can be found in it.

Source: OCI distribution-spec v1.1; Docker's ``_catalog`` extension and its old ``/v1/search``, which Docker Hub and
private registries with a search page still answer.
"""

from __future__ import annotations

from scow.distribution import spec
from scow.distribution.challenge import CATALOG_SCOPE, Scope
from scow.distribution.repository import pages, texts
from scow.errors import InvalidArgumentError, NotFoundError, ScowError, UnauthenticatedError, UnsupportedError
from scow.jsontext import loads
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from scow.distribution.credentials import Credential
    from scow.distribution.session import Session

MAX_RESULTS = 100
DEFAULT_RESULTS = 25
_SEARCH_SCOPE = Scope("registry", "catalog", frozenset({"search"}))
_SEARCH_BODY = 8 << 20
_TRUE = frozenset({"1", "true"})
_FALSE = frozenset({"0", "false"})


class NoSearchError(UnsupportedError):
    """The registry offers no search and no list of its repositories."""

    code = "no-search"


class Found(NamedTuple):
    """One repository that a search found."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


class SearchFilter(NamedTuple):
    """What found repositories must fulfil; ``None`` means any."""

    official: bool | None = None
    automated: bool | None = None
    stars: int = 0

    def accepts(self, found: Found) -> bool:
        """Whether one repository passes."""
        return (
            (self.official is None or found.official == self.official)
            and (self.automated is None or found.automated == self.automated)
            and found.stars >= self.stars
        )


def parse_filters(filters: Sequence[tuple[str, str]]) -> SearchFilter:
    """Read ``--filter`` options.

    Args:
        filters: Names and values, such as ``("is-official", "true")`` and ``("stars", "3")``.

    Raises:
        InvalidArgumentError: An unknown name or value, in docker's words.
    """
    values: dict[str, list[str]] = {}
    for name, value in filters:
        if name not in {"is-official", "is-automated", "stars"}:
            raise InvalidArgumentError(f"Invalid filter '{name}'")
        if value not in values.setdefault(name, []):
            values[name].append(value)
    stars = 0
    for value in values.get("stars", ()):
        if not value.removeprefix("-").isdecimal():
            raise InvalidArgumentError(f"Invalid filter 'stars={value}'")
        stars = max(stars, int(value))
    return SearchFilter(_switch("is-official", values), _switch("is-automated", values), stars)


def _switch(name: str, values: Mapping[str, Sequence[str]]) -> bool | None:
    """The one truth of a filter; all its values must agree."""
    given = values.get(name, ())
    found = {True if value in _TRUE else False if value in _FALSE else None for value in given}
    if given and (len(found) != 1 or None in found):
        raise InvalidArgumentError(f"Invalid filter '{name}=[{' '.join(given)}]'")
    return found.pop() if found else None


class Registry:
    """A registry as a whole.

    Args:
        domain: As users write it.
        session: The way to it.
        search_session: The way to its search, which for Docker Hub is another host.
    """

    def __init__(self, domain: str, session: Session, search_session: Session | None = None) -> None:
        self.domain = domain
        self.session = session
        self._search_session = search_session or session

    def ping(self) -> None:
        """Make sure that a registry answers.

        Raises:
            ScowError: Nobody answers, or not a registry.
        """
        with self.session.request(f"asking {self.domain}", "GET", spec.ping_path(), ok={200, 401}):
            return

    def login(self, credential: Credential) -> str:
        """Check credentials.

        Args:
            credential: What the user gave; the session was made with it.

        Returns:
            An identity token when the registry gave one, else ``""``.

        Raises:
            UnauthenticatedError: They are wrong.
        """
        url = self.session.base + spec.ping_path()
        if self.session.authorizer:
            self.session.authorizer.offline = True
        try:
            with self.session.request(f"logging in to {self.domain}", "GET", spec.ping_path()):
                pass
        except UnauthenticatedError as error:
            raise UnauthenticatedError(
                f"login attempt to {url} failed with status: 401 Unauthorized",
                hint=error.message if not credential.username else "Check the user name and the password.",
            ) from error
        return self.session.authorizer.refresh_token if self.session.authorizer else ""

    def catalog(self) -> Iterator[str]:
        """The names of all repositories.

        Raises:
            NoSearchError: The registry does not tell.
        """
        what = f"repositories of {self.domain}"
        try:
            for page in pages(self.session, what, spec.catalog_path(n=1000), (CATALOG_SCOPE,)):
                yield from texts(page, "repositories")
        except (NotFoundError, UnsupportedError) as error:
            raise NoSearchError(f"the registry {self.domain} does not list its repositories") from error

    def search(self, term: str, limit: int = DEFAULT_RESULTS, filters: SearchFilter | None = None) -> list[Found]:
        """Find repositories by a part of their name or description.

        Args:
            term: What to look for.
            limit: Most results, from 1 to 100.
            filters: What they must fulfil; applied before the limit.

        Raises:
            InvalidArgumentError: ``limit`` is out of range.
            NoSearchError: The registry offers no way to search.
        """
        if not 1 <= limit <= MAX_RESULTS:
            raise InvalidArgumentError(f"Limit {limit} is outside the range of [1, {MAX_RESULTS}]")
        wanted = filters or SearchFilter()
        # the server knows no filters, so as many as it gives are asked for when some will be dropped
        ask = limit if wanted == SearchFilter() else MAX_RESULTS
        try:
            found = self._search_v1(term, ask)
        except ScowError as error:
            if isinstance(error, UnauthenticatedError) or not _no_such_page(error):
                raise
            found = self._search_catalog(term)
        return [entry for entry in found if wanted.accepts(entry)][:limit]

    def _search_v1(self, term: str, count: int) -> list[Found]:
        from urllib.parse import urlencode

        path = "/v1/search?" + urlencode({"q": term, "n": count})
        what = f"searching {self.domain}"
        _, raw = self._search_session.read(what, path, _SEARCH_BODY, scopes=(_SEARCH_SCOPE,))
        try:
            results = loads(raw)["results"]
            entries = [entry for entry in results if isinstance(entry, dict)]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise spec.BadAnswerError(f"{what}: the registry's answer is not a list of results") from error
        return [_found(entry) for entry in entries]

    def _search_catalog(self, term: str) -> list[Found]:
        needle = term.lower()
        try:
            names = [name for name in self.catalog() if needle in name.lower()]
        except ScowError as error:
            if isinstance(error, UnauthenticatedError):
                raise
            raise NoSearchError(f"the registry {self.domain} offers no search") from error
        names.sort(key=lambda name: (name.rpartition("/")[2] != needle, name))
        return [Found(name) for name in names]


def _no_such_page(error: ScowError) -> bool:
    return isinstance(error, (NotFoundError, UnsupportedError, spec.BadAnswerError, spec.RegistryRefusedError))


def _found(entry: dict[str, Any]) -> Found:
    stars = entry.get("star_count")
    return Found(
        _line(entry.get("name")).removeprefix("library/"),
        _line(entry.get("description")),
        stars if isinstance(stars, int) else 0,
        entry.get("is_official") is True,
        entry.get("is_automated") is True,
    )


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:4096]).strip()
