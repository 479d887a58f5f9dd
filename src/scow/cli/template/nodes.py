# SPDX-License-Identifier: Apache-2.0
"""The syntax tree of a template. ``str`` of a node is its source as error messages quote it.

Source: Go 1.24 text/template/parse, node.go behaviour.
"""

from __future__ import annotations

from scow.cli.template.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Node:
    """Anything with a place in the text.

    Args:
        offset: Where it starts, in characters.
    """

    __slots__ = ("offset",)
    # Kinds that cannot be called, and so cannot stand behind a ``|``.
    plain: ClassVar[bool] = False

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Text(Node):
    """Text outside actions."""

    __slots__ = ("text",)

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(offset)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Constant(Node):
    """A string, number or boolean."""

    __slots__ = ("kind", "source", "value")
    plain = True

    def __init__(self, offset: int, kind: str, value: Any, source: str) -> None:
        super().__init__(offset)
        self.kind = kind
        self.value = value
        self.source = source

    def __str__(self) -> str:
        return self.source


class Dot(Node):
    """``.``."""

    __slots__ = ()
    plain = True

    def __str__(self) -> str:
        return "."


class Nil(Node):
    """``nil``."""

    __slots__ = ()
    plain = True

    def __str__(self) -> str:
        return "nil"


class Field(Node):
    """``.a.b``."""

    __slots__ = ("names",)

    def __init__(self, offset: int, names: list[str]) -> None:
        super().__init__(offset)
        self.names = names

    def __str__(self) -> str:
        return "." + ".".join(self.names)


class Variable(Node):
    """``$x.a``; the first name has its dollar."""

    __slots__ = ("names",)

    def __init__(self, offset: int, names: list[str]) -> None:
        super().__init__(offset)
        self.names = names

    def __str__(self) -> str:
        return ".".join(self.names)


class Identifier(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, offset: int, name: str) -> None:
        super().__init__(offset)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Chain(Node):
    """``(pipeline).a.b``."""

    __slots__ = ("base", "names")

    def __init__(self, offset: int, base: Node, names: list[str]) -> None:
        super().__init__(offset)
        self.base = base
        self.names = names

    def __str__(self) -> str:
        base = f"({self.base})" if isinstance(self.base, Pipeline) else str(self.base)
        return base + "".join(f".{name}" for name in self.names)


class Call(Node):
    """One stage of a pipeline: a function or value and its arguments."""

    __slots__ = ("args",)

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.args: list[Node] = []

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipeline) else str(arg) for arg in self.args)


class Pipeline(Node):
    """Stages joined by ``|``, with the variables they set."""

    __slots__ = ("assigns", "calls", "variables")

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.assigns = False
        self.variables: list[str] = []
        self.calls: list[Call] = []

    def __str__(self) -> str:
        lead = ""
        if self.variables:
            lead = ", ".join(self.variables) + (" = " if self.assigns else " := ")
        return lead + " | ".join(str(call) for call in self.calls)


class Action(Node):
    """``{{pipeline}}``."""

    __slots__ = ("pipeline",)

    def __init__(self, offset: int, pipeline: Pipeline) -> None:
        super().__init__(offset)
        self.pipeline = pipeline

    def __str__(self) -> str:
        return "{{" + str(self.pipeline) + "}}"


class Body(Node):
    """A sequence of nodes."""

    __slots__ = ("nodes",)

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.nodes: list[Node] = []

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


class Branch(Node):
    """``if``, ``with`` or ``range``."""

    __slots__ = ("body", "kind", "otherwise", "pipeline")

    def __init__(self, offset: int, kind: str, pipeline: Pipeline, body: Body, otherwise: Body | None) -> None:
        super().__init__(offset)
        self.kind = kind
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise

    def __str__(self) -> str:
        middle = "" if self.otherwise is None else "{{else}}" + str(self.otherwise)
        return "{{" + f"{self.kind} {self.pipeline}" + "}}" + str(self.body) + middle + "{{end}}"


class Jump(Node):
    """A lone keyword: ``break``, ``continue``, and, while parsing, ``end`` and ``else``."""

    __slots__ = ("kind",)

    def __init__(self, offset: int, kind: str) -> None:
        super().__init__(offset)
        self.kind = kind

    def __str__(self) -> str:
        return "{{" + self.kind + "}}"


class Include(Node):
    """``template "name" pipeline``."""

    __slots__ = ("name", "pipeline")

    def __init__(self, offset: int, name: str, pipeline: Pipeline | None) -> None:
        super().__init__(offset)
        self.name = name
        self.pipeline = pipeline

    def __str__(self) -> str:
        return "{{template " + quote(self.name) + ("" if self.pipeline is None else f" {self.pipeline}") + "}}"
