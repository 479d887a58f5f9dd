# SPDX-License-Identifier: Apache-2.0
"""What the rest of scow knows of trust: who says which digest a tag means, and who unlocks keys."""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.oci.digest import Digest
    from scow.oci.reference import Reference


class TrustPolicy(Protocol):
    """Says what may be believed; safe to share between threads."""

    def resolve(self, reference: Reference) -> Digest:
        """The digest that a tag means.

        Args:
            reference: With a tag.

        Raises:
            UntrustedError: Nobody who may has signed it.
            UnavailableError: That cannot be found out now.
        """

    def tags(self, reference: Reference) -> Mapping[str, Digest]:
        """Every tag of a repository that is signed, with its digest.

        Raises:
            UntrustedError: Its trust data cannot be believed.
            UnavailableError: That cannot be found out now.
        """

    def vouches(self, reference: Reference) -> bool:
        """Whether a repository has a signed tag for a digest, today.

        Args:
            reference: With a digest.
        """


class Passphrases(Protocol):
    """Where passphrases come from."""

    def get(self, role: str, key_id: str, *, new: bool, attempt: int) -> str:
        """A passphrase.

        Args:
            role: Of the key, such as ``root`` or ``targets``, or a signer's name.
            key_id: Its ID.
            new: It will protect a new key.
            attempt: How many wrong ones were given before.

        Raises:
            ScowError: There is none, or none that could be another one.
        """
