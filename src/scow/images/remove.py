# SPDX-License-Identifier: Apache-2.0
"""Taking names and images away, with docker's rules about what stands in the way.

A name is only a name: taking it away removes the image when it was the last one and nothing else needs the image.
Running containers and images made on it protect an image for good; stopped containers and further names yield to
force. Everything is decided and done in one transaction; bytes are freed by the collector afterwards.

Source: Docker Engine API v1.41, "ImageDelete"; behaviour recorded from dockerd 20.10.
"""

from __future__ import annotations

from scow.base.ids import short
from scow.images.store import ImageInUseError
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.images.store import ImageStore
    from scow.oci.digest import ImageID


class Removal(NamedTuple):
    """One thing that went.

    Args:
        kind: ``Untagged`` or ``Deleted``.
        what: The name; or the digest of an image or of a chain of layers.
        is_layer: It is a chain of layers.
    """

    kind: str
    what: str
    is_layer: bool = False


class User(NamedTuple):
    """A container made from an image.

    Args:
        container: Its id.
        running: Whether it runs.
    """

    container: str
    running: bool


def remove_image(
    images: ImageStore,
    text: str,
    users: Callable[[ImageID], Sequence[User]],
    *,
    force: bool = False,
    prune_parents: bool = True,
) -> list[Removal]:
    """Take away a name, or an image with its names.

    Args:
        images: The store.
        text: A name, a repo digest, or an ID or its begin.
        users: Says which containers were made from an image.
        force: Stopped containers and further names do not stand in the way.
        prune_parents: Remove nameless parents that nothing else needs too.

    Returns:
        What went, in order.

    Raises:
        ImageNotFoundError: There is no such image.
        ImageInUseError: Something stands in the way; nothing was changed.
    """
    with images.db.write():
        return _Remover(images, users, force).remove(text, prune_parents)


class _Remover:
    """One removal, inside one transaction."""

    def __init__(self, images: ImageStore, users: Callable[[ImageID], Sequence[User]], force: bool) -> None:
        self._images = images
        self._users = users
        self._force = force
        self._done: list[Removal] = []

    def remove(self, text: str, prune: bool) -> list[Removal]:
        identity = self._images.resolve(text).id
        quiet = False
        if not _is_id(identity, text):
            if not self._untag_first(identity, text):
                return self._done
            quiet = True
        elif _single(self._references(identity)):
            self._refuse_conflicts(identity, names_matter=False, force=self._force)
            for ref in self._references(identity):
                self._untag(ref)
        self._delete(identity, prune, quiet=quiet, force=self._force)
        return self._done

    def _references(self, identity: ImageID) -> list[Reference]:
        return [*self._images.names(identity), *self._images.digests(identity)]

    def _untag(self, ref: Reference) -> None:
        if self._images.untag(ref):
            self._done.append(Removal("Untagged", ref.familiar))

    def _untag_first(self, identity: ImageID, text: str) -> bool:
        """Take the given name away; False when the image has others and stays."""
        if not self._force and _single(self._references(identity)):
            for user in self._users(identity):
                raise ImageInUseError(
                    f'conflict: unable to remove repository reference "{text}" (must force) - container '
                    f"{short(user.container)} is using its referenced image {short(identity)}",
                    hint="remove the container first, or use --force",
                )
        ref = Reference.parse(text).with_default_tag()
        if ref.digest:
            ref = ref.with_digest(ref.digest)
        self._untag(ref)
        left = self._references(identity)
        if not ref.digest and not any(other.tag for other in left if other.repository == ref.repository):
            for other in left:
                if other.repository == ref.repository:
                    self._untag(other)
        return not self._references(identity)

    def _delete(self, identity: ImageID, prune: bool, *, quiet: bool, force: bool) -> None:
        try:
            self._refuse_conflicts(identity, names_matter=True, force=force)
        except ImageInUseError:
            # After its last name went, an image that a container uses stays without complaint.
            if quiet and (self._references(identity) or self._users(identity)):
                return
            raise
        parent = self._images.get(identity).parent
        for ref in self._references(identity):
            self._untag(ref)
        users = self._users(identity)  # a container keeps the layers that it stands on
        gone = self._images.remove(identity)
        self._done.append(Removal("Deleted", identity))
        self._done.extend(Removal("Deleted", chain, is_layer=True) for chain in gone if not users)
        if prune and parent is not None and parent in self._images:
            try:
                self._delete(parent, prune=True, quiet=True, force=False)
            except ImageInUseError:
                return

    def _refuse_conflicts(self, identity: ImageID, *, names_matter: bool, force: bool) -> None:
        def refuse(how: str, why: str) -> ImageInUseError:
            hint = "use --force to remove it all the same" if how == "must be forced" else ""
            return ImageInUseError(f"conflict: unable to delete {short(identity)} ({how}) - {why}", hint=hint)

        if self._images.children(identity):
            raise refuse("cannot be forced", "image has dependent child images")
        users = self._users(identity)
        for user in users:
            if user.running:
                raise refuse("cannot be forced", f"image is being used by running container {short(user.container)}")
        if force:
            return
        if names_matter and self._references(identity):
            raise refuse("must be forced", "image is referenced in multiple repositories")
        for user in users:
            raise refuse("must be forced", f"image is being used by stopped container {short(user.container)}")


def _is_id(identity: ImageID, text: str) -> bool:
    return identity.startswith(text) or identity.encoded.startswith(text)


def _single(references: Sequence[Reference]) -> bool:
    """Whether all references lie in one repository and at most one of them is a tag."""
    if len(references) <= 1:
        return True
    tags = [ref for ref in references if not ref.digest]
    return len(tags) <= 1 and len({ref.repository for ref in references}) == 1
