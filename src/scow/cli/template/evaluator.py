# SPDX-License-Identifier: Apache-2.0
"""Syntax tree + data -> text, with Go's rules for values and its messages.

Source: Go 1.24 text/template, exec.go behaviour, recorded in tests/golden/template.
"""

from __future__ import annotations

from scow.cli.template import printing
from scow.cli.template.functions import FUNCTIONS, CallError, Function
from scow.cli.template.nodes import (
    Action,
    Body,
    Branch,
    Chain,
    Constant,
    Dot,
    Field,
    Identifier,
    Include,
    Jump,
    Nil,
    Pipeline,
    Text,
    Variable,
)
from scow.cli.template.parser import TemplateError, parse
from scow.cli.template.quoting import quote
from scow.cli.template.values import INVALID, Invalid, Method, NilPointer, Struct, fields, truth, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.cli.template.nodes import (
        Call,
        Node,
    )

_MAX_INCLUDES = 60


class Absent:
    """Stands for "nothing was piped in"; distinct from every value."""

    __slots__ = ()


ABSENT = Absent()


class Template:
    """A parsed template, to be applied to any number of values.

    Args:
        text: The template.
        functions: What it may call.

    Raises:
        TemplateError: The text is malformed.
    """

    __slots__ = ("_bodies", "_functions", "_text")

    def __init__(self, text: str, functions: dict[str, Function] = FUNCTIONS) -> None:
        self._text = text
        self._functions = functions
        try:
            self._bodies = parse(text, functions)
        except RecursionError:
            raise TemplateError("template parsing error: template: :1: nested too deeply") from None

    def render(self, data: Any, *, strict: bool = False) -> str:
        """Apply the template.

        Args:
            data: What ``.`` is.
            strict: Whether a missing map key is an error instead of ``<no value>``.

        Raises:
            TemplateError: The data does not have what the template asks for.
        """
        run = _Run(self._text, self._bodies, self._functions, strict=strict)
        try:
            return run.body("", data)
        except RecursionError:
            raise TemplateError("template parsing error: template: :1: nested too deeply") from None


class _Break(Exception):  # noqa: N818 - a jump, not a failure
    pass


class _Continue(Exception):  # noqa: N818
    pass


