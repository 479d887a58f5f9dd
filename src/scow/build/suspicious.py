# SPDX-License-Identifier: Apache-2.0
"""Credentials that nobody named: private keys, token files and cloud keys in new layers, variables and the history.

The gate of ``leaks`` knows the secrets that a build was given. This looks for what came in by mistake, with `COPY . .`
or an ``ARG``: files by name, then by content, so that a layer costs its headers and not its bytes; values by the shape
that their issuers gave them. Findings are warnings, or stop the build, as the options say. Values are never shown.
"""

from __future__ import annotations

import re

from scow.build.leaks import LeakError
from scow.build.output import makers
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from typing import BinaryIO, Final

    from scow.build.output import Made
    from scow.build.plan import Plan
    from scow.build.solver import Solver
    from scow.content.local import LocalContentStore
    from scow.oci.digest import DiffID

_MOST = 1 << 18
"""Bytes of a file that are read; credentials are small."""
_KEY: Final = rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
_FILES: Final = (
    (rb"(?:.*/)?id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?", _KEY, "a private SSH key"),
    (rb".*\.(?:pem|key|p8)", _KEY, "a private key"),
    (rb"(?:.*/)?[._]netrc", rb"(?m)\bpassword\s+\S", "a password"),
    (rb"(?:.*/)?\.npmrc", rb"(?m)_(?:authToken|auth|password)\s*=\s*(?!\$\{)\S", "a registry token"),
    (rb"(?:.*/)?\.yarnrc\.yml", rb"(?m)npmAuth(?:Token|Ident):\s*[\"']?(?!\$\{)\w", "a registry token"),
    (rb"(?:.*/)?\.pypirc", rb"(?m)^\s*password\s*[=:]\s*\S", "a package index password"),
    (rb"(?:.*/)?\.git-credentials", rb"(?m)^\w+://[^\s:/]*:[^\s@]+@", "a git password"),
    (
        rb"(?:.*/)?\.git/config",
        rb"(?m)(?:url\s*=\s*\w+://[^\s:/]+:[^\s@]+@|extraheader\s*=.*basic )",
        "a git password",
    ),
    (rb"(?:.*/)?\.aws/credentials", rb"(?mi)^\s*aws_secret_access_key\s*=\s*\S", "an AWS key"),
    (rb"(?:.*/)?\.docker/config\.json", rb'"auth"\s*:\s*"[^"]', "a registry login"),
    (rb"(?:.*/)?\.kube/config", rb"(?m)(?:client-key-data|token):\s*\S{16}", "cluster credentials"),
    (rb".*\.json", rb'"private_key"\s*:\s*"-----BEGIN', "a service account key"),
)
_NAMED: Final = re.compile(
    rb"(?:.*/)?(?:id_[a-z0-9_]+|[._]netrc|\.npmrc|\.yarnrc\.yml|\.pypirc|\.git-credentials|\.git/config"
    rb"|\.aws/credentials|\.docker/config\.json|\.kube/config|[^/]*\.(?:pem|key|p8)"
    rb"|[^/]*(?:credential|service.?account|secret)[^/]*\.json)",
    re.IGNORECASE,
)
_VALUES: Final = (
    (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "an AWS access key"),
    (("gh",), r"\bgh[pousr]_[A-Za-z0-9]{36,}\b", "a GitHub token"),
    (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{50,}", "a GitHub token"),
    (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}", "a GitLab token"),
    (("xox",), r"\bxox[abprs]-[A-Za-z0-9-]{20,}", "a Slack token"),
    (("sk_live_",), r"\bsk_live_[A-Za-z0-9]{20,}", "a payment key"),
    (("AIza",), r"\bAIza[A-Za-z0-9_-]{35}\b", "a Google API key"),
    (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b", "an npm token"),
    (("pypi-",), r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}", "a package index token"),
    (("-----BEGIN ",), r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----", "a private key"),
    (("://",), r"\b[a-z][a-z0-9+.-]*://[^\s:/@$]+:[^\s:/@$]{3,}@", "a URL with a password"),
)
"""What every value of a shape holds, the shape, and its name; few texts hold any, so the shapes are compiled late."""


class Suspicion(NamedTuple):
    """Something that looks like a credential.

    Attributes:
        title: The step, such as ``[2/4] COPY . .``; ``""`` for the configuration.
        line: Its line in the Dockerfile; 0 when it has none.
        where: A file, ``ENV NAME`` or ``history``.
        what: What it looks like.
    """

    title: str
    line: int
    where: str
    what: str

    def __str__(self) -> str:
        place = f" of {' '.join(self.title.split())} (line {self.line})" if self.line else ""
        return f"{self.where}{place} holds what looks like {self.what}"


def examine(
    content: LocalContentStore,
    plan: Plan,
    solver: Solver,
    made: Made,
    *,
    every: bool = False,
    plain: Container[DiffID] = (),
) -> list[Suspicion]:
    """Look for credentials in what a build adds to its base.

    Args:
        content: The store's blobs.
        plan: The build's steps.
        solver: Knows what they made.
        made: The result.
        every: Look at layers from the cache too; they were looked at when they were made, but perhaps let pass.
        plain: Layers of which it is known that they have no file to look into, see :func:`is_plain`.
    """
    out: list[Suspicion] = []
    for vertex, layer in makers(plan.target.vertex, made.solved.layers).items():
        if layer.diff_id not in plain and (every or solver.outcomes.get(vertex) == "run"):
            with content.open(layer.diff_id) as tar:
                out += [Suspicion(vertex.title, vertex.lines[0], path, what) for path, what in in_layer(tar)]
    seen: set[str] = set()
    for entry in made.draft.config.env:
        name, _, value = entry.partition("=")
        for what in in_value(value):
            seen.add(what)
            out.append(Suspicion("", 0, f"the variable {name}", what))
    for history in made.draft.history[made.draft.inherited :]:
        for what in in_value(history.created_by):
            if what not in seen:
                seen.add(what)
                out.append(Suspicion("", 0, "the history", what))
    return out


def is_plain(names: Iterable[bytes]) -> bool:
    """Whether none of a layer's names is one of a file that is looked into."""
    return not any(map(_NAMED.fullmatch, names))


def in_layer(tar: BinaryIO) -> Iterator[tuple[str, str]]:
    """Find files with credentials.

    Args:
        tar: An uncompressed layer that can be moved in.

    Yields:
        Path and what it holds.
    """
    from scow.layer.tar import REGULAR, TarReader

    wanted = [
        entry
        for entry in TarReader(tar, seek=True)
        if entry.type == REGULAR and entry.stored and _NAMED.fullmatch(entry.name)
    ]
    for entry in wanted:
        tar.seek(entry.offset)
        data = tar.read(min(entry.stored, _MOST))
        for name, content, what in _FILES:
            if re.fullmatch(name, entry.name) and re.search(content, data):
                yield "/" + entry.name.decode("utf-8", "backslashreplace"), what
                break


def in_value(text: str) -> Iterator[str]:
    """What a text looks like it holds."""
    for marks, pattern, what in _VALUES:
        if any(mark in text for mark in marks) and re.search(pattern, text):
            yield what


def refuse(found: list[Suspicion]) -> LeakError:
    """The error for a build that must not hold credentials."""
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return LeakError(
        f"{found[0]}{more}",
        hint="keep it out with .dockerignore, give it with --secret, or build with --secrets-gate=warn",
    )
