# SPDX-License-Identifier: Apache-2.0
"""The instructions of a Dockerfile as values.

Every value is frozen and knows where it stands: ``span`` (lines) and ``source`` (its logical line, continuations
joined). Nothing in here is expanded: variables, globs and paths are as written, because what they mean depends on the
build. ``args``, ``flags`` and ``json`` are the raw words that the typed fields were read from.
"""

from __future__ import annotations

from scow.record import Record
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias


class Span(NamedTuple):
    """Lines of a Dockerfile, counted from 1, both included."""

    first: int
    last: int


class Heredoc(NamedTuple):
    """One here-document that follows an instruction.

    Attributes:
        name: The delimiter word without quotes; for COPY and ADD also the file name.
        content: The lines between, each with its line end; leading tabs still there.
        expand: Whether variables in ``content`` are to be expanded (the delimiter is not quoted).
        chomp: ``<<-``: leading tabs are to be dropped.
        fd: The number before ``<<``, else 0.
    """

    name: str
    content: str
    expand: bool = True
    chomp: bool = False
    fd: int = 0

    @property
    def text(self) -> str:
        """The content as the file gets it: without leading tabs for ``<<-``."""
        if not self.chomp:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))


class Pair(NamedTuple):
    """A name and a value of ENV or LABEL; ``legacy`` when written ``NAME value`` instead of ``NAME=value``."""

    name: str
    value: str
    legacy: bool = False


class Argument(NamedTuple):
    """One argument of ARG; ``default`` is ``None`` when none is given. ``description`` comes from the comment above."""

    name: str
    default: str | None = None
    description: str = ""


class Device(NamedTuple):
    """A device asked for with ``RUN --device``."""

    name: str
    required: bool = False


class Directive(NamedTuple):
    """A ``# name=value`` line at the top: syntax, escape or check."""

    name: str
    value: str
    line: int


class Node(Record, kw_only=True):
    """What every instruction has.

    Attributes:
        span: Where it stands, here-documents included.
        source: The logical line without surrounding space: what history and cache keys show.
        keyword: The instruction as written, such as ``RUN`` or ``run``.
        flags: The ``--name=value`` words, quotes removed.
        args: The words after the flags, raw: quotes kept, nothing expanded. ENV and LABEL have triples of name, value
            and separator (``=`` or empty); shell forms are one string.
        json: Whether the arguments are a JSON array (exec form).
        heredocs: The here-documents that follow.
        comments: Texts of the comment lines directly above.
    """

    span: Span
    source: str
    keyword: str
    flags: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The instruction in upper case."""
        return self.keyword.upper()


class From(Node, kw_only=True):
    """``FROM [--platform=P] IMAGE [AS NAME]``.

    Attributes:
        image: The base: an image, an earlier stage, or ``scratch``; variables not expanded.
        stage: The name after AS in lower case, else ``""``.
        platform: The flag's value, else ``""``; may be ``$BUILDPLATFORM``.
        description: From the comment ``# NAME text`` above.
    """

    image: str
    stage: str = ""
    platform: str = ""
    description: str = ""


class Arg(Node, kw_only=True):
    """``ARG NAME[=DEFAULT] ...``."""

    arguments: tuple[Argument, ...]


class Run(Node, kw_only=True):
    """``RUN``: a command for the shell, or in exec form; its here-documents are in ``heredocs``.

    Attributes:
        command: The exec form's words; in shell form one string; empty for a bare RUN.
        mounts: Values of ``--mount``, not parsed, as they may hold variables: see ``mounts.parse_mount``.
        network: ``default``, ``none`` or ``host``.
        security: ``sandbox`` or ``insecure``.
        devices: Values of ``--device``.
    """

    command: tuple[str, ...]
    mounts: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[Device, ...] = ()


class Copy(Node, kw_only=True):
    """``COPY SOURCE ... DESTINATION``.

    Attributes:
        sources: Paths and patterns, without the here-documents.
        inline: Here-documents used as sources; ``name`` is the file name.
        destination: The last word.
        from_: Stage name, stage number, image or named context; ``""`` for the build context.
        chown: ``user[:group]`` or ``""``.
        chmod: Octal or symbolic mode, or ``""``.
        link: Independent of the layers below.
        parents: Keep the folders of each source.
        excludes: Patterns of what is left out.
    """

    sources: tuple[str, ...]
    inline: tuple[Heredoc, ...] = ()
    destination: str
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


class Add(Node, kw_only=True):
    """``ADD``: as COPY from the context, with URLs, git repositories and archives.

    Attributes:
        sources: Paths, patterns and URLs, without the here-documents.
        inline: Here-documents used as sources.
        destination: The last word.
        chown: ``user[:group]`` or ``""``.
        chmod: Octal or symbolic mode, or ``""``.
        link: Independent of the layers below.
        excludes: Patterns of what is left out.
        checksum: Digest that a URL's content must have, or ``""``.
        keep_git_dir: Whether ``.git`` stays; ``None`` when not said.
        unpack: Whether archives are unpacked; ``None`` when not said (local yes, remote no).
    """

    sources: tuple[str, ...]
    inline: tuple[Heredoc, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class Env(Node, kw_only=True):
    """``ENV NAME=value ...`` or ``ENV NAME value``."""

    pairs: tuple[Pair, ...]


class Label(Node, kw_only=True):
    """``LABEL NAME=value ...`` or ``LABEL NAME value``."""

    pairs: tuple[Pair, ...]


class Workdir(Node, kw_only=True):
    """``WORKDIR PATH``."""

    path: str


class User(Node, kw_only=True):
    """``USER NAME[:GROUP]``."""

    user: str


class Expose(Node, kw_only=True):
    """``EXPOSE PORT[/PROTOCOL] ...``; ``ports`` is sorted, ``args`` has the written order."""

    ports: tuple[str, ...]


class Volume(Node, kw_only=True):
    """``VOLUME PATH ...``; the paths without surrounding space."""

    paths: tuple[str, ...]


class Cmd(Node, kw_only=True):
    """``CMD``: words of the exec form, or in shell form one string; may be empty."""

    command: tuple[str, ...]


class Entrypoint(Node, kw_only=True):
    """``ENTRYPOINT``: words of the exec form, or in shell form one string; may be empty."""

    command: tuple[str, ...]


class Shell(Node, kw_only=True):
    """``SHELL ["program", "argument", ...]``."""

    shell: tuple[str, ...]


class StopSignal(Node, kw_only=True):
    """``STOPSIGNAL NAME``."""

    signal: str


class Healthcheck(Node, kw_only=True):
    """``HEALTHCHECK NONE`` or ``HEALTHCHECK [flags] CMD ...``. Durations are in nanoseconds, 0 when not said.

    Attributes:
        test: As in the image config: ``("NONE",)``, ``("CMD", word, ...)`` or ``("CMD-SHELL", line)``.
        interval: Time between two checks.
        timeout: Time that one check may take.
        start_period: Time in which failures do not count.
        start_interval: Time between two checks in the start period.
        retries: Failures in a row until unhealthy; 0 when not said.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Maintainer(Node, kw_only=True):
    """``MAINTAINER NAME`` (deprecated)."""

    maintainer: str


