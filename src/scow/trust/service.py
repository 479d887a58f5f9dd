# SPDX-License-Identifier: Apache-2.0
"""The verbs of content trust, over one client. Use it in a ``with`` block; nothing here prints."""

from __future__ import annotations

from scow.oci.reference import Reference
from scow.trust.cache import trust_dir
from scow.trust.inspecting import signatures
from scow.trust.keystore import KeyStore
from scow.trust.notary import open_server, update
from scow.trust.signing import Signing
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from scow.distribution.client import RegistryClient
    from scow.trust.inspecting import Signatures
    from scow.trust.notary import TrustPlace
    from scow.trust.policy import Passphrases


class Trust:
    """What can be found out about signatures, and done about them.

    Args:
        client: The way to registries and trust servers; closed in the end.
        place: Where trust data is.
        passphrases: Where the passphrases of keys come from.
        warn: Told what the user should know.

    Attributes:
        keys: The user's private keys.
    """

    def __init__(
        self, client: RegistryClient, place: TrustPlace, passphrases: Passphrases, warn: Callable[[str], None]
    ) -> None:
        self._client = client
        self._place = place
        self._warn = warn
        self.keys = KeyStore(trust_dir(place.config_dir), passphrases)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def signatures(self, name: str) -> Signatures:
        """Who has signed what in a repository; a tag in the name asks for that one only.

        Raises:
            UntrustedError: Nobody has, or what the trust server says cannot be believed.
            UnavailableError: It does not answer.
        """
        reference = Reference.parse(name)
        server = open_server(self._client, self._place, reference, "pull")
        told = update(server, self._place, reference.repository, self._warn, every=True)
        return signatures(told, "" if reference.digest else reference.tag or "")

    def signing(self, reference: Reference) -> Signing:
        """Begin to change what is signed in a repository.

        Raises:
            UntrustedError: What the trust server says cannot be believed.
            UnavailableError: It does not answer.
        """
        server = open_server(self._client, self._place, reference, "pull", "push")
        return Signing(server, self._place, reference.repository, self.keys, self._warn)

    def username(self, reference: Reference) -> str:
        """Who the user is at a repository's registry; ``""`` when that is not known."""
        known = self._client.credentials.get(reference.domain)
        return known.username if known else ""
