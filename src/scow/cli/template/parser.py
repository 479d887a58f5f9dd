# SPDX-License-Identifier: Apache-2.0
"""Tokens -> syntax tree, with Go's messages.

Source: Go 1.24 text/template/parse, behaviour recorded in tests/golden/template.
"""

from __future__ import annotations

from scow.cli.template import lexer
from scow.cli.template.literals import read_number
from scow.cli.template.nodes import (
    Action,
    Body,
    Branch,
    Call,
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
from scow.cli.template.quoting import quote, unquote
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from scow.cli.template.lexer import Token
    from scow.cli.template.nodes import (
        Node,
    )

_MAX_DEPTH = 200
_OPERANDS = (
    lexer.BOOL,
    lexer.CHARACTER,
    lexer.COMPLEX,
    lexer.DOT,
    lexer.FIELD,
    lexer.IDENTIFIER,
    lexer.NUMBER,
    lexer.NIL,
    lexer.RAW,
    lexer.STRING,
    lexer.VARIABLE,
    lexer.OPEN,
)


class TemplateError(InvalidArgumentError):
    """A template cannot be parsed, or fails on the data it is given."""

    code = "bad-template"


def parse(text: str, functions: Container[str]) -> dict[str, Body]:
    """Parse a template.

    Args:
        text: The template.
        functions: The names that may be called.

    Returns:
        The bodies by name: "" is the template itself, others were defined in it.

    Raises:
        TemplateError: The text is malformed; worded as docker's ``template parsing error: ...``.
    """
    return Parser(text, functions).run()


class Parser:
    """Recursive descent over one template."""

    def __init__(self, text: str, functions: Container[str]) -> None:
        self._tokens = lexer.Lexer(text).tokens()
        self._functions = functions
        self._ahead: list[Token] = []
        self._last: Token | None = None
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0
        self._action_line = 0
        self._bodies: dict[str, Body] = {}

    def run(self) -> dict[str, Body]:
        """Parse everything."""
        body = Body(0)
        while self._peek().kind != lexer.EOF:
            if self._peek().kind == lexer.LEFT:
                opening = self._next()
                if self._peek_word().kind == "define":
                    self._next_word()
                    self._definition()
                    continue
                self._push(opening)
            node = self._text_or_action()
            if isinstance(node, Jump) and node.kind in ("end", "else"):
                raise self._fault(f"unexpected {node}")
            body.nodes.append(node)
        self._add("", body)
        return self._bodies

    def _add(self, name: str, body: Body) -> None:
        # Of two bodies with one name the later one counts, unless it is blank.
        if name not in self._bodies or not _blank(body):
            self._bodies[name] = body

    # Tokens.

    def _next(self) -> Token:
        if self._ahead:
            return self._ahead.pop()
        self._last = next(self._tokens)
        return self._last

    def _push(self, *tokens: Token) -> None:
        self._ahead.extend(reversed(tokens))

    def _peek(self) -> Token:
        token = self._next()
        self._push(token)
        return token

    def _next_word(self) -> Token:
        token = self._next()
        while token.kind == lexer.SPACE:
            token = self._next()
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._push(token)
        return token

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_word()
        if token.kind != kind:
            raise self._unexpected(token, context)
        return token

    def _fault(self, message: str) -> TemplateError:
        line = self._last.line if self._last else 1
        return TemplateError(f"template parsing error: template: :{line}: {message}")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind != lexer.ERROR:
            return self._fault(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line and self._action_line != token.line:
            extra = f" started at :{self._action_line}"
            if not token.text.endswith(" action"):
                extra = " in action" + extra
        return self._fault(f"{token}{extra}")

    # Structure.

    def _text_or_action(self) -> Node:
        token = self._next_word()
        if token.kind == lexer.TEXT:
            return Text(token.offset, token.text)
        if token.kind == lexer.LEFT:
            self._action_line = token.line
            node = self._action()
            self._action_line = 0
            return node
        raise self._unexpected(token, "input")

    def _action(self) -> Node:
        token = self._next_word()
        kind = token.kind
        if kind in ("if", "range", "with"):
            return self._branch(token)
        if kind in ("break", "continue"):
            after = self._next_word()
            if after.kind != lexer.RIGHT:
                raise self._unexpected(after, "{{" + kind + "}}")
            if not self._ranges:
                raise self._fault("{{" + kind + "}} outside {{range}}")
            return Jump(token.offset, kind)
        if kind == "else":
            if self._peek_word().kind not in ("if", "with"):
                self._expect(lexer.RIGHT, "else")
            return Jump(token.offset, kind)
        if kind == "end":
            self._expect(lexer.RIGHT, "end")
            return Jump(token.offset, kind)
        if kind == "template":
            return self._include()
        if kind == "block":
            return self._block()
        self._push(token)
        return Action(token.offset, self._pipeline("command", lexer.RIGHT))

    def _items(self) -> tuple[Body, Jump]:
        """Parse up to ``{{end}}`` or ``{{else}}``."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fault(f"blocks are nested more than {_MAX_DEPTH} deep")
        body = Body(self._peek_word().offset)
        while self._peek_word().kind != lexer.EOF:
            node = self._text_or_action()
            if isinstance(node, Jump) and node.kind in ("end", "else"):
                self._depth -= 1
                return body, node
            body.nodes.append(node)
        raise self._fault("unexpected EOF")

    def _branch(self, token: Token) -> Branch:
        kind = token.kind
        known = len(self._variables)
        pipeline = self._pipeline(kind, lexer.RIGHT)
        self._ranges += kind == "range"
        body, after = self._items()
        self._ranges -= kind == "range"
        otherwise = None
        if after.kind == "else":
            following = self._peek_word()
            if following.kind == kind and kind in ("if", "with"):
                self._next_word()
                otherwise = Body(following.offset)
                otherwise.nodes.append(self._branch(following))
            else:
                otherwise, after = self._items()
                if after.kind != "end":
                    raise self._fault(f"expected end; found {after}")
        del self._variables[known:]
        return Branch(token.offset, kind, pipeline, body, otherwise)

    def _definition(self) -> None:
        _, name = self._clause_name("define clause")
        self._expect(lexer.RIGHT, "define clause")
        self._add(name, self._separate("define clause"))

    def _separate(self, context: str) -> Body:
        """Parse the body of a template of its own: no variables and no loop around it."""
        variables, ranges = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, after = self._items()
        if after.kind != "end":
            raise self._fault(f"unexpected {after} in {context}")
        self._variables, self._ranges = variables, ranges
        return body

    def _clause_name(self, context: str) -> tuple[int, str]:
        token = self._next_word()
        if token.kind not in (lexer.STRING, lexer.RAW):
            raise self._unexpected(token, context)
        return token.offset, self._unquoted(token)

    def _include(self) -> Include:
        offset, name = self._clause_name("template clause")
        pipeline = None
        after = self._next_word()
        if after.kind != lexer.RIGHT:
            self._push(after)
            pipeline = self._pipeline("template clause", lexer.RIGHT)
        return Include(offset, name, pipeline)

    def _block(self) -> Include:
        offset, name = self._clause_name("block clause")
        pipeline = self._pipeline("block clause", lexer.RIGHT)
        self._add(name, self._separate("block clause"))
        return Include(offset, name, pipeline)

    # Pipelines.

    def _pipeline(self, context: str, end: str) -> Pipeline:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fault(f"parentheses are nested more than {_MAX_DEPTH} deep")
        pipeline = Pipeline(self._peek_word().offset)
        while self._declaration(pipeline, context):
            pass
        while True:
            token = self._next_word()
            if token.kind == end:
                break
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._push(token)
            pipeline.calls.append(self._call())
        self._depth -= 1
        if not pipeline.calls:
            raise self._fault(f"missing value for {context}")
        for at, call in enumerate(pipeline.calls[1:], 2):
            if call.args[0].plain:
                raise self._fault(f"non executable command in pipeline stage {at}")
        return pipeline

    def _declaration(self, pipeline: Pipeline, context: str) -> bool:
        """Read ``$x :=``, ``$x =`` or ``$x,``; tell whether another variable follows."""
        if self._peek_word().kind != lexer.VARIABLE:
            return False
        variable = self._next_word()
        after = self._peek()
        following = self._peek_word()
        if following.kind in (lexer.ASSIGN, lexer.DECLARE):
            self._next_word()
            pipeline.assigns = following.kind == lexer.ASSIGN
        elif following.kind == lexer.CHAR and following.text == ",":
            self._next_word()
        else:
            if after.kind == lexer.SPACE:
                self._push(variable, after)
            else:
                self._push(variable)
            return False
        pipeline.variables.append(variable.text)
        self._variables.append(variable.text)
        if following.kind != lexer.CHAR:
            return False
        if context != "range" or len(pipeline.variables) > 1:
            raise self._fault(f"too many declarations in {context}")
        if self._peek_word().kind not in (lexer.VARIABLE, lexer.RIGHT, lexer.CLOSE):
            raise self._fault("range can only initialize variables")
        return True

    def _call(self) -> Call:
        call = Call(self._peek_word().offset)
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                call.args.append(operand)
            token = self._next()
            if token.kind == lexer.SPACE:
                continue
            if token.kind in (lexer.RIGHT, lexer.CLOSE):
                self._push(token)
            elif token.kind != lexer.PIPE:
                raise self._unexpected(token, "operand")
            break
        if not call.args:
            raise self._fault("empty command")
        return call

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind != lexer.FIELD:
            return node
        offset = self._peek().offset
        names = []
        while self._peek().kind == lexer.FIELD:
            names.append(self._next().text[1:])
        if isinstance(node, Field):
            return Field(offset, node.names + names)
        if isinstance(node, Variable):
            return Variable(offset, node.names + names)
        if node.plain:
            raise self._fault(f"unexpected . after term {quote(str(node))}")
        return Chain(offset, node, names)

    def _term(self) -> Node | None:
        token = self._next_word()
        kind, offset = token.kind, token.offset
        if kind == lexer.IDENTIFIER:
            if token.text not in self._functions:
                raise self._fault(f"function {quote(token.text)} not defined")
            return Identifier(offset, token.text)
        if kind == lexer.FIELD:
            return Field(offset, [token.text[1:]])
        if kind == lexer.VARIABLE:
            if token.text not in self._variables:
                raise self._fault(f"undefined variable {quote(token.text)}")
            return Variable(offset, [token.text])
        if kind == lexer.OPEN:
            return self._pipeline("parenthesized pipeline", lexer.CLOSE)
        if kind == lexer.DOT:
            return Dot(offset)
        if kind == lexer.NIL:
            return Nil(offset)
        if kind == lexer.BOOL:
            return Constant(offset, "bool", token.text == "true", token.text)
        if kind in (lexer.STRING, lexer.RAW):
            return Constant(offset, "string", self._unquoted(token), token.text)
        if kind in (lexer.CHARACTER, lexer.COMPLEX, lexer.NUMBER):
            try:
                number = read_number(token.text, character=kind == lexer.CHARACTER)
            except ValueError as error:
                raise self._fault(str(error)) from None
            return Constant(offset, "overflow" if number is None else "number", number, token.text)
        self._push(token)
        return None

    def _unquoted(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as error:
            raise self._fault(str(error)) from None


def _blank(body: Body) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in body.nodes)
