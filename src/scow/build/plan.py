# SPDX-License-Identifier: Apache-2.0
"""Instructions to vertices and image configuration. Nothing is run, no file is read.

Source: Dockerfile reference 1.26; BuildKit v0.32 for the history's words and for what changes the configuration how.
"""

from __future__ import annotations

import posixpath

from scow.base.clock import write_duration
from scow.build import plan_copy, plan_run
from scow.build.draft import DEFAULT_PATH, DEFAULT_SHELL, Draft
from scow.build.graph import Vertex
from scow.build.ops.values import BaseOp, MkdirOp
from scow.build.wording import plain_list, quoted_list
from scow.dockerfile import ast, words
from scow.dockerfile.blame import blame
from scow.dockerfile.errors import DockerfileError, FlagValueError, WordError
from scow.dockerfile.platforms import UNSEEN
from scow.dockerfile.ports import check_signal, expose
from scow.errors import InvalidArgumentError
from scow.oci.model import Healthcheck
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.build.options import BuildOptions
    from scow.build.stages import Command, Outside, Stages, StageState
    from scow.oci.model import Platform

_LAYERS = (ast.Add, ast.Copy, ast.Run, ast.Workdir)


class Plan(NamedTuple):
    """What to build.

    Attributes:
        target: The stage asked for.
        draft: What the image will say of itself.
        vertices: Every step needed, each after those it needs.
        platform: What the image is for.
    """

    target: StageState
    draft: Draft
    vertices: tuple[Vertex, ...]
    platform: Platform


