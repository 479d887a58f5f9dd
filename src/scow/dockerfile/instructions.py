# SPDX-License-Identifier: Apache-2.0
"""Words to typed instructions: how many there must be, which flags are known, what may stand where.

Source: BuildKit v0.32, frontend/dockerfile/instructions (parse.go).
"""

from __future__ import annotations

import re

from scow.dockerfile import ast, suggest
from scow.dockerfile.errors import FaultError, FlagValueError
from scow.dockerfile.flags import Flags, interval, retries
from scow.dockerfile.mounts import mount_source, parse_device
from scow.dockerfile.raw import KEYWORDS, heredoc
from scow.dockerfile.text import trim
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, TypedDict

    from scow.dockerfile.flags import Kind
    from scow.dockerfile.raw import Raw

    class _Base(TypedDict):
        """The members of every ``ast.Node``."""

        span: ast.Span
        source: str
        keyword: str
        flags: tuple[str, ...]
        args: tuple[str, ...]
        json: bool
        heredocs: tuple[ast.Heredoc, ...]
        comments: tuple[str, ...]


_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD: Final = re.compile(r"[\t\n\f\r ]*onbuild[\t\n\f\r ]*", re.IGNORECASE)
_RUN_FLAGS: Final[Mapping[str, Kind]] = {
    "mount": "list", "network": "string", "security": "string", "device": "list",
}  # fmt: skip
_COPY_FLAGS: Final[Mapping[str, Kind]] = {
    "chown": "string", "from": "string", "chmod": "string", "link": "switch", "exclude": "list", "parents": "switch",
}  # fmt: skip
_ADD_FLAGS: Final[Mapping[str, Kind]] = {
    "chown": "string", "chmod": "string", "link": "switch", "keep-git-dir": "switch", "checksum": "string",
    "unpack": "switch", "exclude": "list",
}  # fmt: skip
_HEALTH_FLAGS: Final[Mapping[str, Kind]] = {
    "interval": "string", "timeout": "string", "start-period": "string", "start-interval": "string",
    "retries": "string",
}  # fmt: skip


class Request:
    """One instruction's words and everything its node keeps of them."""

    __slots__ = ("args", "base", "docs", "json", "name", "raw")

    def __init__(
        self, raw: Raw, span: ast.Span, docs: tuple[ast.Heredoc, ...] = (), comments: tuple[str, ...] = ()
    ) -> None:
        self.raw = raw
        self.name = raw.keyword.upper()
        self.args = raw.args
        self.json = raw.json
        self.docs = docs
        self.base: _Base = {
            "span": span,
            "source": trim(raw.source),
            "keyword": raw.keyword,
            "flags": raw.flags,
            "args": raw.args,
            "json": raw.json,
            "heredocs": docs,
            "comments": comments,
        }

    def flags(self, known: Mapping[str, Kind] | None = None) -> Flags:
        """The flags, checked; none are known unless said."""
        return Flags(self.raw.flags, known or {})

    def one(self) -> str:
        """The only argument."""
        if len(self.args) != 1:
            raise FaultError(f"{self.name} requires exactly one argument", "argument-count")
        return self.args[0]

    def some(self) -> tuple[str, ...]:
        """The arguments; there must be one."""
        if not self.args:
            raise FaultError(f"{self.name} requires at least one argument", "argument-count")
        return self.args

    def description(self, name: str) -> str:
        """The text after ``# NAME `` in a comment above."""
        lead = name + " "
        return next((text[len(lead) :] for text in self.base["comments"] if name and text.startswith(lead)), "")


def build(request: Request) -> ast.Instruction:
    """The typed instruction.

    Raises:
        FaultError: It is unknown, or its words make no sense.
    """
    builder = _BUILDERS.get(request.name)
    if builder is None:
        word = request.raw.keyword
        hint = suggest.hint(word, [known.upper() for known in KEYWORDS], fold=True)
        raise FaultError(f"unknown instruction: {word}", "unknown-instruction", word, hint)
    try:
        return builder(request)
    except FlagValueError as error:
        raise FaultError(error.message, "bad-value", "--", error.hint) from None


