# SPDX-License-Identifier: Apache-2.0
"""The stages of a Dockerfile: their names, what they stand on, what they need, and which of them a target needs.

Stages that the target does not need are never looked at again: their bases are not resolved, their files not read.

Source: BuildKit v0.32 for the order of look-ups (stages, then named contexts, then images) and for triggers.
"""

from __future__ import annotations

from scow.build.draft import Draft
from scow.build.remote import Fetcher
from scow.dockerfile import ast, words
from scow.dockerfile.blame import blame
from scow.dockerfile.errors import DockerfileError, FlagValueError, WordError
from scow.dockerfile.mounts import mount_source
from scow.dockerfile.parser import parse_instructions
from scow.dockerfile.platforms import automatic_args, global_scope
from scow.dockerfile.suggest import nearest
from scow.errors import NotFoundError, ScowError
from scow.oci.reference import InvalidReferenceError, Reference
from scow.record import State
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scow.build.graph import Vertex
    from scow.build.options import BuildOptions
    from scow.build.origins import Origin
    from scow.dockerfile.platforms import GlobalScope
    from scow.oci.digest import ChainID
    from scow.oci.model import ImageConfig, Platform

SCRATCH = "scratch"
_NO_CONTEXT = frozenset({"scratch", "context"})


class TargetNotFoundError(NotFoundError):
    """``--target`` names no stage."""

    code = "target-not-found"


class BaseImage(NamedTuple):
    """An image that a stage stands on.

    Attributes:
        id: The image's ID.
        config: Its configuration.
        chain: Its layers; ``None`` when it has none.
        time: When it was made, seconds since the epoch.
    """

    id: str
    config: ImageConfig
    chain: ChainID | None
    time: int


class Outside(Fetcher, Protocol):
    """What planning needs from outside the Dockerfile."""

    def image(self, name: str, platform: Platform | None) -> BaseImage:
        """Find an image, here or in a registry.

        Raises:
            NotFoundError: There is none.
        """

    def named(self, name: str) -> Origin | BaseImage | None:
        """A further context of this name: its files, or the image it stands for."""

    def is_scratch(self, name: str) -> bool:
        """Whether a further context of this name stands for the empty image."""

    def context(self) -> Origin:
        """The build context."""


class Command(State):
    """An instruction in a stage.

    Attributes:
        node: The instruction.
        sources: The stages it reads, one for each thing that can name one; ``None`` for the context or nothing.
        trigger: It comes from the base's ONBUILD.
    """

    node: ast.Instruction
    sources: list[StageState | None] = []  # noqa: RUF012 - copied
    trigger: bool = False


class StageState(State):
    """A stage, or an image that an instruction reads files from.

    Attributes:
        node: The FROM; ``None`` for an image named by ``--from``.
        index: Its number; -1 for such an image.
        name: Lower case, or ``""``.
        title: As shown in progress.
        image: What it stands on, variables replaced.
        platform: From ``--platform``, or the target's.
        explicit: The platform was said.
        base: The stage it stands on.
        commands: Its instructions.
        needs: Other stages it reads.
        draft: What the image will say of itself.
        vertex: Its tree; ``None`` for an empty one.
        env: Variables in force, arguments included.
        arguments: Names of arguments declared, in order; values of those without a variable.
        ready: Everything about it is known.
        resolved: Its base is known.
        triggered: Triggers of the base have been taken over.
        opened: It began from what it stands on.
        place: The instruction to blame.
    """

    node: ast.From | None
    index: int
    name: str
    title: str
    image: str
    platform: Platform
    explicit: bool = False
    base: StageState | None = None
    commands: list[Command] = []  # noqa: RUF012 - copied
    needs: list[StageState] = []  # noqa: RUF012 - copied
    draft: Draft | None = None
    vertex: Vertex | None = None
    origin: Origin | None = None
    env: dict[str, str] = {}  # noqa: RUF012 - copied
    arguments: dict[str, str] = {}  # noqa: RUF012 - copied
    ready: bool = False
    resolved: bool = False
    triggered: bool = False
    opened: bool = False
    base_image: BaseImage | None = None
    named: Origin | BaseImage | None = None
    place: ast.Node | None = None
    steps: int = 0
    step: int = 0


