# SPDX-License-Identifier: Apache-2.0
"""Going through the stages as a build would, without running anything: variables, bases, shells, ports.

What is found is kept as plain facts for the rules. Faults that would end the build end only the instruction's facts.

Source: BuildKit v0.32, frontend/dockerfile/dockerfile2llb (dispatch).
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003
from dataclasses import dataclass, field

from scow.dockerfile import ast, suggest, words
from scow.dockerfile.errors import DockerfileError, FlagValueError, WordError
from scow.dockerfile.mounts import fields
from scow.dockerfile.parser import parse_instructions
from scow.dockerfile.platforms import UNSEEN, automatic_args, global_scope
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from scow.dockerfile.lint.subject import BaseImage, Surroundings

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Undefined(NamedTuple):
    """A variable that an instruction uses and nobody set; ``near`` is a name like it, or ``""``."""

    node: ast.Node
    name: str
    near: str


class Port(NamedTuple):
    """One port of EXPOSE after expansion, as written."""

    node: ast.Expose
    text: str


class Paths(NamedTuple):
    """Sources and destination of a COPY or ADD after expansion."""

    node: ast.Copy | ast.Add
    sources: tuple[str, ...]
    destination: str
    workdir: str


class Workdir(NamedTuple):
    """A WORKDIR after expansion; ``anchored`` when an absolute or earlier one in this file precedes it."""

    node: ast.Workdir
    path: str
    anchored: bool


@dataclass(slots=True)
class StageRun:
    """What a stage does.

    Attributes:
        stage: Its place in the tree.
        base: The image or stage it starts from, variables expanded.
        parent: The stage it starts from, if it is one of this file.
        image: What is known of its base image.
        base_words: How the base's name was expanded; ``None`` when it could not be.
        platform_words: How ``--platform`` was expanded.
        undeclared: Names in the FROM that no ARG declares, each with a near one.
        env: Variables at the end.
        declared: Names that ARG declared, parents' included.
        names: What each ENV, after expansion, and each ARG of this stage sets.
        shell: The SHELL in force at the end; empty for the default.
        user: The USER at the end; ``""`` when none is known.
        user_node: The last USER of this stage.
        workdir: The WORKDIR at the end; ``""`` when none is known.
        anchored: This file has set a WORKDIR for the stage or its parents.
        undefined: Variables used and not set.
        ports: What is exposed.
        paths: What is copied.
        workdirs: Every WORKDIR.
        shells: The shell in force at each RUN, CMD and ENTRYPOINT, by identity of the node.
        nodes: Instructions in order, the base's triggers first.
    """

    stage: ast.Stage
    base: str = ""
    parent: StageRun | None = None
    image: BaseImage | None = None
    base_words: words.Expansion | None = None
    platform_words: words.Expansion | None = None
    undeclared: list[Undefined] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    names: list[tuple[ast.Env | ast.Arg, str]] = field(default_factory=list)
    shell: tuple[str, ...] = ()
    user: str = ""
    user_node: ast.User | None = None
    workdir: str = ""
    anchored: bool = False
    undefined: list[Undefined] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    paths: list[Paths] = field(default_factory=list)
    workdirs: list[Workdir] = field(default_factory=list)
    shells: dict[int, tuple[str, ...]] = field(default_factory=dict)
    nodes: list[ast.Instruction] = field(default_factory=list)

    def descends_from(self, other: StageRun) -> bool:
        """Whether this stage is the other, or starts from it."""
        run: StageRun | None = self
        while run is not None:
            if run is other:
                return True
            run = run.parent
        return False

    @property
    def windows(self) -> bool:
        """Whether the stage asks for a Windows platform, or starts from one that does."""
        run: StageRun | None = self
        while run is not None:
            if run.platform_words is not None:
                return run.platform_words.text.lower().startswith("windows")
            run = run.parent
        return False

    @property
    def root_image(self) -> BaseImage | None:
        """What is known of the image under all parents."""
        run = self
        while run.parent is not None:
            run = run.parent
        return run.image


class DryRun:
    """Goes through a Dockerfile.

    Attributes:
        stages: The result.
        global_values: Arguments that FROM lines see; ``None`` when one cannot be expanded.

    Args:
        dockerfile: The tree.
        around: What is known beside it.
    """

    def __init__(self, dockerfile: ast.Dockerfile, around: Surroundings) -> None:
        self._dockerfile = dockerfile
        self._around = around
        automatic = automatic_args(around.build, around.target, dockerfile.stages[-1].name if dockerfile.stages else "")
        self.global_values: Mapping[str, str] | None = None
        self._declared: frozenset[str] = frozenset()
        try:
            scope = global_scope(dockerfile, automatic, around.build_args)
            self.global_values = scope.values
            self._declared = scope.declared
        except DockerfileError:
            pass
        self.stages: list[StageRun] = []
        for stage in dockerfile.stages:
            self.stages.append(self._stage(stage))

    def _stage(self, stage: ast.Stage) -> StageRun:
        run = StageRun(stage, base=stage.from_.image)
        values = self.global_values or {}
        run.base_words = self._from_word(run, stage.from_.image, values)
        if run.base_words is not None:
            run.base = run.base_words.text
        if stage.from_.platform:
            run.platform_words = self._from_word(run, stage.from_.platform, values)
        run.parent = next((other for other in reversed(self.stages) if other.stage.name == run.base != ""), None)
        run.image = self._around.images.get(run.base) if run.parent is None else None
        self._inherit(run)
        for trigger in self._triggers(run):
            self._visit(run, trigger)
        for node in stage.instructions:
            self._visit(run, node)
        return run

    def _from_word(self, run: StageRun, word: str, values: Mapping[str, str]) -> words.Expansion | None:
        try:
            result = words.expand(word, values, self._dockerfile.escape)
        except WordError:
            return None
        known = self._declared | values.keys()
        for name in sorted(result.unset - known):
            run.undeclared.append(Undefined(run.stage.from_, name, suggest.nearest(name, known)))
        return result

    def _inherit(self, run: StageRun) -> None:
        parent, image = run.parent, run.image
        if parent is not None:
            run.env = dict(parent.env)
            run.declared = set(parent.declared)
            run.shell, run.user, run.workdir, run.anchored = parent.shell, parent.user, parent.workdir, parent.anchored
        elif image is not None:
            run.env = dict(image.env)
            run.shell, run.user, run.workdir = image.shell, image.user, image.workdir
        run.env.setdefault("PATH", _DEFAULT_PATH)

    def _triggers(self, run: StageRun) -> Iterable[ast.Instruction]:
        """The triggers of the base, standing where the FROM stands."""
        if run.parent is not None:
            texts = [node.expression for node in run.parent.stage.instructions if isinstance(node, ast.Onbuild)]
        else:
            texts = list(run.image.onbuild) if run.image is not None else []
        for text in texts:
            try:
                nodes = parse_instructions(text)
            except DockerfileError:
                continue
            for node in nodes:
                yield replace(node, span=run.stage.from_.span, comments=run.stage.from_.comments)

    def _visit(self, run: StageRun, node: ast.Instruction) -> None:
        run.nodes.append(node)
        if isinstance(node, (ast.Run, ast.Cmd, ast.Entrypoint)):
            run.shells[id(node)] = run.shell
        try:
            self._facts(run, node)
        except (WordError, FlagValueError):
            return

    def _facts(self, run: StageRun, node: ast.Instruction) -> None:
        match node:
            case ast.Env():
                pairs = [(self._word(run, node, pair.name), self._word(run, node, pair.value)) for pair in node.pairs]
                run.env.update(pairs)
                run.names.extend((node, name) for name, _ in pairs)
            case ast.Label():
                for pair in node.pairs:
                    self._word(run, node, pair.name)
                    self._word(run, node, pair.value)
            case ast.Arg():
                for argument in node.arguments:
                    self._argument(run, node, argument)
            case ast.Run():
                for mount in node.mounts:
                    self._mount(run, node, mount)
            case ast.Copy() | ast.Add():
                self._copy(run, node)
            case ast.Workdir():
                path = self._word(run, node, node.path)
                run.workdirs.append(Workdir(node, path, run.anchored))
                run.anchored = True
                run.workdir = path if path.startswith("/") else f"{run.workdir.rstrip('/')}/{path}"
            case ast.User():
                run.user = self._word(run, node, node.user)
                run.user_node = node
            case ast.Volume():
                for path in node.paths:
                    self._word(run, node, path)
            case ast.StopSignal():
                self._word(run, node, node.signal)
            case ast.Expose():
                for port in node.ports:
                    found = words.split(port, run.env, self._dockerfile.escape).words
                    run.ports.extend(Port(node, text) for text in found)
            case ast.Shell():
                run.shell = node.shell
            case _:
                pass

    def _word(self, run: StageRun, node: ast.Node, word: str) -> str:
        result = words.expand(word, run.env, self._dockerfile.escape)
        self._unset(run, node, result.unset)
        return result.text

    def _unset(self, run: StageRun, node: ast.Node, names: frozenset[str]) -> None:
        for name in sorted(names - run.declared - UNSEEN):
            run.undefined.append(Undefined(node, name, suggest.nearest(name, run.env)))

    def _argument(self, run: StageRun, node: ast.Arg, argument: ast.Argument) -> None:
        given = self._around.build_args
        value: str | None = None
        run.names.append((node, argument.name))
        if argument.name in given:
            value = given[argument.name]
        elif argument.default is not None:
            value = self._word(run, node, argument.default)
        elif self.global_values is not None:
            value = self.global_values.get(argument.name)
        if value is not None and argument.name not in UNSEEN:
            run.env[argument.name] = value
        run.declared.add(argument.name)

    def _mount(self, run: StageRun, node: ast.Run, mount: str) -> None:
        for entry in fields(mount):
            _, sign, value = entry.partition("=")
            if sign:
                self._word(run, node, value)

    def _copy(self, run: StageRun, node: ast.Copy | ast.Add) -> None:
        self._word(run, node, node.chown)
        self._word(run, node, node.chmod)
        if isinstance(node, ast.Add):
            self._word(run, node, node.checksum)
        sources = tuple(self._word(run, node, source) for source in node.sources)
        destination = self._word(run, node, node.destination)
        for doc in node.inline:
            if doc.expand:
                result = words.expand(doc.text, run.env, quotes="literal")
                self._unset(run, node, result.unset)
        run.paths.append(Paths(node, sources, destination, run.workdir))
