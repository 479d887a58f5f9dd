# SPDX-License-Identifier: Apache-2.0
"""Moving images between this store and registries: the verbs behind ``pull``, ``push`` and their relatives.

A :class:`Transfers` belongs to one operation of one engine: it holds connections, which it closes at the end of its
``with`` block. Nothing here prints.
"""

from __future__ import annotations

import os

from scow.base.progress import Event, silent
from scow.distribution.client import RegistryClient
from scow.distribution.shortnames import VARIABLE, meanings
from scow.errors import InvalidArgumentError, NotFoundError, ScowError, UntrustedError
from scow.images.store import ImageNotFoundError
from scow.images.wholes import find_whole, index_of
from scow.layer.changeset import Limits
from scow.oci.platform import host_platform, parse_platform
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from scow.base.leases import Leases
    from scow.base.progress import Progress
    from scow.content.local import LocalContentStore
    from scow.distribution.client import ClientOptions
    from scow.distribution.credentials import Credential
    from scow.distribution.registry import Found
    from scow.distribution.repository import Repository
    from scow.images.packing import Compression
    from scow.images.pulling import Pulled, Puller, PullPlan
    from scow.images.sending import Pushed
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import Digest
    from scow.oci.model import Platform
    from scow.snapshot.snapshotter import Snapshotter

POLICIES = ("missing", "always", "never")
_HEX = frozenset("0123456789abcdef")


class Pins(Protocol):
    """Says which digests the tags of a repository mean."""

    def resolve(self, reference: Reference) -> Digest:
        """The digest of a tag; raises when there is none."""

    def tags(self, reference: Reference) -> Mapping[str, Digest]:
        """All tags of a repository with their digests."""

    def vouches(self, reference: Reference) -> bool:
        """Whether a repository has a tag for a digest."""


class TransferSettings(NamedTuple):
    """What the engine's settings say about transfers.

    Attributes:
        config_dir: docker's client configuration.
        environ: For proxies, credential helpers and the places of configuration files.
        default_platform: Wanted when nothing else is said; ``""`` for this machine's.
        limits: Bounds for each layer.
        user_agent: What scow calls itself.
    """

    config_dir: str
    environ: Mapping[str, str]
    default_platform: str = ""
    limits: Limits = Limits()
    user_agent: str = "scow"


