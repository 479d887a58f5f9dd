# SPDX-License-Identifier: Apache-2.0
"""Signing what is pushed, as docker's ``push`` does; but keys are unlocked before anything is sent."""

from __future__ import annotations

import os

from scow.cli.passphrases import TerminalPassphrases
from scow.cli.report import note
from scow.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from scow.engine import Engine
    from scow.images.sending import Pushed
    from scow.oci.reference import Reference
    from scow.trust.service import Trust
    from scow.trust.signing import Signing


def open_trust(scow: Engine) -> AbstractContextManager[Trust]:
    """Content trust with the passphrases of this command."""
    return scow.trust(TerminalPassphrases(os.environ), lambda said: note(f"WARNING: {said}"))


class Signer:
    """Signs the tags of a push.

    Args:
        trust: Who signs.
        references: The tags, of one repository or of several.

    Raises:
        ScowError: They cannot all be signed; nothing was sent.
    """

    def __init__(self, trust: Trust, references: Iterable[Reference]) -> None:
        self._signings: dict[str, Signing] = {}
        self._fresh: set[str] = set()
        for reference in references:
            signing = self._signings.get(reference.repository)
            if signing is None:
                signing = self._signings[reference.repository] = trust.signing(reference)
                if signing.believed is None:
                    self._fresh.add(reference.repository)
            try:
                signing.begin(reference.tag or "latest")
            except NotFoundError as error:
                raise failed([reference], error) from error

    def finish(self, pushed: Sequence[Pushed], say: Callable[[str], None]) -> None:
        """Sign and publish what was sent.

        Args:
            pushed: All that was announced.
            say: Shows a line.

        Raises:
            ScowError: That failed; what was sent is in the registry, unsigned.
        """
        from scow.trust.metadata import FileMeta

        say("Signing and pushing trust metadata")
        for one in pushed:
            meta = FileMeta({one.digest.algorithm: bytes.fromhex(one.digest.encoded)}, one.size)
            self._signings[one.reference.repository].sign(one.reference.tag or "latest", meta)
        for repository, signing in self._signings.items():
            signing.publish()
            if repository in self._fresh:
                say(f'Finished initializing "{repository}"')
        for one in pushed:
            say(f"Successfully signed {one.reference.repository}:{one.reference.tag}")


def failed(references: Sequence[Reference], error: NotFoundError) -> NotFoundError:
    """That tags cannot be signed, in docker's words."""
    shown = ", ".join(f"{reference.repository}:{reference.tag}" for reference in references)
    return NotFoundError(f"failed to sign {shown}: {error.message}", hint=error.hint)
