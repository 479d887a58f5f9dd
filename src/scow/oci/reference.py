# SPDX-License-Identifier: Apache-2.0
"""Image references: ``[domain/]path[:tag][@digest]``, with docker's short forms.

The name ``scratch`` is reserved here: no reference can mean it.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.oci.digest import Digest, InvalidDigestError
from scow.typing import NamedTuple

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_NAME_MAX = 255
_TAG_MAX = 128
_LOWER_DIGITS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ") | _LOWER_DIGITS
_TAG_CHARS = _ALNUM | frozenset("_.-")
_HEX = frozenset("0123456789abcdef")


class InvalidReferenceError(InvalidArgumentError):
    """The text is not an image reference."""

    code = "invalid-reference"


class ReservedNameError(InvalidArgumentError):
    """``scratch`` means "no base image" and can name nothing."""

    code = "reserved-name"


class Reference(NamedTuple):
    """A normalised image reference.

    ``domain`` is always set (``docker.io`` by default) and ``path`` carries ``library/`` for official images, so that
    equal images have equal references.

    Source: distribution/reference grammar as docker uses it.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, name: str) -> Reference:
        """Parse what a user typed.

        Args:
            name: Such as ``ubuntu``, ``localhost:5000/my_repo:2.0`` or ``alpine@sha256:...``.

        Raises:
            InvalidReferenceError: It does not follow the grammar.
            ReservedNameError: It means ``scratch``.
        """
        return _parse(name)

    @property
    def repository(self) -> str:
        """``domain/path`` in full."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The repository as docker shows it: without ``docker.io/`` and ``library/``."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        rest = self.path.removeprefix(_OFFICIAL)
        return rest if self.path.startswith(_OFFICIAL) and "/" not in rest else self.path

    @property
    def suffix(self) -> str:
        """``:tag`` and ``@digest``, whichever are there."""
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """The reference as docker shows it."""
        return self.familiar_repository + self.suffix

    @property
    def canonical(self) -> str:
        """The reference in full, the key under which names are stored."""
        return self.repository + self.suffix

    def with_default_tag(self) -> Reference:
        """Add ``latest`` when there is neither a tag nor a digest."""
        return self if self.tag or self.digest else self._replace(tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Reference:
        """The same repository under another tag, without digest.

        Raises:
            InvalidReferenceError: ``tag`` is not a tag.
        """
        if not valid_tag(tag):
            raise InvalidReferenceError(f"{tag!r} is not a valid tag")
        return Reference(self.domain, self.path, tag)

    def with_digest(self, digest: Digest) -> Reference:
        """The same repository by digest, without tag."""
        return Reference(self.domain, self.path, None, digest)


def valid_tag(tag: str) -> bool:
    """Whether ``tag`` follows the grammar: a word character, then up to 127 of word characters, ``.`` and ``-``."""
    return 0 < len(tag) <= _TAG_MAX and _TAG_CHARS.issuperset(tag) and tag[0] not in ".-"


def valid_path(path: str) -> bool:
    """Whether ``path`` follows the grammar of a repository's path, such as ``library/alpine``."""
    return len(path) <= _NAME_MAX and all(_valid_component(component) for component in path.split("/"))


def _invalid(name: str, why: str = "", hint: str = "") -> InvalidReferenceError:
    return InvalidReferenceError(
        "invalid reference format" + (f": {why}" if why else ""), hint=hint or f"The name was {name[:200]!r}."
    )


def _parse(name: str) -> Reference:
    if len(name) == 64 and _HEX.issuperset(name):
        raise InvalidReferenceError(f"invalid repository name ({name}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest_text = name.partition("@")
    digest: Digest | None = None
    if at:
        try:
            digest = Digest(digest_text)
        except InvalidDigestError as error:
            raise _invalid(name, hint=error.message) from error
    head, slash, tail = rest.rpartition("/")
    tail, colon, tag = tail.partition(":")
    if colon and not valid_tag(tag):
        raise _invalid(name)
    domain, path = _split_domain(head + slash + tail)
    _check_domain(name, domain)
    _check_path(name, path)
    if domain == DEFAULT_DOMAIN and path == _OFFICIAL + "scratch":
        raise ReservedNameError("'scratch' is a reserved name")
    return Reference(domain, path, tag if colon else None, digest)


def _split_domain(repository: str) -> tuple[str, str]:
    first, slash, rest = repository.partition("/")
    is_domain = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, repository)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def _check_domain(name: str, domain: str) -> None:
    host, port = domain, ""
    if domain.startswith("["):
        address, bracket, after = domain[1:].partition("]")
        if not bracket or not address or not frozenset("0123456789abcdefABCDEF:").issuperset(address):
            raise _invalid(name)
        if after and not after.startswith(":"):
            raise _invalid(name)
        port, host = after[1:], ""
        if after and not port:
            raise _invalid(name)
    elif ":" in domain:
        host, _, port = domain.partition(":")
        if not port:
            raise _invalid(name)
    if port and not (port.isascii() and port.isdigit()):
        raise _invalid(name)
    for label in host.split(".") if host else ():
        if not label or not _ALNUM.union("-").issuperset(label) or label[0] == "-" or label[-1] == "-":
            raise _invalid(name)


def _check_path(name: str, path: str) -> None:
    if path != path.lower():
        raise _invalid(name, f"repository name ({path}) must be lowercase")
    for component in path.split("/"):
        if not _valid_component(component):
            raise _invalid(name)
    if len(path) > _NAME_MAX:
        raise InvalidReferenceError(f"repository name must not be more than {_NAME_MAX} characters")


def _valid_component(component: str) -> bool:
    # alphanumerics joined by one separator: ".", "_", "__" or any number of "-"
    if not component or component[0] not in _LOWER_DIGITS or component[-1] not in _LOWER_DIGITS:
        return False
    separator = ""
    for char in component:
        if char in _LOWER_DIGITS:
            if separator not in {"", ".", "_", "__"} and separator.strip("-"):
                return False
            separator = ""
        elif char in "._-":
            separator += char
        else:
            return False
    return True
