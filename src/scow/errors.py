# SPDX-License-Identifier: Apache-2.0
"""The kinds of error scow raises, by what the caller can do about them.

Kinds live here; leaves live beside the code that raises them. Every class has a stable ``code`` (one section of
``docs/reference/errors.md``), an ``http_status`` for the servers and an ``exit_code`` for the command; every instance
may carry a ``hint``, a second sentence saying what to do. Messages are one sentence without a final period, quote
user input with ``%r`` and never hold a secret.
"""

from __future__ import annotations


class ScowError(Exception):
    """Any failure that scow foresees.

    Args:
        message: One sentence, no final period.
        hint: What the user can do about it, or ``""``.
    """

    code = "error"
    http_status = 500
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(ScowError):
    """The request is malformed; repeating it cannot help."""

    code = "invalid-argument"
    http_status = 400


class FlagError(InvalidArgumentError):
    """The command line cannot be parsed. Docker exits with 125 for these."""

    code = "bad-flag"
    exit_code = 125


class UnauthenticatedError(ScowError):
    """Credentials are missing or wrong; log in."""

    code = "unauthenticated"
    http_status = 401


class DeniedError(ScowError):
    """The caller is known but not allowed."""

    code = "denied"
    http_status = 403


class UntrustedError(ScowError):
    """No acceptable signature exists for the content."""

    code = "untrusted"
    http_status = 403


class NotFoundError(ScowError):
    """The named thing does not exist."""

    code = "not-found"
    http_status = 404


class ConflictError(ScowError):
    """The thing exists already or is in use."""

    code = "conflict"
    http_status = 409


class LimitError(ScowError):
    """A bound of scow's own was hit; the hint names the setting that moves it."""

    code = "limit"
    http_status = 413


class RateLimitError(ScowError):
    """The peer asks to slow down.

    Args:
        message: One sentence.
        retry_after: Seconds to wait, or ``None`` when the peer did not say.
        hint: What the user can do.
    """

    code = "rate-limit"
    http_status = 429

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class CancelledError(ScowError):
    """The user or a failing sibling task stopped the work."""

    code = "cancelled"
    http_status = 499
    exit_code = 130


class CorruptError(ScowError):
    """Bytes do not match their digest, size or format."""

    code = "corrupt"


class UnsupportedError(ScowError):
    """This host, or the peer, cannot do it."""

    code = "unsupported"
    http_status = 501


class UnavailableError(ScowError):
    """It cannot be done now; retrying may help."""

    code = "unavailable"
    http_status = 503
