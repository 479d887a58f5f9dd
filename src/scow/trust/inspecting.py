# SPDX-License-Identifier: Apache-2.0
"""Who has signed what in a repository, as ``docker trust inspect`` tells it. Pure.

Source: docker CLI 28.2.2, ``cli/command/trust``.
"""

from __future__ import annotations

import re

from scow.trust.metadata import RELEASES, ROOT, TARGETS
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.trust.metadata import Role
    from scow.trust.tuf import Believed

REPO_ADMIN = "Repo Admin"
_NUMBER = re.compile(r"(\d+)", re.ASCII)


class SignedTag(NamedTuple):
    """One released tag: its SHA-256 in hexadecimal digits, and who besides the repository's owner signed just that."""

    tag: str
    digest: str
    signers: tuple[str, ...]


class Signatures(NamedTuple):
    """What there is to tell of a repository.

    Attributes:
        tags: What is released, in natural order.
        signers: The IDs of the keys of each signer.
        administrators: The IDs of the root keys and of the repository's own.
    """

    tags: tuple[SignedTag, ...]
    signers: Mapping[str, tuple[str, ...]]
    administrators: Mapping[str, tuple[str, ...]]


def signatures(believed: Believed, tag: str = "") -> Signatures:
    """Sum up what is believed of a repository.

    Args:
        believed: With all its delegations.
        tag: Only this one; ``""`` for all.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for name in (RELEASES, TARGETS):
        for pair in _signed(believed, name, tag):
            found.setdefault(pair, set())
    for name in believed.targets:
        if name not in {RELEASES, TARGETS}:
            for pair in _signed(believed, name, tag):
                if pair in found:
                    found[pair].add(signer_of(name))
    tags = [SignedTag(*pair, tuple(sorted(names))) for pair, names in found.items()]
    roles = [role for targets in believed.targets.values() for role in targets.delegations]
    return Signatures(
        tuple(sorted(tags, key=lambda row: (natural(row.tag), row.digest))),
        {signer_of(role.name): bare_ids(role) for role in roles if role.name != RELEASES},
        {
            "Root": tuple(sorted(believed.root.roles[ROOT].keys)),
            "Repository": tuple(sorted(believed.root.roles[TARGETS].keys)),
        },
    )


def _signed(believed: Believed, role: str, tag: str) -> list[tuple[str, str]]:
    if role not in believed.targets:
        return []
    names = [tag] if tag else list(believed.targets[role].targets)
    found = [(name, believed.target(name, role)) for name in names]
    return [(name, meta.digest.encoded) for name, meta in found if meta is not None and meta.digest is not None]


def signer_of(role: str) -> str:
    """What people call a delegation."""
    return role.removeprefix("targets/")


def bare_ids(role: Role) -> tuple[str, ...]:
    """The IDs of a role's keys, without the certificates around them."""
    return tuple(key.bare.id for key in role.keys.values())


def natural(text: str) -> list[str | int]:
    """Orders texts so that 2 comes before 10."""
    parts: list[str | int] = list(_NUMBER.split(text))
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts


def as_json(name: str, told: Signatures) -> dict[str, Any]:
    """The same as ``docker trust inspect`` prints it.

    Args:
        name: What the user typed.
        told: What there is to tell.
    """
    return {
        "Name": name,
        "SignedTags": [
            {"SignedTag": row.tag, "Digest": row.digest, "Signers": list(row.signers) or [REPO_ADMIN]}
            for row in told.tags
        ],
        "Signers": [_holder(signer, told.signers[signer]) for signer in sorted(told.signers, reverse=True)],
        "AdministrativeKeys": [_holder(role, ids) for role, ids in told.administrators.items()],
    }


def _holder(name: str, ids: tuple[str, ...]) -> dict[str, Any]:
    keys = [{"ID": identity} for identity in ids]
    return {"Name": name, "Keys": keys} if keys else {"Name": name}