class _Run:
    """One application of a template."""

    def __init__(self, text: str, bodies: dict[str, Body], functions: dict[str, Function], *, strict: bool) -> None:
        self._text = text
        self._bodies = bodies
        self._functions = functions
        self._strict = strict
        self._out: list[str] = []
        self._name = ""
        self._node: Node = bodies[""]
        self._depth = 0
        # Name, value, and whether Go would see it as "interface {}", which only messages tell.
        self._variables: list[tuple[str, Any, bool]] = []
        self._boxed_dot = False

    def body(self, name: str, dot: Any) -> str:
        """Run the template's own body."""
        self._name = name
        self._variables = [("$", dot, False)]
        try:
            self._walk(dot, self._bodies[name])
        except (_Break, _Continue):
            pass
        return "".join(self._out)

    def _fault(self, message: str) -> TemplateError:
        node = self._node
        before = self._text[: node.offset]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        return TemplateError(
            f"template parsing error: template: :{line}:{column}: executing {quote(self._name)} at <{node}>: {message}"
        )

    # Statements.

    def _walk(self, dot: Any, node: Node) -> None:
        if isinstance(node, Body):
            for part in node.nodes:
                self._walk(dot, part)
        elif isinstance(node, Text):
            self._out.append(node.text)
        elif isinstance(node, Action):
            self._node = node
            value = self._pipeline(dot, node.pipeline)
            if not node.pipeline.variables:
                self._print(node, value)
        elif isinstance(node, Branch):
            known = len(self._variables)
            boxed = self._boxed_dot
            if node.kind == "range":
                self._range(dot, node)
            else:
                self._choose(dot, node)
            self._boxed_dot = boxed
            del self._variables[known:]
        elif isinstance(node, Include):
            self._include(dot, node)
        elif isinstance(node, Jump):
            raise _Break if node.kind == "break" else _Continue

    def _print(self, node: Node, value: Any) -> None:
        self._node = node
        if isinstance(value, Invalid) or value is None:
            self._out.append("<no value>")
        elif callable(value) or isinstance(value, Method):
            raise self._fault(f"can't print {node} of type func")
        else:
            self._out.append(value if isinstance(value, str) else printing.plain(value))

    def _choose(self, dot: Any, node: Branch) -> None:
        value = self._pipeline(dot, node.pipeline)
        if truth(value):
            if node.kind == "with":
                self._boxed_dot = False
                self._walk(value, node.body)
            else:
                self._walk(dot, node.body)
        elif node.otherwise is not None:
            self._walk(dot, node.otherwise)

    def _range(self, dot: Any, node: Branch) -> None:
        self._node = node
        value = self._pipeline(dot, node.pipeline)
        count = 0
        boxed = type(value) in (dict, list)
        for key, item in self._pairs(node, value):
            count += 1
            mark = len(self._variables)
            self._iteration_variables(node.pipeline, key, item, boxed=boxed)
            self._boxed_dot = boxed
            try:
                self._walk(item, node.body)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self._variables[mark:]
        if not count and node.otherwise is not None:
            self._walk(dot, node.otherwise)

    def _pairs(self, node: Branch, value: Any) -> Iterable[tuple[Any, Any]]:
        if isinstance(value, Struct):
            raise self._fault(f"range can't iterate over {printing.plain(value)}")
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, dict):
            return fields(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if len(node.pipeline.variables) > 1:
                raise self._fault(f"can't use {value} to iterate over more than one variable")
            return ((number, number) for number in range(value))
        if isinstance(value, Invalid) or value is None:
            return ()
        raise self._fault(f"range can't iterate over {printing.plain(value)}")

    def _iteration_variables(self, pipeline: Pipeline, key: Any, item: Any, *, boxed: bool) -> None:
        names = pipeline.variables
        if not names:
            return
        if pipeline.assigns:
            if len(names) > 1:
                self._assign(names[0], key)
            self._assign(names[-1], item)
            return
        at = len(self._variables)
        self._variables[at - 1] = (self._variables[at - 1][0], item, boxed)
        if len(names) > 1:
            self._variables[at - 2] = (self._variables[at - 2][0], key, False)

    def _assign(self, name: str, value: Any) -> None:
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value, False)
                return
        raise self._fault(f"undefined variable: {name}")

    def _include(self, dot: Any, node: Include) -> None:
        self._node = node
        if node.name not in self._bodies:
            raise self._fault(f"template {quote(node.name)} not defined")
        if self._depth == _MAX_INCLUDES:
            raise self._fault(f"exceeded maximum template depth ({_MAX_INCLUDES})")
        value = INVALID if node.pipeline is None else self._pipeline(dot, node.pipeline)
        outer = self._name, self._variables, self._boxed_dot
        self._name, self._variables, self._boxed_dot = node.name, [("$", value, False)], False
        self._depth += 1
        self._walk(value, self._bodies[node.name])
        self._depth -= 1
        self._name, self._variables, self._boxed_dot = outer

    # Expressions.

    def _pipeline(self, dot: Any, pipeline: Pipeline) -> Any:
        self._node = pipeline
        value: Any = ABSENT
        for call in pipeline.calls:
            value = self._call(dot, call, value)
            if value is None:
                value = INVALID
        for name in pipeline.variables:
            if pipeline.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value, False))
        return value

    def _call(self, dot: Any, call: Call, final: Any) -> Any:
        first, args = call.args[0], call.args[1:]
        if isinstance(first, Field):
            self._node = first
            return self._chain(dot, dot, self._boxed_dot, first.names, args, final)
        if isinstance(first, Chain):
            return self._chain_node(dot, first, args, final)
        if isinstance(first, Identifier):
            self._node = first
            return self._apply(dot, call, first.name, self._functions[first.name], args, final)
        if isinstance(first, Pipeline):
            self._refuse_arguments(call, final)
            return self._pipeline(dot, first)
        if isinstance(first, Variable):
            return self._variable(dot, first, args, final)
        self._node = first
        self._refuse_arguments(call, final)
        if isinstance(first, Constant):
            return self._constant(first, "any")
        if isinstance(first, Dot):
            return dot
        if isinstance(first, Nil):
            raise self._fault("nil is not a command")
        raise self._fault(f"can't evaluate command {quote(str(first))}")

    def _refuse_arguments(self, call: Call, final: Any) -> None:
        if len(call.args) > 1 or final is not ABSENT:
            raise self._fault(f"can't give argument to non-function {call.args[0]}")

    def _chain_node(self, dot: Any, node: Chain, args: list[Node], final: Any) -> Any:
        self._node = node
        if isinstance(node.base, Nil):
            raise self._fault(f"indirection through explicit nil in {node}")
        return self._chain(dot, self._argument(dot, "", node.base), False, node.names, args, final)

    def _variable(self, dot: Any, node: Variable, args: list[Node], final: Any) -> Any:
        self._node = node
        value, boxed = self._lookup(node.names[0])
        if len(node.names) == 1:
            if args or final is not ABSENT:
                raise self._fault(f"can't give argument to non-function {node}")
            return value
        return self._chain(dot, value, boxed, node.names[1:], args, final)

    def _lookup(self, name: str) -> tuple[Any, bool]:
        for known, value, boxed in reversed(self._variables):
            if known == name:
                return value, boxed
        raise self._fault(f"undefined variable: {name}")

    def _chain(self, dot: Any, value: Any, boxed: bool, names: list[str], args: list[Node], final: Any) -> Any:
        node = self._node
        for at, name in enumerate(names):
            last = at == len(names) - 1
            found = self._field(dot, value, boxed, name, args if last else [], final if last else ABSENT)
            boxed = type(value) is dict
            value = found
            self._node = node
        return value

    def _field(self, dot: Any, value: Any, boxed: bool, name: str, args: list[Node], final: Any) -> Any:
        kind = "interface {}" if boxed else type_name(value)
        if isinstance(value, Invalid):
            if self._strict:
                raise self._fault(f"nil data; no entry for key {quote(name)}")
            return INVALID
        if value is None or isinstance(value, NilPointer):
            raise self._fault(f"nil pointer evaluating {kind}.{name}")
        has_args = bool(args) or final is not ABSENT
        if isinstance(value, Struct):
            if name not in value:
                raise self._fault(f"can't evaluate field {name} in type {kind}")
            entry = value[name]
            if callable(entry):
                entry = Method(entry, 0)
            if isinstance(entry, Method):
                function = Function(entry.function, ("string",) * entry.count)
                return self._apply(dot, self._node, name, function, args, final)
            if has_args:
                raise self._fault(f"{name} has arguments but cannot be invoked as function")
            return entry
        if isinstance(value, dict):
            if has_args:
                raise self._fault(f"{name} is not a method but has arguments")
            if name in value:
                return value[name]
            if self._strict:
                raise self._fault(f"map has no entry for key {quote(name)}")
            return INVALID
        raise self._fault(f"can't evaluate field {name} in type {kind}")

    def _apply(self, dot: Any, node: Node, name: str, function: Function, args: list[Node], final: Any) -> Any:
        """Evaluate the arguments and call; ``and`` and ``or`` stop at the argument that decides."""
        types, variadic = function.types, function.variadic
        given = len(args) + (final is not ABSENT)
        if variadic:
            if given < len(types) - 1:
                raise self._fault(f"wrong number of args for {name}: want at least {len(types) - 1} got {len(args)}")
        elif given != len(types):
            raise self._fault(f"wrong number of args for {name}: want {len(types)} got {given}")
        values = []
        for at, arg in enumerate(args):
            value = self._argument(dot, types[min(at, len(types) - 1)], arg)
            if name in ("and", "or") and function.call is self._functions[name].call and truth(value) == (name == "or"):
                return value
            values.append(value)
        if final is not ABSENT:
            values.append(self._fit(final, types[min(len(args), len(types) - 1)]))
        if name in ("and", "or"):
            return values[-1]
        try:
            return function.call(*values)
        except CallError as error:
            self._node = node
            raise self._fault(f"error calling {name}: {error}") from None

    def _argument(self, dot: Any, kind: str, node: Node) -> Any:
        self._node = node
        if isinstance(node, Constant):
            return self._constant(node, kind)
        if isinstance(node, Nil):
            if kind in ("string", "int"):
                raise self._fault(f"cannot assign nil to {kind}")
            return None if kind == "any" else INVALID
        if isinstance(node, Dot):
            value = dot
        elif isinstance(node, Field):
            value = self._chain(dot, dot, self._boxed_dot, node.names, [], ABSENT)
        elif isinstance(node, Variable):
            value = self._variable(dot, node, [], ABSENT)
        elif isinstance(node, Pipeline):
            value = self._pipeline(dot, node)
        elif isinstance(node, Identifier):
            value = self._apply(dot, node, node.name, self._functions[node.name], [], ABSENT)
        elif isinstance(node, Chain):
            value = self._chain_node(dot, node, [], ABSENT)
        else:
            raise self._fault(f"can't handle {node} for arg of type {kind}")
        return self._fit(value, kind)

    def _constant(self, node: Constant, kind: str) -> Any:
        if node.kind == "overflow":
            raise self._fault(f"{node} overflows int")
        if kind == "string" and node.kind != "string":
            raise self._fault(f"expected string; found {node}")
        if kind == "int":
            value = node.value
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if node.kind != "number" or not isinstance(value, int):
                raise self._fault(f"expected integer; found {node}")
            return value
        return node.value

    def _fit(self, value: Any, kind: str) -> Any:
        """Check a value against a parameter's type."""
        if isinstance(value, Invalid):
            if kind in ("string", "int"):
                raise self._fault(f"invalid value; expected {kind}")
            return None if kind == "any" else value
        if kind in ("string", "int") and type_name(value) != kind:
            raise self._fault(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return value
