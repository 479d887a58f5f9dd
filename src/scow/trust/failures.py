# SPDX-License-Identifier: Apache-2.0
"""Why content is not believed.

The rules (``tuf``) raise these without knowing whose data they judge; ``about`` puts the repository in, in the words
of the docker command, which scripts look for.

Source: docker CLI 28.2.2, ``cli/trust`` (NotaryError), measured.
"""

from __future__ import annotations

from scow.errors import NotFoundError, UnavailableError, UntrustedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class TrustError(UntrustedError):
    """Trust data that is not as it must be. ``frame`` is the sentence around the reason."""

    code = "trust-data"
    frame = "trust data of {gun} cannot be used: {reason}"

    def about(self, gun: str) -> Self:
        """The same failure, with the repository it is about.

        Args:
            gun: The repository in full.
        """
        return type(self)(self.frame.format(gun=gun, reason=self.message), hint=self.hint)


class MalformedTrustError(TrustError):
    """Trust data that is not even well-formed; a captive portal's page, as a rule."""

    code = "trust-malformed"
    frame = "trust server returned a bad response for {gun}: {reason}"


class ThresholdError(TrustError):
    """Fewer valid signatures than the role needs."""

    code = "trust-signatures"
    frame = (
        "Warning: potential malicious behavior - trust data has insufficient signatures for remote repository {gun}:"
        " {reason}"
    )


class RollbackError(TrustError):
    """Older trust data than was seen before."""

    code = "trust-rollback"
    frame = (
        "Warning: potential malicious behavior - trust data version is lower than expected for remote repository {gun}:"
        " {reason}"
    )


class RootError(TrustError):
    """The root of trust is another one than before, and the one before does not vouch for it."""

    code = "trust-root"
    frame = "Warning: potential malicious behavior - trust data mismatch for remote repository {gun}: {reason}"


class ChecksumError(TrustError):
    """A file is not the one that its parent lists."""

    code = "trust-checksum"
    frame = "{reason}"


class ExpiredTrustError(TrustError):
    """Trust data that was not renewed in time."""

    code = "trust-expired"
    frame = "remote repository {gun} out-of-date: {reason}"


class NoTrustDataError(TrustError):
    """Nobody has ever signed anything in the repository."""

    code = "no-trust-data"
    frame = "remote trust data does not exist for {gun}: {reason}"


class NotSignedError(TrustError):
    """The repository has trust data, but the tag is not in it."""

    code = "not-signed"


class NoSigningKeyError(NotFoundError):
    """No key is here that may sign for the role, or it could not be unlocked."""

    code = "no-signing-key"


class TrustServerError(UnavailableError):
    """The trust server does not answer, or refuses."""

    code = "trust-server"