def _from(request: Request) -> ast.From:
    args = request.args
    stage = ""
    if len(args) == 3 and args[1].lower() == "as":
        stage = args[2].lower()
        if not _STAGE_NAME.fullmatch(stage):
            raise FaultError(
                f"invalid name for build stage: {args[2]!r}",
                "invalid-name",
                args[2],
                "a name begins with a letter and holds letters, digits, '-', '_' and '.'",
            )
    elif len(args) != 1:
        raise FaultError(
            "FROM requires either one or three arguments", "argument-count", "", "write FROM IMAGE [AS NAME]"
        )
    flags = request.flags({"platform": "string"})
    return ast.From(
        **request.base,
        image=args[0],
        stage=stage,
        platform=flags.string("platform"),
        description=request.description(stage),
    )


def _arg(request: Request) -> ast.Arg:
    out: list[ast.Argument] = []
    for word in request.some():
        name, sign, value = word.partition("=")
        if sign and not name:
            raise FaultError("ARG names can not be blank", "argument-count", word)
        out.append(ast.Argument(name, value if sign else None, request.description(name)))
    return ast.Arg(**request.base, arguments=tuple(out))


def _pairs(request: Request) -> tuple[ast.Pair, ...]:
    request.flags()
    args = request.some()
    out: list[ast.Pair] = []
    for at in range(0, len(args) - 2, 3):
        name, value, separator = args[at : at + 3]
        if not name:
            raise FaultError(f"{request.name} names can not be blank", "argument-count", "=" + value)
        out.append(ast.Pair(name, value, legacy=not separator))
    return tuple(out)


def _env(request: Request) -> ast.Env:
    return ast.Env(**request.base, pairs=_pairs(request))


def _label(request: Request) -> ast.Label:
    return ast.Label(**request.base, pairs=_pairs(request))


def _sources(request: Request) -> tuple[tuple[str, ...], tuple[ast.Heredoc, ...], str]:
    """Paths, here-documents and the destination."""
    *words, destination = request.args
    if heredoc(destination) is not None:
        raise FaultError(f"{request.name} cannot accept a heredoc as a destination", "bad-syntax", destination)
    bodies = {doc.name: doc.content for doc in request.docs}
    paths: list[str] = []
    inline: list[ast.Heredoc] = []
    for word in words:
        doc = heredoc(word)
        if doc is None:
            paths.append(word)
        else:
            inline.append(doc._replace(content=bodies.get(doc.name, "")))
    return tuple(paths), tuple(inline), destination


def _two(request: Request) -> None:
    if len(request.args) < 2:
        raise FaultError(
            f"{request.name} requires at least two arguments, a source and the destination",
            "argument-count",
            request.args[0] if request.args else "",
        )


def _copy(request: Request) -> ast.Copy:
    _two(request)
    flags = request.flags(_COPY_FLAGS)
    paths, inline, destination = _sources(request)
    return ast.Copy(
        **request.base,
        sources=paths,
        inline=inline,
        destination=destination,
        from_=flags.string("from"),
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=flags.switch("link"),
        parents=flags.switch("parents"),
        excludes=flags.strings("exclude"),
    )


def _add(request: Request) -> ast.Add:
    _two(request)
    flags = request.flags(_ADD_FLAGS)
    paths, inline, destination = _sources(request)
    return ast.Add(
        **request.base,
        sources=paths,
        inline=inline,
        destination=destination,
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=flags.switch("link"),
        excludes=flags.strings("exclude"),
        checksum=flags.string("checksum"),
        keep_git_dir=flags.switch_if_given("keep-git-dir"),
        unpack=flags.switch_if_given("unpack"),
    )


def _command(request: Request) -> tuple[str, ...]:
    """The words of an exec form, or the shell's line as the only one."""
    return request.args if request.json or not request.args else (" ".join(request.args),)


def _run(request: Request) -> ast.Run:
    flags = request.flags(_RUN_FLAGS)
    devices = tuple(parse_device(value) for value in flags.strings("device"))
    for value in flags.strings("mount"):
        mount_source(value)
    network = flags.string("network", "default")
    if network not in ("default", "none", "host"):
        raise FaultError(f"invalid network mode {network!r}", "bad-value", network, "it can be default, none or host")
    security = flags.string("security", "sandbox")
    if security not in ("sandbox", "insecure"):
        raise FaultError(f"invalid security mode {security!r}", "bad-value", security, "it can be sandbox or insecure")
    return ast.Run(
        **request.base,
        command=_command(request),
        mounts=flags.strings("mount"),
        network=network,
        security=security,
        devices=devices,
    )


