# SPDX-License-Identifier: Apache-2.0
"""The verbs of content trust, over one client. Use it in a ``with`` block; nothing here prints."""

from __future__ import annotations

from scow.oci.reference import Reference
from scow.trust.inspecting import signatures
from scow.trust.notary import open_server, update
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from scow.distribution.client import RegistryClient
    from scow.trust.inspecting import Signatures
    from scow.trust.notary import TrustPlace


class Trust:
    """What can be found out about signatures.

    Args:
        client: The way to registries and trust servers; closed in the end.
        place: Where trust data is.
        warn: Told what the user should know.
    """

    def __init__(self, client: RegistryClient, place: TrustPlace, warn: Callable[[str], None]) -> None:
        self._client = client
        self._place = place
        self._warn = warn

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