class Transfers:
    """Moves images between one store and registries.

    Args:
        images: The store's images.
        content: Its blobs.
        snapshots: Gives its snapshots when they are needed.
        leases: Its references.
        settings: What the engine's settings say.
        options: What the command says.
        progress: Told what happens.
        client: Instead of one made from the settings, for tests.

    Attributes:
        pins: Says which digests tags mean, when the registry is not to be believed; ``None`` to believe it.
        noted: Told what was done to which name: ``pull`` or ``push``.
    """

    def __init__(
        self,
        images: ImageStore,
        content: LocalContentStore,
        snapshots: Callable[[], Snapshotter],
        leases: Leases,
        settings: TransferSettings,
        options: ClientOptions | None = None,
        progress: Progress = silent,
        client: RegistryClient | None = None,
    ) -> None:
        self.images = images
        self.content = content
        self.leases = leases
        self.progress = progress
        self.settings = settings
        self.pins: Pins | None = None
        self.noted: Callable[[str, Reference], object] = lambda _action, _reference: None
        self._snapshots = snapshots
        self.client = client or RegistryClient(
            settings.config_dir, settings.environ, options, user_agent=settings.user_agent
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()

    @property
    def snapshots(self) -> Snapshotter:
        """The store's snapshots."""
        return self._snapshots()

    def platform(self, text: str = "") -> Platform:
        """The platform that is meant: as given, or as the settings say, or this machine's.

        Raises:
            InvalidPlatformError: ``text`` is not a platform.
        """
        here = host_platform(os.uname().machine)
        wanted = text or self.settings.default_platform
        return parse_platform(wanted, here) if wanted else here

    # ------------------------------------------------------------------ pulling

    def puller(self) -> Puller:
        """What pulls one image."""
        from scow.images.pulling import Puller

        return Puller(self.images, self.content, self.snapshots, self.leases, self.settings.limits, self.progress)

    def pull(self, name: str, *, platform: str = "") -> Pulled:
        """Bring an image here.

        Args:
            name: What the user typed; ``latest`` is implied.
            platform: Wanted; ``""`` for the usual.

        Raises:
            InvalidReferenceError: ``name`` is not a reference.
            NotFoundError: There is no such image, or not for this platform.
            UnauthenticatedError: The registry wants credentials.
            UnavailableError: It cannot be reached.
            CorruptError: What came is not what was promised.
        """
        reference, repository = self._find(name)
        return self._pull(self.puller(), repository, reference, platform)

    def _pull(
        self, puller: Puller, repository: Repository, reference: Reference, platform: str, count: str = "1 of 1"
    ) -> Pulled:
        wanted, strict = self.platform(platform), bool(platform)
        pinned = self._at_digest(reference)
        if pinned == reference:
            pulled = puller.pull(repository, reference, wanted, strict=strict)
            self.noted("pull", reference)
            return pulled
        self.progress(Event("", f"Pull ({count}): {reference.familiar}@{pinned.digest}"))
        pulled = puller.pull(repository, pinned, wanted, strict=strict)
        self.images.tag(reference, pulled.record.id)
        self.noted("pull", reference)
        return pulled._replace(tagged=reference)

    def pinned(self, name: str) -> str:
        """A name by which only the content meant now can be found: by digest, for tags that are pinned.

        Args:
            name: A name, digest or ID.

        Raises:
            ScowError: Nothing says what it means, or the image of that ID came from no pinned tag.
        """
        if self.pins is None:
            return name
        record = self._by_id(name)
        if record is None:
            return self._at_digest(meanings(name, self.settings.environ)[0].with_default_tag()).familiar
        if any(self.pins.vouches(reference) for reference in self.images.digests(record.id)):
            return name
        raise UntrustedError(
            f"No valid trust data for {name}",
            hint="It is not what any signed tag of a repository means; --disable-content-trust uses it as it is.",
        )

    def _at_digest(self, reference: Reference) -> Reference:
        if self.pins is None or reference.digest:
            return reference
        return reference.with_digest(self.pins.resolve(reference))

    def _by_id(self, name: str) -> ImageRecord | None:
        """The image here whose ID, or the begin of it, this is; names come before the begin of an ID."""
        digits = name.removeprefix("sha256:")
        if not _HEX.issuperset(digits):
            return None
        try:
            record = self.images.resolve(name)
        except ImageNotFoundError:
            if len(digits) == 64 or name != digits:
                raise
            return None
        return record if record.id.removeprefix("sha256:").startswith(digits) else None

    def _find(self, name: str) -> tuple[Reference, Repository]:
        """The image a name means, and where it is; of several meanings the first that is there."""
        wanted = [meaning.with_default_tag() for meaning in meanings(name, self.settings.environ)]
        failures = []
        for reference in wanted:
            repository = self.client.repository(reference)
            if len(wanted) == 1:
                return reference, repository
            try:
                repository.resolve(reference.digest or reference.tag or "latest")
            except ScowError as error:
                failures.append(f"{reference.familiar} ({error})")
            else:
                return reference, repository
        raise NotFoundError(f"{name} was found nowhere: {'; '.join(failures)}")

    def pull_all(self, name: str, *, platform: str = "", each: Callable[[Pulled], None]) -> list[Pulled]:
        """Bring every tag of a repository here.

        Args:
            name: A repository, without tag.
            platform: Wanted; ``""`` for the usual.
            each: Told of each image when it is there.

        Raises:
            InvalidArgumentError: ``name`` has a tag or a digest.
        """
        reference = meanings(name, self.settings.environ)[0]
        if reference.tag or reference.digest:
            raise InvalidArgumentError("tag can't be used with --all-tags/-a")
        repository = self.client.repository(reference)
        puller, done = self.puller(), []
        tags = sorted(self.pins.tags(reference) if self.pins else repository.tags())
        for number, tag in enumerate(tags, 1):
            pulled = self._pull(puller, repository, reference.with_tag(tag), platform, f"{number} of {len(tags)}")
            done.append(pulled)
            each(pulled)
        if not done:
            raise NotFoundError(f"repository {reference.familiar} has no tags")
        return done

    def plan(self, name: str, *, platform: str = "") -> PullPlan:
        """Say what a pull would do, and fetch no layer."""
        reference, repository = self._find(name)
        reference = self._at_digest(reference)
        with self.leases.hold(f"plan {reference.familiar}") as lease:
            wanted = self.platform(platform)
            return self.puller().plan(repository, reference, wanted, strict=bool(platform), lease=lease)

    def ensure(self, name: str, policy: str = "missing", *, platform: str = "") -> ImageRecord:
        """Give the image of a name, pulled when the policy says so.

        Args:
            name: A name, digest or ID.
            policy: ``missing``, ``always`` or ``never``.
            platform: Wanted; an image here for another one counts as missing.

        Raises:
            InvalidArgumentError: There is no such policy.
            ImageNotFoundError: It is not here and may not be pulled.
            ScowError: Pulling failed.
        """
        if policy not in POLICIES:
            raise InvalidArgumentError(
                f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"'
            )
        if policy != "always":
            try:
                record = self.images.resolve(self.pinned(self.meant(name)))
            except ImageNotFoundError:
                if policy == "never":
                    raise
            else:
                if policy == "never" or not platform or self._fits(record, platform):
                    return record
        return self.pull(name, platform=platform).record

    def meant(self, name: str) -> str:
        """The name of the image here that a name means, which is another one only for podman's short names."""
        if self.settings.environ.get(VARIABLE) and not self._is_here(name):
            for meaning in meanings(name, self.settings.environ):
                if self._is_here(meaning.canonical):
                    return meaning.familiar
        return name

    def _is_here(self, name: str) -> bool:
        try:
            self.images.resolve(name)
        except ImageNotFoundError:
            return False
        return True

    def _fits(self, record: ImageRecord, platform: str) -> bool:
        from scow.oci.model import Platform
        from scow.oci.platform import score

        return score(self.platform(platform), Platform(record.os, record.architecture, record.variant)) > 1

    # ------------------------------------------------------------------ pushing

    def push(self, name: str, *, compression: Compression | None = None, platform: str = "") -> Pushed:
        """Send an image to the registry that its name says.

        Args:
            name: A name of a local image.
            compression: Compress all layers so; ``None`` for gzip where there is none.
            platform: The image must be for this one.

        Raises:
            ImageNotFoundError: There is no such image.
            ScowError: The registry refuses, or cannot be reached.
        """
        reference = Reference.parse(name).with_default_tag()
        if reference.digest:
            raise InvalidArgumentError("cannot push a digest reference")
        return self._push(reference, compression, platform)

    def push_all(
        self, name: str, *, compression: Compression | None = None, platform: str = "", each: Callable[[Pushed], None]
    ) -> list[Pushed]:
        """Send every local tag of a repository.

        Args:
            name: A repository, without tag.
            compression: As for :meth:`push`.
            platform: As for :meth:`push`.
            each: Told of each image when it is there.

        Raises:
            InvalidArgumentError: ``name`` has a tag or a digest.
            ImageNotFoundError: No local image has such a name.
        """
        reference = Reference.parse(name)
        if reference.tag or reference.digest:
            raise InvalidArgumentError("tag can't be used with --all-tags/-a")
        done = []
        for ref in pushed_names(self.images, reference, every=True):
            pushed = self._push(ref, compression, platform)
            done.append(pushed)
            each(pushed)
        return done

    def _push(self, reference: Reference, compression: Compression | None, platform: str) -> Pushed:
        pushed_names(self.images, reference)
        record = self.images.resolve(reference.familiar)
        whole = index_of(self.images, reference)
        pushed = self.push_record(record, reference, compression=compression, platform=platform, whole=whole)
        self.noted("push", reference)
        return pushed

    def push_record(
        self,
        record: ImageRecord,
        reference: Reference,
        *,
        compression: Compression | None = None,
        platform: str = "",
        whole: Digest | None = None,
    ) -> Pushed:
        """Send an image under a name that it need not have here.

        Args:
            record: The image.
            reference: The name, with its tag.
            compression: As for :meth:`push`.
            platform: Send only the image for this one.
            whole: The index that is meant, with all its images.
        """
        from scow.images.sending import Pusher

        record = self.fitting(record, whole, platform, reference.familiar)
        found = find_whole(self.images, whole) if whole and not platform else None
        repository = self.client.repository(reference, push=True)
        pusher = Pusher(self.images, self.content, self.leases, self.client, self.progress)
        if found is not None:
            return pusher.push_whole(repository, reference, found, compression)
        return pusher.push(repository, reference, record, compression)

    def fitting(self, record: ImageRecord, whole: Digest | None, platform: str, shown: str) -> ImageRecord:
        """The image for a platform.

        Args:
            record: The image that a name means.
            whole: The index that it stands for besides, with images for other platforms.
            platform: Wanted; ``""`` for whatever the image is for.
            shown: What the user calls it.

        Raises:
            NotFoundError: There is none.
        """
        if not platform:
            return record
        found = find_whole(self.images, whole) if whole else None
        for candidate in [part.record for part in found.parts if part.record] if found else [record]:
            if self._fits(candidate, platform):
                return candidate
        raise NotFoundError(f"image {shown} is for {record.os}/{record.architecture}, not for {platform}")

    # ------------------------------------------------------------------ registries

    def login_domain(self, server: str) -> str:
        """The registry that a user means, Docker Hub when ``server`` is empty."""
        from scow.distribution.accounts import login_domain

        return login_domain(server)

    def stored_credential(self, domain: str) -> Credential | None:
        """The stored credentials of a registry."""
        return self.client.credentials.get(domain)

    def login(self, domain: str, username: str, password: str) -> str:
        """Check credentials and keep them; see ``distribution.accounts.login``."""
        from scow.distribution.accounts import login

        return login(self.client, domain, username, password)

    def logout(self, domain: str) -> str:
        """Forget credentials; gives the name they were kept under."""
        from scow.distribution.accounts import logout

        return logout(self.client, domain)

    def search(self, term: str, limit: int = 0, filters: Sequence[tuple[str, str]] = ()) -> list[Found]:
        """Find repositories.

        Args:
            term: Words, or ``registry/words``.
            limit: Most results, 0 for 25.
            filters: Such as ``("is-official", "true")`` and ``("stars", "3")``.

        Raises:
            InvalidArgumentError: A filter or the limit is wrong.
            NoSearchError: The registry offers no search.
        """
        from scow.distribution.accounts import split_term
        from scow.distribution.registry import DEFAULT_RESULTS, parse_filters

        wanted = parse_filters(filters)
        domain, words = split_term(term)
        return self.client.registry(domain).search(words, limit or DEFAULT_RESULTS, wanted)

    def tags(self, name: str) -> list[str]:
        """All tags of a repository, sorted.

        Raises:
            RegistryNotFoundError: There is no such repository.
        """
        reference = Reference.parse(name)
        return sorted(self.client.repository(reference).tags())


def pushed_names(images: ImageStore, reference: Reference, *, every: bool = False) -> list[Reference]:
    """The names that a push sends: the one given, ``latest`` when it has no tag, or all of its repository.

    Raises:
        ImageNotFoundError: There is none here.
    """
    mine = sorted(ref for refs in images.all_names().values() for ref in refs if ref.repository == reference.repository)
    none = ImageNotFoundError(f"An image does not exist locally with the tag: {reference.familiar_repository}")
    if every:
        if not mine:
            raise none
        return mine
    try:
        images.resolve(reference.familiar)
    except ImageNotFoundError as error:
        if not mine:
            raise none from error
        raise ImageNotFoundError(
            f"tag does not exist: {reference.with_default_tag().familiar}",
            hint=f"'scow images {reference.familiar_repository}' lists the tags that exist",
        ) from error
    return [reference.with_default_tag()]
