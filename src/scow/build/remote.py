# SPDX-License-Identifier: Apache-2.0
"""Sources of ADD, and contexts, that are on the network: what is a URL, what a git repository, and in which form.

Nothing is fetched here; see ``fetch``.

Source: Dockerfile reference, "ADD"; docker documentation, "Git repositories as build context".
"""

from __future__ import annotations

import re

from scow.build.copying import CopySource
from scow.build.ops.values import CopyPart
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import Final

    from scow.build.origins import Origin
    from scow.dockerfile import ast

_SCP: Final = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:(?!//).*?\.git(?:#.*)?")
_KNOWN: Final = frozenset({"branch", "checksum", "commit", "keep-git-dir", "ref", "subdir", "submodules", "tag"})


class GitSource(NamedTuple):
    """A git repository and what is wanted of it.

    Attributes:
        remote: What git fetches from.
        ref: Branch, tag or commit; ``""`` for the default branch.
        subdir: Only this directory; ``""`` for all.
        checksum: Beginning of the commit that it must be, or ``""``.
        keep_git_dir: ``.git`` stays; ``None`` when not said.
        submodules: Submodules are fetched too.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True


class Fetcher(Protocol):
    """Gets what is on the network; part of what planning needs from outside."""

    def http(self, url: str, checksum: str) -> Origin:
        """A tree with one file, named as the URL's path ends."""

    def git(self, source: GitSource) -> Origin:
        """A tree with the files of a repository."""


def is_http(text: str) -> bool:
    """Whether a source is a URL of a file."""
    return text.startswith(("http://", "https://")) and not is_git(text)


def is_git(text: str) -> bool:
    """Whether a source is a git repository."""
    if text.startswith(("git://", "ssh://")):
        return True
    if text.startswith(("http://", "https://")):
        from urllib.parse import urlsplit

        return urlsplit(text).path.endswith(".git")
    return _SCP.fullmatch(text) is not None


def parse_git(text: str) -> GitSource:
    """Read a git source: ``URL#ref:subdir`` or ``URL?tag=v1&subdir=x``.

    Raises:
        InvalidArgumentError: It names a subdirectory outside, or an unknown or doubled field.
    """
    base, _, fragment = text.partition("#")
    ref, _, subdir = fragment.partition(":")
    checksum, keep, submodules = "", None, True
    if "?" in base and base.startswith(("http://", "https://", "ssh://", "git://")):
        from urllib.parse import parse_qsl

        base, _, query = base.partition("?")
        if fragment:
            raise InvalidArgumentError(f"git source {text!r} has both a fragment and a query")
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _KNOWN:
                raise InvalidArgumentError(f"unknown field {name!r} in the git source {text!r}")
            if name in ("branch", "ref", "tag", "commit"):
                ref = {"branch": f"refs/heads/{value}", "tag": f"refs/tags/{value}"}.get(name, value)
            elif name == "subdir":
                subdir = value
            elif name == "checksum":
                checksum = value
            elif name == "keep-git-dir":
                keep = value.lower() in ("", "1", "true")
            else:
                submodules = value.lower() not in ("0", "false")
    if ref.startswith("-"):
        raise InvalidArgumentError(f"invalid git ref {ref!r}")
    if ".." in subdir.split("/"):
        raise InvalidArgumentError(f"the subdirectory {subdir!r} of the git source leaves the repository")
    return GitSource(base, ref, subdir.strip("/"), checksum, keep, submodules)


def file_name(url: str) -> str:
    """What a file fetched from a URL is called."""
    from urllib.parse import urlsplit

    name = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".", "..") else "__unnamed__"


def remote_origin(fetcher: Fetcher, source: str, node: ast.Add, checksum: str) -> CopyPart:
    """What ADD takes from a remote source.

    Raises:
        InvalidArgumentError: Flags and source contradict each other.
    """
    if not is_git(source):
        origin = fetcher.http(source, checksum)
        return CopyPart(origin, CopySource(f"/{file_name(source)}", wildcards=False, unpack=bool(node.unpack)))
    git = parse_git(source)
    if git.keep_git_dir is not None and node.keep_git_dir not in (None, git.keep_git_dir):
        raise InvalidArgumentError("inconsistent keep-git-dir configuration")
    if git.checksum and checksum and git.checksum != checksum:
        raise InvalidArgumentError(f"checksum mismatch {checksum!r} != {git.checksum!r}")
    keep = git.keep_git_dir if git.keep_git_dir is not None else bool(node.keep_git_dir)
    git = git._replace(keep_git_dir=keep, checksum=git.checksum or checksum)
    return CopyPart(fetcher.git(git), CopySource("/", wildcards=False))
