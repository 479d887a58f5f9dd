# SPDX-License-Identifier: Apache-2.0
"""A tarball of a file system becomes an image of one layer.

The tarball may be compressed in any way; it is read once, from a file, a pipe or a URL. The layer is kept as the plain
tar.
"""

from __future__ import annotations

from scow.base.clock import rfc3339
from scow.errors import NotFoundError, UnavailableError
from scow.images.changes import apply_changes
from scow.images.intake import Intake
from scow.images.mutate import new_image
from scow.images.prune import collect
from scow.oci.digest import ChainID
from scow.oci.model import ContainerConfig, History, ImageConfig
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scow.base.streams import Readable
    from scow.content.local import LocalContentStore
    from scow.distribution.wire import Response
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Limits
    from scow.oci.model import Platform
    from scow.oci.reference import Reference
    from scow.snapshot.snapshotter import Snapshotter


def import_tar(
    images: ImageStore,
    content: LocalContentStore,
    snapshots: Snapshotter,
    source: Readable,
    platform: Platform,
    *,
    created: float,
    names: Iterable[Reference] = (),
    changes: Iterable[str] = (),
    message: str = "",
    limits: Limits | None = None,
    check: Callable[[], None] | None = None,
) -> ImageRecord:
    """Make an image of a tarball, ready to run.

    Args:
        images: Where the image is entered.
        content: Where its blobs go.
        snapshots: Where its layer goes.
        source: The tarball, plain or compressed.
        platform: What the image runs on.
        created: When it was made, seconds since the epoch.
        names: Tags for it.
        changes: Dockerfile instructions for its config.
        message: For its history.
        limits: Bounds for the layer.
        check: Called between reads; raises to stop.

    Returns:
        The image.

    Raises:
        CorruptError: The tarball is damaged; the store is as before.
        LimitError: It is too large; the store is as before.
        InvalidArgumentError: A change cannot be applied; nothing was read.
    """
    config = apply_changes(ContainerConfig(), changes)
    try:
        with images.leases.hold("import") as lease:
            layer = Intake(content, snapshots, lease, limits, check).take(source, keep_compressed=False)
            chain = ChainID(layer.diff_id)
            with images.db.write():
                there = snapshots.exists(chain)
                lease.add("snapshot", chain)
            if layer.staged is not None and not there:
                snapshots.link(chain, layer.staged, None, lease=lease)
                snapshots.ready(chain)
            elif layer.staged is not None:
                snapshots.remove(layer.staged.token, force=True)
            when = rfc3339(created)
            document = ImageConfig(platform, (), config, (History(created=when, comment=message),), created=when)
            sizes = {} if layer.usage is None else {chain: layer.usage}
            return new_image(images, content, None, document, [(layer.diff_id, layer.size)], lease, names, sizes=sizes)
    except BaseException:
        collect(images, content, snapshots)
        raise


class UrlSource:
    """The body of a web resource, as a stream.

    Args:
        url: ``http://`` or ``https://``.
        environ: Where proxies are named.
        agent: What scow calls itself.

    Raises:
        NotFoundError: The server does not have it.
        UnavailableError: The server cannot be reached or refuses.
    """

    def __init__(self, url: str, environ: Mapping[str, str], agent: str) -> None:
        from scow.distribution.proxies import Proxies
        from scow.distribution.tls import TlsPolicy
        from scow.distribution.transport import HttpTransport

        self._transport = HttpTransport(TlsPolicy(), Proxies(environ), agent)
        self._response: Response = self._transport.send("GET", url, headers={"Accept": "*/*"})
        status = self._response.status
        if status != 200:
            self.close()
            kind = NotFoundError if status in (404, 410) else UnavailableError
            raise kind(f"{url} answers with the status {status}")
        self._response.stream()

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; a megabyte at most."""
        buffer = memoryview(bytearray(min(size, 1 << 20) if size >= 0 else 1 << 20))
        return bytes(buffer[: self._response.readinto(buffer)])

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        self._transport.close()
