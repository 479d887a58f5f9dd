# SPDX-License-Identifier: Apache-2.0
"""Which account may do what in which repositories, by a file of rules.

::

    # account   repositories   rights
    anonymous   public/*       pull
    *           base/*         pull
    alice       team/*         push
    ci          *              push,delete

``*`` is every account and ``anonymous`` everybody, with or without one; a pattern's ``*`` stands for slashes too. An
account may do what any line about it says, and nothing else. Whoever may push may pull.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from scow.registry import routes
from scow.registry.protocol import RefusedError
from scow.registry.watching import WatchedFile
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.registry.routes import Route

PULL, PUSH, DELETE = "pull", "push", "delete"
EVERYBODY = "anonymous"
_FORM = "an account, a pattern of repositories and rights (pull, push, delete)"


class Line(NamedTuple):
    """One rule."""

    account: str
    repositories: str
    rights: frozenset[str]


class Access:
    """The rules of one file.

    Args:
        path: The file.

    Raises:
        InvalidArgumentError: A line is no rule.
        UnavailableError: The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.file = WatchedFile(path, _rule)

    def allows(self, user: str, repository: str, right: str) -> bool:
        """Whether an account may do something in a repository.

        Args:
            user: The account, ``""`` for somebody without.
            repository: The repository.
            right: ``PULL``, ``PUSH`` or ``DELETE``.
        """
        meant = {EVERYBODY, "*", user} if user else {EVERYBODY}
        return any(
            right in line.rights and line.account in meant and fnmatchcase(repository, line.repositories)
            for line in self.file.lines
        )

    @property
    def knows_everybody(self) -> bool:
        """Whether there is something that can be done without an account."""
        return any(line.account == EVERYBODY for line in self.file.lines)

    def check(self, user: str, route: Route, method: str) -> None:
        """Make sure that an account may do what it asks for.

        Raises:
            RefusedError: It may not (403 DENIED), or has to say first who it is (401).
        """
        right = needed(route, method)
        if route.name and not self.allows(user, route.name, right):
            if not user:
                raise RefusedError(401, "UNAUTHORIZED", f"an account is needed to {right} in {route.name}")
            raise RefusedError(403, "DENIED", f"{user} may not {right} in {route.name}")


def needed(route: Route, method: str) -> str:
    """The right that a request needs."""
    if route.kind in {routes.UPLOADS, routes.UPLOAD} or method in {"PUT", "POST"} or makes_key(route):
        return PUSH
    return DELETE if method == "DELETE" else PULL


def makes_key(route: Route) -> bool:
    """Whether a request asks for a key of the registry's, which is made when there is none."""
    return route.kind == routes.TRUST and route.ref.endswith(".key")


def _rule(text: str) -> Line:
    words = text.split()
    rights = frozenset(words[2].split(",")) if len(words) == 3 else frozenset()
    if not rights or rights - {PULL, PUSH, DELETE}:
        raise ValueError(_FORM)
    return Line(words[0], words[1], rights | {PULL} if PUSH in rights else rights)
