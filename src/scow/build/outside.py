# SPDX-License-Identifier: Apache-2.0
"""What a Dockerfile refers to: images here or in registries, contexts by name, files and repositories."""

from __future__ import annotations

import os

from scow.build.contexts import ContextError, context_origin, is_directory
from scow.build.copying import CopySource, has_wildcards
from scow.build.fetch import GitCheckout, UrlStore, digest_text
from scow.build.locking import Input
from scow.build.ops.values import CopyOp, RunOp
from scow.build.origins import ContextOrigin, TreeOrigin
from scow.build.remote import GitSource, is_git, is_http, parse_git
from scow.build.sources import DirTree, FilesTree, clean, resolve
from scow.build.stages import BaseImage
from scow.errors import NotFoundError
from scow.oci.platform import score
from scow.oci.reference import InvalidReferenceError, Reference
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scow.build.contexts import Opened
    from scow.build.events import Ledger
    from scow.build.graph import Vertex
    from scow.build.origins import Origin
    from scow.build.workshop import Workshop
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.model import ImageConfig, Platform

_HEX = frozenset("0123456789abcdef")
_SHORT_ID = 12
"""Digits of an ID that listings show; fewer are no image in a Dockerfile."""


class Resolver:
    """Everything outside the Dockerfile, for the planner.

    Args:
        shop: What to work with.
        images: Images of the store.
        ensure: Pulls an image: name, policy and platform.
        opened: The main context.
        ledger: Told what happens.
        scratch: Directory for what is fetched; removed after the build.
        check: Raises to stop.
        here: Names mean what they mean here; else ``ensure`` says.
    """

    def __init__(
        self,
        shop: Workshop,
        images: ImageStore,
        ensure: Callable[[str, str, str], ImageRecord],
        opened: Opened,
        ledger: Ledger,
        scratch: str,
        check: Callable[[], None],
        *,
        here: bool = True,
    ) -> None:
        self._here = here
        self._shop = shop
        self._images = images
        self._ensure = ensure
        self._ledger = ledger
        self._scratch = scratch
        self._check = check
        self._urls: UrlStore | None = None
        self._found: dict[tuple[str, str], BaseImage] = {}
        self._named: dict[str, Origin | BaseImage] = {}
        self._trees: dict[tuple[str | GitSource, ...], TreeOrigin] = {}
        self._commits: dict[GitSource, GitCheckout] = {}
        self.records: dict[str, ImageRecord] = {}
        self.contexts: list[ContextOrigin] = []
        if opened.root:
            main = context_origin(shop.db, opened.root, opened.patterns, scanned=shop.scanned)
            self.contexts.append(main)
            self._main: Origin = main
        else:
            self._main = TreeOrigin("the build context, which is empty", lambda: FilesTree({}))

    def context(self) -> Origin:
        """The build context."""
        return self._main

    def bases(self) -> list[tuple[str, str, str]]:
        """The images that names meant: name, platform and ID."""
        return [(name, platform, found.id) for (name, platform), found in self._found.items()]

    def taken(self, vertices: Iterable[Vertex]) -> dict[str, str] | None:
        """What steps take from the main context: paths, links resolved, and digests.

        Returns:
            ``None`` when a step takes files from elsewhere outside, or by patterns: a receipt cannot tell of those.
        """
        out: dict[str, str] = {}
        for vertex in vertices:
            for origin, source, excludes in _sources(vertex):
                if origin is None or origin.label == "the Dockerfile":
                    continue
                if origin is not self._main or not isinstance(origin, ContextOrigin) or excludes or source.includes:
                    return None
                if has_wildcards(source.path) and source.wildcards:
                    return None
                tree = origin.tree()
                given = os.fsencode(source.path)
                path = resolve(tree, given)
                if path != clean(given):
                    return None  # a link could point elsewhere the next time
                out[os.fsdecode(path)] = tree.fingerprint(path)
        return out

    def configs(self) -> dict[str, ImageConfig]:
        """What the base images found so far say of themselves, by the name that was asked for."""
        return {name: image.config for (name, _), image in self._found.items()}

    def inputs(self) -> list[Input]:
        """What came from outside so far, with digests; contexts on this machine are no such inputs."""
        found: list[Input] = []
        for (name, platform), image in self._found.items():
            record = self.records[image.id]
            digests = [str(ref.digest) for ref in self._images.digests(record.id) if ref.digest]
            found.append(Input("image", f"{name} {platform}".strip(), digests[0] if digests else record.id))
        for key, origin in self._trees.items():
            if key[0] == "http":
                tree = origin.tree()
                found.append(Input("url", str(key[1]), f"sha256:{tree.digest(tree.names(b'')[0])}"))
            elif isinstance(key[1], GitSource):
                source = key[1]
                origin.tree()
                text = source.remote + (f"#{source.ref}" if source.ref else "")
                found.append(Input("git", text, self._commits[source].commit))
        return found

    # ------------------------------------------------------------------ images

    def image(self, name: str, platform: Platform | None) -> BaseImage:
        """Find an image, here or in a registry.

        Raises:
            NotFoundError: There is none.
        """
        key = (name, str(platform or ""))
        found = self._found.get(key)
        if found is None:
            shown = name
            try:
                shown = Reference.parse(name).with_default_tag().canonical
            except InvalidReferenceError:
                pass
            with self._ledger.internal(f"[internal] load metadata for {shown}"):
                found = self._found[key] = self.describe(self._find(name, platform))
        return found

    def _find(self, name: str, platform: Platform | None) -> ImageRecord:
        wanted = str(platform) if platform is not None else ""
        # `FROM a` means an image of that name, not whichever one's ID happens to begin with it
        if len(name) < _SHORT_ID and _HEX.issuperset(name):
            name += ":latest"
        if self._shop.options.pull or not self._here:
            return self._ensure(name, "always" if self._shop.options.pull else "missing", wanted)
        try:
            record = self._images.resolve(name)
        except NotFoundError:
            return self._ensure(name, "missing", wanted)
        if platform is not None:
            offered = self._images.config(record.id).value.platform
            if not score(platform, offered):
                return self._ensure(name, "missing", wanted)
        return record

    def describe(self, record: ImageRecord) -> BaseImage:
        """An image as planning needs it; it is kept alive until the build ends."""
        from scow.images.unpack import unpack

        shop = self._shop
        shop.lease.add("image", record.id)
        config = self._images.config(record.id).value
        if record.chain is not None:
            shop.bases[record.chain] = lambda: unpack(
                record, self._images, shop.content, shop.snapshots, shop.lease, limits=shop.limits
            )
        self.records[record.id] = record
        return BaseImage(record.id, config, record.chain, max(0, int(record.created)))

    # ------------------------------------------------------------------ contexts by name

    def named(self, name: str) -> Origin | BaseImage | None:
        """A further context of this name: its files, or the image it stands for."""
        for known, value in self._shop.options.contexts.items():
            if _same_name(known, name):
                if known not in self._named:
                    self._named[known] = self._open_named(known, value)
                return self._named[known]
        return None

    def is_scratch(self, name: str) -> bool:
        """Whether a further context of this name stands for the empty image."""
        contexts = self._shop.options.contexts
        return any(value == "docker-image://scratch" and _same_name(known, name) for known, value in contexts.items())

    def _open_named(self, name: str, value: str) -> Origin | BaseImage:
        if value.startswith("docker-image://"):
            return self.image(value.removeprefix("docker-image://"), None)
        if value.startswith("oci-layout://"):
            return self._layout(value.removeprefix("oci-layout://"))
        if is_git(value):
            return self.git(parse_git(value))
        if is_http(value):
            return self.http(value, "", "context")
        if is_directory(value):
            root = os.path.realpath(value)
            patterns: tuple[str, ...] = ()
            try:
                with open(os.path.join(root, ".dockerignore"), encoding="utf-8", errors="surrogateescape") as file:
                    from scow.dockerfile.ignore import read

                    patterns = tuple(read(file.read()))
            except FileNotFoundError:
                pass
            origin = context_origin(self._shop.db, root, patterns, f"the context {name!r}")
            self.contexts.append(origin)
            return origin
        raise ContextError(
            f"cannot use {value!r} as the context {name!r}: there is no such directory",
            hint="a context is a directory, a URL, docker-image://NAME or oci-layout://DIRECTORY[:TAG]",
        )

    def _layout(self, text: str) -> BaseImage:
        """An image of an OCI layout directory."""
        from scow.images.archive import load

        directory, at, digest = text.partition("@")
        tag = ""
        if not at and not os.path.isdir(directory):
            directory, _, tag = text.rpartition(":")
        if not os.path.isdir(directory):
            raise ContextError(f"cannot use the OCI layout {text!r}: there is no such directory")
        shop = self._shop
        loaded = load(self._images, shop.content, shop.snapshots, directory, limits=shop.limits)
        for one in loaded:
            tags = [name.tag for name in one.names]
            if not (tag or digest) or tag in tags or digest in (one.record.manifest, one.record.id):
                return self.describe(one.record)
        raise ContextError(f"the OCI layout {directory!r} has no image {tag or digest!r}")

    # ------------------------------------------------------------------ the network

    def http(self, url: str, checksum: str, name: str = "") -> Origin:
        """A tree with one file, named as the URL's path ends, or as ``name`` says."""
        key = ("http", url, checksum, name)
        if key not in self._trees:
            if self._urls is None:
                shop = self._shop
                self._urls = UrlStore(shop.db, shop.content, shop.lease, shop.limits.max_size, self._check)
            urls = self._urls
            self._trees[key] = TreeOrigin(url, lambda: urls.tree(url, checksum, name))
        return self._trees[key]

    def git(self, source: GitSource) -> Origin:
        """A tree with the files of a repository."""
        key = ("git", source)
        if key not in self._trees:
            checkout = self._commits[source] = GitCheckout(source, self._scratch, self._shop.options.environ)
            tree: list[DirTree] = []

            def fetch() -> DirTree:
                if not tree:
                    with self._ledger.internal(f"[internal] load git source {source.remote}#{source.ref}"):
                        tree.append(DirTree(checkout.fetch(), reset_owner=True))
                return tree[0]

            def identity() -> str:
                fetch()
                return digest_text(source.remote, checkout.commit, source.subdir, str(source.keep_git_dir))

            self._trees[key] = TreeOrigin(source.remote, fetch, identity)
        return self._trees[key]


def _sources(vertex: Vertex) -> Iterator[tuple[Origin | None, CopySource, tuple[str, ...]]]:
    """Where a step takes files from."""
    op = vertex.op
    if isinstance(op, CopyOp):
        for part in op.parts:
            yield part.origin, part.source, op.excludes
    elif isinstance(op, RunOp):
        for mount in op.mounts:
            yield mount.origin, CopySource("/" + mount.mount.source.lstrip("/"), wildcards=False), ()


def _same_name(known: str, name: str) -> bool:
    """Whether a context's name means a stage or image."""
    if known.lower() == name.lower():
        return True
    try:
        left = Reference.parse(known).with_default_tag()
        right = Reference.parse(name).with_default_tag()
    except InvalidReferenceError:
        return False
    return left.canonical == right.canonical