def _cmd(request: Request) -> ast.Cmd:
    request.flags()
    return ast.Cmd(**request.base, command=_command(request))


def _entrypoint(request: Request) -> ast.Entrypoint:
    request.flags()
    return ast.Entrypoint(**request.base, command=_command(request))


def _shell(request: Request) -> ast.Shell:
    request.flags()
    args = request.some()
    if not request.json:
        raise FaultError(
            "SHELL requires the arguments to be in JSON form", "bad-json", args[0], 'write SHELL ["program"]'
        )
    return ast.Shell(**request.base, shell=args)


def _healthcheck(request: Request) -> ast.Healthcheck:
    kind, *command = request.some()
    kind = kind.upper()
    if kind == "NONE":
        if command:
            raise FaultError("HEALTHCHECK NONE takes no arguments", "argument-count", command[0])
        return ast.Healthcheck(**request.base, test=("NONE",))
    flags = request.flags(_HEALTH_FLAGS)
    if kind != "CMD":
        raise FaultError(
            f"unknown type {request.args[0]!r} in HEALTHCHECK", "bad-value", request.args[0], "write CMD or NONE"
        )
    if not command:
        raise FaultError("missing command after HEALTHCHECK CMD", "argument-count", request.args[0])
    test = ("CMD", *command) if request.json else ("CMD-SHELL", " ".join(command))
    return ast.Healthcheck(
        **request.base,
        test=test,
        interval=interval("interval", flags.string("interval")),
        timeout=interval("timeout", flags.string("timeout")),
        start_period=interval("start-period", flags.string("start-period")),
        start_interval=interval("start-interval", flags.string("start-interval")),
        retries=retries(flags.string("retries")),
    )


def _onbuild(request: Request) -> ast.Onbuild:
    raw = request.raw.inner
    if raw is None:
        raise FaultError("ONBUILD requires at least one argument", "argument-count")
    request.flags()
    trigger = raw.keyword.strip().upper()
    if trigger == "ONBUILD":
        raise FaultError("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "not-allowed", raw.keyword)
    if trigger in ("MAINTAINER", "FROM"):
        raise FaultError(f"{trigger} isn't allowed as an ONBUILD trigger", "not-allowed", raw.keyword)
    expression = request.raw.source
    if lead := _ONBUILD.match(expression):
        expression = expression[lead.end() :]
    for doc in request.docs:
        expression += f"\n{doc.content}{doc.name}"
    inner_request = Request(raw, request.base["span"], request.docs)
    inner: ast.Instruction | ast.Unknown
    try:
        inner = build(inner_request)
    except FaultError as fault:
        inner = ast.Unknown(**inner_request.base, reason=fault.message)
    return ast.Onbuild(**request.base, expression=expression, inner=inner)


def _workdir(request: Request) -> ast.Workdir:
    path = request.one()
    request.flags()
    return ast.Workdir(**request.base, path=path)


def _user(request: Request) -> ast.User:
    user = request.one()
    request.flags()
    return ast.User(**request.base, user=user)


def _maintainer(request: Request) -> ast.Maintainer:
    maintainer = request.one()
    request.flags()
    return ast.Maintainer(**request.base, maintainer=maintainer)


def _stopsignal(request: Request) -> ast.StopSignal:
    return ast.StopSignal(**request.base, signal=request.one())


def _expose(request: Request) -> ast.Expose:
    ports = request.some()
    request.flags()
    return ast.Expose(**request.base, ports=tuple(sorted(ports)))


def _volume(request: Request) -> ast.Volume:
    args = request.some()
    request.flags()
    paths = tuple(trim(path) for path in args)
    if "" in paths:
        raise FaultError("VOLUME specified can not be an empty string", "argument-count")
    return ast.Volume(**request.base, paths=paths)


_BUILDERS: Final[Mapping[str, Callable[[Request], ast.Instruction]]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