class Unknown(Node, kw_only=True):
    """An instruction that cannot be read; only inside ONBUILD, where it fails when it is triggered."""

    reason: str


class Onbuild(Node, kw_only=True):
    """``ONBUILD INSTRUCTION``.

    Attributes:
        expression: The text that the image config keeps, here-documents included.
        inner: The instruction read; ``Unknown`` when it is faulty.
    """

    expression: str
    inner: Instruction | Unknown


Instruction: TypeAlias = (
    From
    | Arg
    | Run
    | Copy
    | Add
    | Env
    | Label
    | Workdir
    | User
    | Expose
    | Volume
    | Cmd
    | Entrypoint
    | Shell
    | StopSignal
    | Healthcheck
    | Maintainer
    | Onbuild
)


class Stage(Record, kw_only=True):
    """A FROM and what follows it.

    Attributes:
        index: Its number, from 0.
        from_: The instruction that opens it.
        instructions: What follows, without the FROM.
    """

    index: int
    from_: From
    instructions: tuple[Instruction, ...] = ()

    @property
    def name(self) -> str:
        """The name after AS in lower case, or ``""``."""
        return self.from_.stage


class Dockerfile(Record, kw_only=True):
    """A whole Dockerfile.

    Attributes:
        filename: For messages.
        text: What was parsed.
        escape: The escape character, a backslash or a backtick.
        directives: The lines ``# name=value`` at the top.
        args: ARG instructions before the first FROM.
        stages: In order; empty when the file has ARG instructions only, which nobody can build.
        empty_continuations: Last lines of instructions that have an empty line between continued ones.
    """

    filename: str
    text: str
    escape: str = "\\"
    directives: tuple[Directive, ...] = ()
    args: tuple[Arg, ...] = ()
    stages: tuple[Stage, ...] = ()
    empty_continuations: tuple[int, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions in order, the FROMs included."""
        out: list[Instruction] = list(self.args)
        for stage in self.stages:
            out.append(stage.from_)
            out.extend(stage.instructions)
        return tuple(out)

    def directive(self, name: str) -> str | None:
        """The value of a directive, or ``None``."""
        for directive in self.directives:
            if directive.name == name:
                return directive.value
        return None

    def stage(self, name: str) -> Stage | None:
        """The last stage of that name, letter case ignored; numbers are not names here."""
        for stage in reversed(self.stages):
            if stage.name and stage.name == name.lower():
                return stage
        return None
