# SPDX-License-Identifier: Apache-2.0
"""The certificate a server shows, taken anew when its files change: they are renewed every few weeks."""

from __future__ import annotations

import os
import ssl

from scow.errors import InvalidArgumentError


class Certificate:
    """A certificate and its key, for TLS 1.2 and newer.

    Args:
        path: A file with the certificate and those above it.
        key: The file of its key; ``""`` when that is in ``path``.

    Raises:
        InvalidArgumentError: They cannot be used.
    """

    def __init__(self, path: str, key: str) -> None:
        self._path = path
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp: list[int] = []
        self.refresh()

    def refresh(self) -> None:
        """Take the files again if they have changed; connections from now on see the new ones.

        Raises:
            InvalidArgumentError: They cannot be used; the ones before stay. Raised once for each change.
        """
        stamp = [_changed(path) for path in (self._path, self._key) if path]
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context.load_cert_chain(self._path, self._key or None)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgumentError(
                f"the certificate {self._path!r} cannot be used: {error}", hint="Give its key with --tls-key."
            ) from error


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