class Planner:
    """Turns the stages of one Dockerfile into vertices.

    Args:
        stages: Read and resolved here.
        options: Of the build.
        outside: Contexts.
    """

    def __init__(self, stages: Stages, options: BuildOptions, outside: Outside) -> None:
        self.stages = stages
        self.dockerfile = stages.dockerfile
        self.options = options
        self.outside = outside
        self.vertices: list[Vertex] = []
        self._many_platforms = len(options.platforms) > 1

    def plan(self, stop: Callable[[], None]) -> Plan:
        """Plan the target.

        Raises:
            DockerfileError: An instruction makes no sense.
            ScowError: A base image cannot be had.
        """
        target = self.stages.read()
        for state in self.stages.resolve(target, stop):
            self._open(state)
            if state.index < 0:
                state.ready = True
                continue
            for command in state.commands:
                stop()
                try:
                    self._dispatch(state, command)
                except DockerfileError:
                    raise
                except (InvalidArgumentError, WordError, FlagValueError) as error:
                    raise blame(self.dockerfile, command.node, error.message, hint=error.hint) from error
            state.ready = True
        draft = self._finish(target)
        return Plan(target, draft, tuple(self.vertices), draft.platform)

    # ------------------------------------------------------------------ stages

    def _open(self, state: StageState) -> None:
        """Begin a stage with what it stands on."""
        if state.base is not None:
            base = state.base
            state.draft = base.draft.copy() if base.draft is not None else Draft.empty(state.platform)
            state.vertex, state.origin = base.vertex, base.origin
            state.platform = base.platform
            state.env = dict(base.env)
            state.arguments = dict(base.arguments)
        elif state.base_image is not None:
            found = state.base_image
            if found.chain is not None:
                op = BaseOp(state.image, found.id, found.chain, found.time)
                title = self._title(state, f"FROM {state.image}", count=True)
                state.vertex = self.add(Vertex(op, None, title=title, stage=state.name))
        elif state.origin is not None and state.index >= 0:
            state.vertex = self.add(plan_copy.context_vertex(state))
        if state.draft is None:
            return
        draft = state.draft
        if not any(entry.startswith("PATH=") for entry in draft.config.env):
            draft.set(env=(*draft.config.env, f"PATH={DEFAULT_PATH}"))
        for entry in draft.config.env:
            name, _, value = entry.partition("=")
            state.env[name] = value
        if draft.config.working_dir:
            draft.set(working_dir=_workdir("/", draft.config.working_dir))

    def _title(self, state: StageState, text: str, *, count: bool, trigger: bool = False) -> str:
        """``[stage 2/5] RUN make``."""
        if not state.steps:
            state.steps = sum(isinstance(command.node, _LAYERS) for command in state.commands)
            state.steps += state.base_image is not None
        if not state.steps:
            return text
        state.step += count
        platform = f"{state.platform} " if self._many_platforms else ""
        stage = f"{state.title} " if state.title else ""
        width = len(str(state.steps))
        return f"[{platform}{stage}{state.step:>{width}}/{state.steps}] {'ONBUILD ' if trigger else ''}{text}"

    def title(self, state: StageState, command: Command, text: str) -> str:
        """The title of a step; its first word in upper case."""
        first, space, rest = text.partition(" ")
        return self._title(state, f"{first.upper()}{space}{rest}", count=True, trigger=command.trigger)

    def add(self, vertex: Vertex) -> Vertex:
        """Take a vertex into the plan."""
        self.vertices.append(vertex)
        return vertex

    def is_fresh(self, state: StageState) -> bool:
        """Whether the stage takes nothing from the cache."""
        if self.options.no_cache:
            return True
        wanted = {name.lower() for name in self.options.no_cache_filter}
        return bool(wanted) and (state.name in wanted or str(state.index) in wanted)

    def _finish(self, target: StageState) -> Draft:
        draft = target.draft or Draft.empty(target.platform)
        options = self.options
        config = draft.config
        gone = set(options.unset_env)
        if gone:
            config_env = tuple(entry for entry in config.env if entry.partition("=")[0] not in gone)
            draft.set(env=config_env)
        if options.unset_volumes:
            draft.set(volumes=tuple(path for path in config.volumes if path not in options.unset_volumes))
        if options.unset_ports:
            ports = {port if "/" in port else f"{port}/tcp" for port in options.unset_ports}
            draft.set(exposed_ports=tuple(port for port in config.exposed_ports if port not in ports))
        labels = {name: value for name, value in config.labels.items() if name not in options.unset_labels}
        draft.set(labels={**labels, **options.labels})
        if not self.stages.implicit:
            draft.platform = self.stages.target_platform
        return draft

    # ------------------------------------------------------------------ instructions

    def expand(self, state: StageState, word: str) -> str:
        """Replace the variables of a word."""
        return words.expand(word, state.env, self.dockerfile.escape).text

    def _dispatch(self, state: StageState, command: Command) -> None:
        draft = state.draft
        if draft is None:
            raise InvalidArgumentError("the stage has no base")
        node = command.node
        match node:
            case ast.Run():
                plan_run.run(self, state, command, node, draft)
            case ast.Copy() | ast.Add():
                plan_copy.copy(self, state, command, node, draft)
            case ast.Workdir():
                self._workdir(state, command, node, draft)
            case ast.Env():
                self._env(state, node, draft)
            case ast.Arg():
                self._arg(state, node, draft)
            case _:
                self._configure(state, node, draft)

    def _env(self, state: StageState, node: ast.Env, draft: Draft) -> None:
        pairs = [(self.expand(state, pair.name), self.expand(state, pair.value)) for pair in node.pairs]
        for name, value in pairs:
            state.env.pop(name, None)
            state.env[name] = value
            draft.set_env(name, value)
        draft.record("ENV " + " ".join(f"{name}={value}" for name, value in pairs), layer=False)

    def _arg(self, state: StageState, node: ast.Arg, draft: Draft) -> None:
        said: list[str] = []
        given = self.options.build_args
        for argument in node.arguments:
            value: str | None
            if argument.name in given:
                value = given[argument.name]
            elif argument.default is not None:
                value = self.expand(state, argument.default)
            else:
                value = self.stages.scope.values.get(argument.name)
            state.arguments[argument.name] = value or ""
            if value is None:
                said.append(argument.name)
            else:
                if argument.name not in UNSEEN:
                    state.env.pop(argument.name, None)
                    state.env[argument.name] = value
                said.append(f"{argument.name}={value}")
        draft.record("ARG " + " ".join(said), layer=False)

    def _workdir(self, state: StageState, command: Command, node: ast.Workdir, draft: Draft) -> None:
        path = _workdir(draft.config.working_dir, self.expand(state, node.path))
        draft.set(working_dir=path)
        if path != "/":
            title = self.title(state, command, self.shown(state, node.source))
            op = MkdirOp(path, draft.config.user)
            state.vertex = self.add(
                Vertex(
                    op,
                    state.vertex,
                    title=title,
                    stage=state.name,
                    lines=(node.span.first, node.span.last),
                    fresh=self.is_fresh(state),
                )
            )
        draft.record(f"WORKDIR {path}", layer=path != "/")

    def shown(self, state: StageState, text: str) -> str:
        """An instruction's text with its variables replaced, as far as that goes."""
        try:
            return words.expand(text, state.env, self.dockerfile.escape).text
        except WordError:
            return text

    def _configure(self, state: StageState, node: ast.Instruction, draft: Draft) -> None:
        """Instructions that only change the configuration."""
        config = draft.config
        match node:
            case ast.Label():
                pairs = [(self.expand(state, pair.name), self.expand(state, pair.value)) for pair in node.pairs]
                draft.set(labels={**config.labels, **dict(pairs)})
                draft.record("LABEL " + " ".join(f"{name}={value}" for name, value in pairs), layer=False)
            case ast.User():
                user = self.expand(state, node.user)
                draft.set(user=user)
                draft.record(f"USER {user}", layer=False)
            case ast.Expose():
                found = [word for port in node.ports for word in self._split(state, port)]
                ports = expose(found)
                draft.set(exposed_ports=tuple(dict.fromkeys((*config.exposed_ports, *ports))))
                draft.record(f"EXPOSE {plain_list(ports)}", layer=False)
            case ast.Volume():
                paths = [self.expand(state, path) for path in node.paths]
                if "" in paths:
                    raise InvalidArgumentError("VOLUME specified can not be an empty string")
                draft.set(volumes=tuple(dict.fromkeys((*config.volumes, *paths))))
                draft.record(f"VOLUME {plain_list(paths)}", layer=False)
            case ast.Cmd() | ast.Entrypoint():
                self._command_line(node, draft)
            case ast.Shell():
                draft.set(shell=node.shell)
                draft.record(f"SHELL {plain_list(node.shell)}", layer=False)
            case ast.StopSignal():
                signal = self.expand(state, node.signal)
                check_signal(signal)
                draft.set(stop_signal=signal)
                draft.record(f"STOPSIGNAL {signal}", layer=False)
            case ast.Healthcheck():
                _healthcheck(node, draft)
            case ast.Maintainer():
                draft.author = node.maintainer
                draft.record(f"MAINTAINER {node.maintainer}", layer=False)
            case ast.Onbuild():
                draft.set(on_build=(*config.on_build, node.expression))
            case _:
                raise InvalidArgumentError(f"{node.name} cannot stand here")

    def _split(self, state: StageState, text: str) -> tuple[str, ...]:
        return words.split(text, state.env, self.dockerfile.escape).words

    def _command_line(self, node: ast.Cmd | ast.Entrypoint, draft: Draft) -> None:
        line = node.command if node.json else with_shell(draft, node.command)
        if isinstance(node, ast.Cmd):
            draft.set(cmd=line, args_escaped=True)
            draft.commanded = True
            draft.record(f"CMD {quoted_list(line)}", layer=False)
            return
        draft.set(entrypoint=line)
        if not draft.commanded:
            draft.set(cmd=None)
        draft.record(f"ENTRYPOINT {quoted_list(line)}", layer=False)


def with_shell(draft: Draft, command: tuple[str, ...]) -> tuple[str, ...]:
    """A shell form as the words that are run."""
    return (*(draft.config.shell or DEFAULT_SHELL), " ".join(command))


def _workdir(current: str, path: str) -> str:
    if not path:
        return current or "/"
    return path if path.startswith("/") else posixpath.normpath(posixpath.join(current or "/", path)).replace("//", "/")


def _healthcheck(node: ast.Healthcheck, draft: Draft) -> None:
    draft.set(
        healthcheck=Healthcheck(
            node.test, node.interval, node.timeout, node.start_period, node.start_interval, node.retries
        )
    )
    draft.record(
        f"HEALTHCHECK {{Test:{plain_list(node.test)} Interval:{write_duration(node.interval)} "
        f"Timeout:{write_duration(node.timeout)} StartPeriod:{write_duration(node.start_period)} "
        f"StartInterval:{write_duration(node.start_interval)} Retries:{node.retries}}}",
        layer=False,
    )