class Stages:
    """All stages of one Dockerfile for one target platform.

    Args:
        dockerfile: What was parsed.
        options: Of the build.
        build_platform: Where the build runs.
        target_platform: What it makes.
        implicit: Nobody asked for that platform.
        outside: Images and contexts.
    """

    def __init__(
        self,
        dockerfile: ast.Dockerfile,
        options: BuildOptions,
        build_platform: Platform,
        target_platform: Platform,
        outside: Outside,
        *,
        implicit: bool = True,
    ) -> None:
        self.dockerfile = dockerfile
        self.options = options
        self.target_platform = target_platform
        self.build_platform = build_platform
        self.implicit = implicit
        self.outside = outside
        self.all: list[StageState] = []
        self._by_name: dict[str, StageState] = {}
        target_name = options.target or (dockerfile.stages[-1].name if dockerfile.stages else "")
        automatic = automatic_args(build_platform, target_platform, target_name)
        self.scope: GlobalScope = global_scope(dockerfile, automatic, options.build_args)

    # ------------------------------------------------------------------ reading the file

    def read(self) -> StageState:
        """Find all stages, what they read, and the target.

        Returns:
            The target.

        Raises:
            DockerfileError: A FROM or ``--from`` makes no sense.
            TargetNotFoundError: There is no such target.
        """
        if not self.dockerfile.stages:
            raise DockerfileError(
                "dockerfile contains no stages to build", filename=self.dockerfile.filename, kind="no-from"
            )
        for stage in self.dockerfile.stages:
            self._add(stage)
        target = self._target()
        for state in list(self.all):
            state.commands = [self._command(node, state) for node in self.dockerfile.stages[state.index].instructions]
        self._refuse_circles()
        if len(self.all) == 1:
            self.all[0].title = ""
        return target

    def _add(self, stage: ast.Stage) -> None:
        node = stage.from_
        image = self._expand(node, node.image)
        if not image:
            raise blame(self.dockerfile, node, f"base name ({node.image}) should not be blank", token=node.image)
        if self.outside.is_scratch(stage.name or image) or self.outside.is_scratch(image):
            image = SCRATCH
        state = StageState(
            node, stage.index, stage.name, stage.name or f"stage-{stage.index}", image, self.target_platform, place=node
        )
        if node.platform:
            state.platform, state.explicit = self._platform(node), True
        if stage.name and stage.name not in _NO_CONTEXT and image != SCRATCH:
            state.named = self.outside.named(stage.name)
        if state.named is None:
            state.base = self._by_name.get(image)
        self.all.append(state)
        if stage.name:
            self._by_name[stage.name] = state

    def _expand(self, node: ast.From, word: str) -> str:
        try:
            return words.expand(word, self.scope.values, self.dockerfile.escape).text
        except WordError as error:
            raise blame(self.dockerfile, node, error.message, token=word, hint=error.hint) from None

    def _platform(self, node: ast.From) -> Platform:
        from scow.oci.platform import parse_platform

        text = self._expand(node, node.platform)
        if not text:
            raise blame(
                self.dockerfile, node, f"empty platform value from expression {node.platform}", token=node.platform
            )
        try:
            return parse_platform(text)
        except ScowError as error:
            message = f"failed to parse platform {node.platform}: {error.message}"
            raise blame(self.dockerfile, node, message, token=node.platform, hint=error.hint) from None

    def _target(self) -> StageState:
        wanted = self.options.target
        if not wanted:
            return self.all[-1]
        found = self._by_name.get(wanted.lower())
        if found is None:
            near = nearest(wanted, self._by_name, fold=True)
            raise TargetNotFoundError(
                f"target stage {wanted!r} could not be found", hint=f"did you mean {near}?" if near else ""
            )
        return found

    def _command(self, node: ast.Instruction, state: StageState, *, trigger: bool = False) -> Command:
        command = Command(node, trigger=trigger)
        if isinstance(node, ast.Copy) and node.from_:
            command.sources = [self._copy_source(node, node.from_, state)]
        elif isinstance(node, ast.Run) and node.mounts:
            command.sources = [self._mount_source(node, value, state) for value in node.mounts]
        state.needs += [source for source in command.sources if source is not None]
        return command

    def _copy_source(self, node: ast.Copy, name: str, state: StageState) -> StageState:
        try:
            same = words.expand(name, {}, self.dockerfile.escape).text == name
        except WordError:
            same = False
        if not same:
            raise blame(
                self.dockerfile,
                node,
                "variable expansion is not supported for --from",
                token="--from",  # noqa: S106 - a word to point at
                hint="define a new stage with FROM, using an ARG from before the first FROM",
            )
        if name.isascii() and name.lstrip("+-").isdigit():
            number = int(name)
            if not 0 <= number < len(self.all):
                raise blame(self.dockerfile, node, f"invalid stage index {number}", token=name)
            return self.all[number]
        return self._stage_or_image(node, name, state)

    def _mount_source(self, node: ast.Run, value: str, state: StageState) -> StageState | None:
        try:
            name = mount_source(value)
        except FlagValueError as error:
            raise blame(self.dockerfile, node, error.message, token=value, hint=error.hint) from None
        return self._stage_or_image(node, name, state) if name and name != SCRATCH else None

    def _stage_or_image(self, node: ast.Node, name: str, state: StageState) -> StageState:
        found = self._by_name.get(name.lower())
        if found is None:
            name = SCRATCH if self.outside.is_scratch(name) else name
            found = StageState(None, -1, "", "", name, state.platform, explicit=state.explicit, place=node)
            found.base = self._by_name.get(name)
        return found

    def _refuse_circles(self) -> None:
        done: set[StageState] = set()
        for start in self.all:
            path: list[StageState] = []
            stack: list[tuple[StageState, bool]] = [(start, False)]
            while stack:
                state, leave = stack.pop()
                if leave:
                    path.pop()
                    done.add(state)
                    continue
                if state in path:
                    node = state.place
                    message = f"circular dependency detected on stage: {state.name or state.index}"
                    if node is None:
                        raise DockerfileError(message, filename=self.dockerfile.filename)
                    raise blame(self.dockerfile, node, message)
                if state in done:
                    continue
                path.append(state)
                stack.append((state, True))
                stack += [(need, False) for need in self._below(state)]

    @staticmethod
    def _below(state: StageState) -> list[StageState]:
        return [*state.needs, *([state.base] if state.base is not None else [])]

    # ------------------------------------------------------------------ bases

    def resolve(self, target: StageState, stop: Callable[[], None]) -> list[StageState]:
        """Resolve the bases of all stages that the target needs, triggers included.

        Args:
            target: From :meth:`read`.
            stop: Called now and then; raises to stop.

        Returns:
            Those stages, in an order in which each comes after what it needs.

        Raises:
            ScowError: An image cannot be had.
        """
        self._refuse_names(set(self._needed(target)))
        while True:
            needed = self._needed(target)
            for state in needed:
                if state.base is None and not state.resolved:
                    stop()
                    self._resolve_base(state)
            fresh = False
            for state in needed:
                fresh |= self._take_triggers(state)
            if not fresh:
                return needed

    def _refuse_names(self, needed: set[StageState]) -> None:
        """A name that no image can have is an error where nothing needs it, too; as in BuildKit."""
        for state in (*self.all, *(need for reader in self.all for need in reader.needs)):
            if state in needed or state.base is not None:
                continue
            try:
                Reference.parse(state.image)
            except InvalidReferenceError as error:
                if state.place is not None:
                    message = f"failed to parse stage name {state.image!r}: {error.message}"
                    raise blame(self.dockerfile, state.place, message, token=state.image, hint=error.hint) from None
            except ScowError:
                pass  # `scratch`

    def _needed(self, target: StageState) -> list[StageState]:
        order: list[StageState] = []
        seen: set[StageState] = set()
        stack: list[tuple[StageState, bool]] = [(target, False)]
        while stack:
            state, leave = stack.pop()
            if leave:
                order.append(state)
                continue
            if state in seen:
                continue
            seen.add(state)
            stack.append((state, True))
            stack += [(need, False) for need in reversed(self._below(state))]
        return order

    def _resolve_base(self, state: StageState) -> None:
        state.resolved = True
        if state.image == SCRATCH and state.named is None:
            state.draft = Draft.empty(self.target_platform)
            state.platform = self.target_platform
            return
        found = state.named
        if found is None and state.image.lower() not in _NO_CONTEXT:
            found = self.outside.named(state.image)
        if found is None:
            found = self._find_image(state)
        if isinstance(found, BaseImage):
            state.base_image = found
            state.draft = Draft.on(found.config)
            if not state.explicit and self.implicit:
                state.platform = found.config.platform
        else:
            state.origin = found
            state.draft = Draft.empty(state.platform)

    def _find_image(self, state: StageState) -> BaseImage:
        try:
            wanted = state.platform if state.explicit or not self.implicit else None
            return self.outside.image(state.image, wanted)
        except ScowError as error:
            near = nearest(state.image, self._by_name)
            hint = error.hint or (f"did you mean the stage {near}?" if near else "")
            if state.place is None:
                raise
            raise blame(
                self.dockerfile, state.place, f"failed to resolve source metadata for {state.image}: {error.message}",
                token=state.image, hint=hint,
                kind="missing-image",
            ) from error  # fmt: skip

    def _take_triggers(self, state: StageState) -> bool:
        """Put the base's ONBUILD instructions first; true when they read further stages."""
        if state.triggered or state.index < 0:
            return False
        state.triggered = True
        texts: list[str] = []
        if state.base is not None:
            texts = [node.expression for node in self._onbuilds(state.base)]
        elif state.draft is not None:
            texts = list(state.draft.config.on_build)
            state.draft.set(on_build=())
        commands: list[Command] = []
        before = len(state.needs)
        for text in texts:
            try:
                nodes = parse_instructions(text, self.dockerfile.filename)
            except DockerfileError as error:
                raise self._trigger_fault(state, text, error.message) from None
            if len(nodes) != 1:
                raise self._trigger_fault(state, text, "onbuild trigger should be a single expression")
            if isinstance(nodes[0], (ast.Onbuild, ast.From, ast.Maintainer)):
                raise self._trigger_fault(state, text, f"{nodes[0].name} isn't allowed as an ONBUILD trigger")
            commands.append(self._command(nodes[0], state, trigger=True))
        state.commands = commands + state.commands
        return len(state.needs) > before

    def _trigger_fault(self, state: StageState, text: str, message: str) -> DockerfileError:
        place = state.place
        sentence = f"the ONBUILD trigger {text!r} of the base is faulty: {message}"
        if place is None:
            return DockerfileError(sentence, filename=self.dockerfile.filename)
        return blame(self.dockerfile, place, sentence)

    @staticmethod
    def _onbuilds(state: StageState) -> Iterable[ast.Onbuild]:
        return [command.node for command in state.commands if isinstance(command.node, ast.Onbuild)]


def first_value(name: str, *scopes: Mapping[str, str]) -> str | None:
    """The value of a name in the first scope that has it."""
    for scope in scopes:
        if name in scope:
            return scope[name]
    return None
