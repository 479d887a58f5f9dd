# SPDX-License-Identifier: Apache-2.0
"""Dockerfile instructions applied to an image's config: the ``--change`` of ``commit`` and ``import``.

Source: docker CLI reference, "docker container commit", ``--change``; dockerd 20.10 for what they do.
"""

from __future__ import annotations

from scow.dockerfile import ast
from scow.dockerfile.parser import parse_instructions
from scow.dockerfile.ports import check_signal, expose
from scow.dockerfile.words import expand
from scow.errors import InvalidArgumentError
from scow.oci.model import Healthcheck
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scow.oci.model import ContainerConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
_INSTRUCTIONS = (
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
)


def apply_changes(config: ContainerConfig, changes: Iterable[str]) -> ContainerConfig:
    """Apply instructions in order.

    Args:
        config: What to begin with.
        changes: One instruction each, such as ``CMD ["sh"]`` or ``ENV A=1``.

    Returns:
        The changed config.

    Raises:
        DockerfileError: An instruction cannot be read.
        InvalidArgumentError: It is one that changes more than the config.
    """
    seen = set()
    for change in changes:
        word = change.split(maxsplit=1)[0] if change.strip() else ""
        if word.isalpha() and word.upper() not in _INSTRUCTIONS:
            raise _refused(word)
        for node in parse_instructions(change, "--change"):
            config = _apply(config, node)
            seen.add(type(node))
    if config.entrypoint and ast.Entrypoint in seen and ast.Cmd not in seen:
        return replace(config, cmd=())  # the old arguments were for another program
    return config


def _apply(config: ContainerConfig, node: ast.Instruction) -> ContainerConfig:
    env = dict(pair.partition("=")[::2] for pair in config.env)

    def word(text: str) -> str:
        return expand(text, env).text

    match node:
        case ast.Cmd():
            return replace(config, cmd=_command(config, node), args_escaped=False)
        case ast.Entrypoint():
            return replace(config, entrypoint=_command(config, node))
        case ast.Env():
            for pair in node.pairs:
                env[word(pair.name)] = word(pair.value)
            return replace(config, env=tuple(f"{name}={value}" for name, value in env.items()))
        case ast.Label():
            new = {word(pair.name): word(pair.value) for pair in node.pairs}
            return replace(config, labels={**config.labels, **new})
        case ast.Expose():
            ports = expose([word(port) for port in node.ports])
            return replace(config, exposed_ports=_joined(config.exposed_ports, ports))
        case ast.Volume():
            return replace(config, volumes=_joined(config.volumes, [word(path) for path in node.paths]))
        case ast.User():
            return replace(config, user=word(node.user))
        case ast.Workdir():
            return replace(config, working_dir=_joined_path(config.working_dir, word(node.path)))
        case ast.StopSignal():
            check_signal(word(node.signal))
            return replace(config, stop_signal=word(node.signal))
        case ast.Onbuild():
            return replace(config, on_build=(*config.on_build, node.expression))
        case ast.Healthcheck():
            old = config.healthcheck or Healthcheck()
            check = Healthcheck(
                node.test,
                node.interval or old.interval,
                node.timeout or old.timeout,
                node.start_period or old.start_period,
                node.start_interval or old.start_interval,
                node.retries or old.retries,
            )
            return replace(config, healthcheck=check)
        case _:
            raise _refused(node.name)


def _refused(word: str) -> InvalidArgumentError:
    allowed = f"{', '.join(_INSTRUCTIONS[:-1])} and {_INSTRUCTIONS[-1]}"
    return InvalidArgumentError(f"{word.lower()} is not a valid change command", hint=f"{allowed} can be given")


def _command(config: ContainerConfig, node: ast.Cmd | ast.Entrypoint) -> tuple[str, ...]:
    if node.json or not node.command:
        return node.command
    return (*(config.shell or DEFAULT_SHELL), *node.command)


def _joined(old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*old, *new}))


def _joined_path(base: str, path: str) -> str:
    import posixpath

    return posixpath.normpath(posixpath.join("/", base, path)).replace("//", "/")


def as_mapping(env: Iterable[str]) -> Mapping[str, str]:
    """Read an image's ``Env`` as a mapping; of a name that comes twice the last value counts.

    Args:
        env: Such as ``("PATH=/bin",)``.

    Returns:
        Names and values.
    """
    return dict(pair.partition("=")[::2] for pair in env)
