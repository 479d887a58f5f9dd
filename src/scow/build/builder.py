# SPDX-License-Identifier: Apache-2.0
"""The builder's front door: from options to an image in the store."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, nullcontext

from scow.build.events import Ledger, quiet
from scow.build.options import EPOCH
from scow.build.receipts import Receipt, Receipts, Taken, eligible, texts_digest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.build.cache import BuildCache
    from scow.build.contexts import Opened
    from scow.build.events import BuildProgress
    from scow.build.explaining import Explained
    from scow.build.graph import Solved, Vertex
    from scow.build.locking import Input
    from scow.build.options import BuildOptions
    from scow.build.output import Made
    from scow.build.outside import Resolver
    from scow.build.plan import Plan
    from scow.build.reproducing import Verified
    from scow.build.scratch import Scratch
    from scow.build.solver import Solver
    from scow.build.stages import Stages
    from scow.build.suspicious import Suspicion
    from scow.build.workshop import Workshop
    from scow.content.local import LocalContentStore
    from scow.content.target import Target
    from scow.dockerfile.lint.run import Problem
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Limits
    from scow.runtime.step import StepPlace, StepRunner
    from scow.snapshot.snapshotter import Snapshotter


class BuildResult(NamedTuple):
    """What a build made.

    Attributes:
        image: The image; ``None`` when none was asked for.
        cached: How many steps came from the cache.
        run: How many steps were done.
        steps: Why each step ran or did not, when the options ask for it.
        suspicions: What looks like credentials in it.
        emulated: Seconds that commands ran under an emulator; those side by side count each.
        problems: What the checks found, when the options ask for them.
    """

    image: ImageRecord | None
    cached: int
    run: int
    steps: tuple[Explained, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    emulated: float = 0.0
    problems: tuple[Problem, ...] = ()


class Rooms(NamedTuple):
    """What the builder works with.

    Attributes:
        root: The store's directory.
        run_root: Where state lives that a reboot may lose.
        db: The store's database.
        leases: Its references.
        content: Its blobs.
        images: Its images.
        snapshots: Opens its snapshots.
        ensure: Pulls an image: name, policy and platform.
        limits: For layers.
        cache_size: Most bytes of build cache.
        repository: Opens a repository of a registry by reference, for pushing or not.
        network: Gives a step a place on the default network; without it steps are on the host's.
        runtime: What runs steps, ``runc`` or ``crun``; ``""`` for what is installed.
        pinned: When names of images are not to be believed: gives one by which only the right content is found.
    """

    root: str
    run_root: str
    db: Database
    leases: Leases
    content: LocalContentStore
    images: ImageStore
    snapshots: Callable[[], Snapshotter]
    ensure: Callable[[str, str, str], ImageRecord]
    limits: Limits
    cache_size: int
    repository: Callable[[str, bool], Target]
    network: Callable[[str], AbstractContextManager[StepPlace]] | None = None
    runtime: str = ""
    pinned: Callable[[str], str] | None = None


class _Session(NamedTuple):
    """A build that is planned."""

    opened: Opened
    resolver: Resolver
    plan: Plan
    stages: Stages


class Builder:
    """Builds images.

    Args:
        rooms: What to work with.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._cache: BuildCache | None = None

    @property
    def cache(self) -> BuildCache:
        """Results of earlier builds."""
        if self._cache is None:
            from scow.build.cache import BuildCache

            rooms = self._rooms
            self._cache = BuildCache(rooms.db, rooms.content, rooms.leases, rooms.cache_size)
        return self._cache

    @cache.setter
    def cache(self, cache: BuildCache) -> None:
        self._cache = cache

    def build(
        self,
        options: BuildOptions,
        progress: BuildProgress = quiet,
        *,
        stdin: BinaryIO | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> BuildResult:
        """Build an image.

        Args:
            options: What to build.
            progress: Told what happens.
            stdin: For a context or Dockerfile of ``-``.
            check: Called now and then; raises to stop.

        Returns:
            What was made.

        Raises:
            DockerfileError: The Dockerfile is faulty.
            StepFailedError: A step failed.
            ScowError: Anything else.
        """
        ledger = Ledger(progress)
        rooms = self._rooms
        if len(options.platforms) > 1:
            from scow.build.platforms import build_each

            return build_each(self, rooms, options, ledger, progress, check)
        receipts = Receipts(rooms.db, rooms.images)
        if self._rooms.pinned is None and eligible(options):
            image = receipts.find(options, ledger)
            if image is not None:
                return BuildResult(image, 0, 0)
        from scow.build.scratch import Scratch

        with rooms.leases.hold("build") as lease, Scratch(rooms.root, rooms.run_root) as places:
            shop = self._workshop(options, lease, places)
            shop.scanned = receipts.scanned
            try:
                return self._build(shop, options, ledger, stdin, check)
            finally:
                shop.closers.close()
                if self.cache.evicted:
                    self.collect()

    def inputs(self, options: BuildOptions, progress: BuildProgress = quiet) -> tuple[str, list[Input]]:
        """Find the inputs of a build that come from outside, without building.

        Args:
            options: What would be built.
            progress: Told what happens.

        Returns:
            Where the lock file belongs, and the inputs.
        """
        from scow.build.locking import lock_path
        from scow.build.scratch import Scratch

        rooms = self._rooms
        with rooms.leases.hold("lock") as lease, Scratch(rooms.root, rooms.run_root) as places:
            session = self._plan(self._workshop(options, lease, places), options, Ledger(progress), None, lambda: None)
            for vertex in session.plan.vertices:
                vertex.op.definition()
            return lock_path(session.opened.place), session.resolver.inputs()

    def verify(self, options: BuildOptions, progress: BuildProgress = quiet) -> Verified:
        """Build twice, the second time under other conditions, and compare; see ``reproducing.verify``."""
        from scow.build.reproducing import verify

        return verify(self._rooms, options, progress)

    def collect(self) -> int:
        """Free what no record, image or container needs.

        Returns:
            Bytes.
        """
        from scow.images.prune import collect

        self.cache.evicted = False
        return collect(self._rooms.images, self._rooms.content, self._rooms.snapshots()).size

    def _workshop(self, options: BuildOptions, lease: Lease, places: Scratch) -> Workshop:
        from scow.build.stepnet import StepNetworks
        from scow.build.workshop import Workshop

        rooms = self._rooms
        networks = StepNetworks(rooms.network) if rooms.network is not None else None

        def runner() -> StepRunner:
            from scow.runtime.oci import OciRuntime
            from scow.runtime.step import Steps

            state = os.path.join(rooms.run_root, "steps")
            os.makedirs(state, mode=0o700, exist_ok=True)
            lend = networks.lend if networks is not None else None
            return Steps(OciRuntime(state, name=rooms.runtime), os.path.join(places.path, "bundles"), lend)

        closers = ExitStack()
        if networks is not None:
            closers.callback(networks.close)
        return Workshop(
            db=rooms.db,
            leases=rooms.leases,
            content=rooms.content,
            open_snapshots=rooms.snapshots,
            open_runner=runner,
            lease=lease,
            root=rooms.root,
            places=places,
            limits=rooms.limits,
            options=options,
            epoch=options.epoch,
            networks=networks,
            closers=closers,
            lock=threading.RLock(),
        )

    def _plan(
        self,
        shop: Workshop,
        options: BuildOptions,
        ledger: Ledger,
        stdin: BinaryIO | None,
        check: Callable[[], None],
    ) -> _Session:
        """Open the context and plan the build."""
        from scow.build.contexts import ContextOpener
        from scow.build.outside import Resolver
        from scow.build.plan import Planner
        from scow.build.stages import Stages
        from scow.dockerfile.parser import parse
        from scow.oci.platform import host_platform

        def fetch(url: str) -> str:
            from scow.build.fetch import UrlStore

            return UrlStore(shop.db, shop.content, shop.lease, shop.limits.max_size, check).tree(url, "").path

        opener = ContextOpener(shop, options, shop.scratch, stdin or sys.stdin.buffer, fetch)
        name = os.path.basename(options.dockerfile) or "Dockerfile"
        with ledger.internal(f"[internal] load build definition from {name}"):
            opened = opener.open()
            dockerfile = parse(opened.text, opened.filename)
        rooms = self._rooms
        resolver = Resolver(
            shop, rooms.images, rooms.ensure, opened, ledger, shop.scratch, check, here=rooms.pinned is None
        )
        host = host_platform(os.uname().machine)
        target = options.platforms[0] if options.platforms else host
        stages = Stages(dockerfile, options, host, target, resolver, implicit=not options.platforms)
        if EPOCH in options.build_args or EPOCH in stages.scope.values:
            from scow.build.epochs import apply, resolve

            shop.epoch = resolve(stages, options, resolver, opened.root)
            options = apply(stages, options, shop.epoch)
        plan = Planner(stages, options, resolver).plan(check)
        return _Session(opened, resolver, plan, stages)

    def _build(
        self,
        shop: Workshop,
        options: BuildOptions,
        ledger: Ledger,
        stdin: BinaryIO | None,
        check: Callable[[], None],
    ) -> BuildResult:
        from scow.build.diary import Diary
        from scow.build.exchange import export_caches, import_caches, note_inline
        from scow.build.failures import StepFailedError
        from scow.build.locking import check as check_lock
        from scow.build.locking import lock_path
        from scow.build.output import Made
        from scow.build.solver import Solver

        opened, resolver, plan, stages = self._plan(shop, options, ledger, stdin, check)
        problems = _check(stages, options, resolver, opened)
        solver = Solver(shop, self.cache, ledger)
        shop.closers.callback(solver.finish)
        if options.cache_from:
            import_caches(options, self._rooms, solver, ledger)
        diary = Diary(shop.db, self.cache, opened.place, options, plan, solver)
        try:
            with ledger.internal("[internal] load build context") if opened.root else nullcontext():
                solver.prepare(plan.vertices)
            if options.locked:
                check_lock(lock_path(opened.place), resolver.inputs())
            solved = solver.solve(plan.target.vertex)
        except StepFailedError as error:
            error.excerpt = excerpt(opened, error.lines)
            if error.left is not None and error.vertex is not None:
                error.image = self._failed_image(shop, resolver, plan, error.left, error.vertex).id
            error.steps = diary.write()
            raise
        finally:
            for origin in resolver.contexts:
                if origin.opened is not None:
                    origin.opened.save()
        made = Made(solved, plan.draft, _base_of(plan, resolver), _created(shop, solved, opened))
        suspicions = self._examine(shop, plan, solver, made)
        self.watch(plan, solver, made)
        note_inline(options, self.cache, plan, solver, made)
        record = self._output(shop, ledger, made)
        steps = diary.write(record.id if record is not None else "")
        if options.cache_to:
            export_caches(self._rooms, self.cache, options, plan, solver, ledger)
        if record is not None and eligible(options):
            receipt = _receipt(opened, resolver, plan, made, record, dated=shop.epoch is None)
            if receipt is not None:
                Receipts(shop.db, self._rooms.images).file(options, receipt)
        cached = sum(solver.outcomes[story.vertex] not in ("run", "failed") for story in solver.stories)
        return BuildResult(record, cached, len(solver.stories) - cached, steps, suspicions, solver.emulated, problems)

    def _examine(self, shop: Workshop, plan: Plan, solver: Solver, made: Made) -> tuple[Suspicion, ...]:
        """Look for credentials, before anything has a name."""
        from scow.build.suspicious import examine, refuse

        gate = shop.options.secrets_gate
        if gate == "off":
            return ()
        found = examine(shop.content, plan, solver, made, every=gate == "error", plain=shop.plain)
        if found and gate == "error":
            raise refuse(found)
        return tuple(found)

    def _failed_image(
        self, shop: Workshop, resolver: Resolver, plan: Plan, left: Solved, vertex: Vertex
    ) -> ImageRecord:
        """An image to look into what a failed RUN left, with the surroundings that the command had."""
        from scow.build import output
        from scow.build.draft import Draft
        from scow.build.ops.values import BaseOp, RunOp
        from scow.oci.model import ContainerConfig

        here: Vertex | None = vertex
        while here is not None and not isinstance(here.op, BaseOp):
            here = here.below
        base = resolver.records[here.op.image] if here is not None and isinstance(here.op, BaseOp) else None
        op = vertex.op
        config = ContainerConfig()
        if isinstance(op, RunOp):
            config = ContainerConfig(user=op.user, env=op.env, working_dir=op.cwd, cmd=op.args[:1])
        made = output.Made(left, Draft(plan.platform, config), base, left.time)
        return output.make_image(shop, self._rooms.images, made, tags=())

    def watch(self, plan: Plan, solver: Solver, made: Made) -> None:
        """Overridden by those who want to see what was made before anything is done with it."""

    def _output(self, shop: Workshop, ledger: Ledger, made: Made) -> ImageRecord | None:
        """Make what was asked for."""
        from scow.build import output
        from scow.images.mutate import withdraw

        options, images = shop.options, self._rooms.images
        outputs = options.outputs
        if options.squash:
            with ledger.internal(f"squashing {options.squash} layers"):
                made = output.squash(shop, made)
        record = None
        if output.wants_image(outputs) or any(wanted.type in output.ARCHIVES for wanted in outputs):
            with ledger.internal("exporting to image") as step:
                known = {image.id for image in images} if not output.wants_image(outputs) else set()
                record = output.make_image(shop, images, made)
                named = "".join(f"naming to {tag.canonical} done\n" for tag in options.tags)
                ledger.log(step, "exporting to image", 2, f"writing image {record.id} done\n{named}".encode())
            for wanted in outputs:
                if wanted.type in output.ARCHIVES and wanted.destination:
                    with ledger.internal(f"exporting to {wanted.type} image format"):
                        output.write_archive(shop, images, record, wanted)
            if not output.wants_image(outputs) and record.id not in known:
                withdraw(images, record, shop.lease)  # it was only made to be written
        for wanted in outputs:
            if wanted.type in output.TREES:
                with ledger.internal(f"exporting to client {'directory' if wanted.type == 'local' else 'tarball'}"):
                    output.write_tree(shop, made.solved, wanted)
        return record


def _check(stages: Stages, options: BuildOptions, resolver: Resolver, opened: Opened) -> tuple[Problem, ...]:
    """Check the Dockerfile, when somebody wants to know or the build may be stopped by it."""
    from scow.dockerfile.platforms import CHECK_ARGUMENT

    stops = any(directive.name == "check" and "error" in directive.value for directive in stages.dockerfile.directives)
    if not (options.checks or stops or CHECK_ARGUMENT in options.build_args):
        return ()
    from scow.build.checking import check

    return check(stages, options, resolver.configs(), opened.patterns)


def _receipt(
    opened: Opened, resolver: Resolver, plan: Plan, made: Made, image: ImageRecord, *, dated: bool
) -> Receipt | None:
    """The receipt of a build; ``None`` when it has inputs that a receipt cannot hold.

    Args:
        opened: The context and the Dockerfile.
        resolver: Knows the files that were taken.
        plan: The steps.
        made: What they made.
        image: The image.
        dated: The Dockerfile's time counts.
    """
    from scow.build.cache import record_id

    files = resolver.taken(plan.vertices)
    if files is None or not opened.root:
        return None
    texts, when = texts_digest(opened.place, opened.root)
    if when != opened.time:
        return None  # it was changed meanwhile
    return Receipt(
        opened.root,
        opened.place,
        texts,
        tuple(resolver.bases()),
        tuple(Taken(path, digest) for path, digest in sorted(files.items())),
        image.id,
        record_id(made.solved),
        tuple(vertex.title for vertex in plan.vertices),
        when if dated else -1,
        made.solved.time if made.solved.layers else -1,
    )


def excerpt(opened: Opened, lines: tuple[int, int]) -> str:
    """The lines of a Dockerfile around a step, the step's own ones marked."""
    first, last = lines
    if not first:
        return ""
    text = opened.text.split("\n")
    low, high = max(1, first - 2), min(len(text), last + 2)
    shown = [f"{opened.filename}:{first}", "-" * 20]
    for number in range(low, high + 1):
        mark = ">>>" if first <= number <= last else "   "
        shown.append(f"{number:>4} | {mark} {text[number - 1]}".rstrip())
    return "\n".join([*shown, "-" * 20]) + "\n"


def _created(shop: Workshop, solved: Solved, opened: Opened) -> int:
    """When the image was made, as far as its inputs tell."""
    return max(solved.time, opened.time) if shop.epoch is None else shop.epoch


def _base_of(plan: Plan, resolver: Resolver) -> ImageRecord | None:
    """The image at the bottom of the target."""
    state = plan.target
    while state.base is not None:
        state = state.base
    return resolver.records[state.base_image.id] if state.base_image is not None else None
