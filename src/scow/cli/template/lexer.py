# SPDX-License-Identifier: Apache-2.0
"""Template text -> tokens.

Positions are offsets into the text in characters; error messages count in bytes, which the parser converts.

Source: Go 1.24 text/template/parse, behaviour recorded in tests/golden/template.
"""

from __future__ import annotations

from scow.cli.template.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Kinds of token. Keywords are tokens whose kind is the word itself.
ERROR, EOF, TEXT, SPACE, LEFT, RIGHT = "error", "EOF", "text", "space", "left", "right"
STRING, RAW, CHARACTER, NUMBER, COMPLEX, BOOL = "string", "raw", "character", "number", "complex", "bool"
IDENTIFIER, FIELD, VARIABLE, DOT, NIL = "identifier", "field", "variable", ".", "nil"
PIPE, ASSIGN, DECLARE, OPEN, CLOSE, CHAR = "|", "=", ":=", "(", ")", "char"
KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with")

_SPACES = " \t\r\n"
_AFTER_WORD = _SPACES + ".,|:)("


class Token:
    """One token: its kind, text, offset and line."""

    __slots__ = ("kind", "line", "offset", "text")

    def __init__(self, kind: str, text: str, offset: int, line: int) -> None:
        self.kind = kind
        self.text = text
        self.offset = offset
        self.line = line

    def __str__(self) -> str:
        if self.kind == EOF:
            return "EOF"
        if self.kind == ERROR:
            return self.text
        if self.kind in KEYWORDS or self.kind in (DOT, NIL):
            return f"<{self.text}>"
        return quote(self.text[:10]) + "..." if len(self.text.encode()) > 10 else quote(self.text)


class LexError(Exception):
    """The text cannot go on being read; becomes the last token."""


class Lexer:
    """Walks over one template."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0
        self._line = 1
        self._depth = 0

    def tokens(self) -> Iterator[Token]:
        """Yield every token; the last is EOF or ERROR."""
        text = self._text
        try:
            while True:
                left = text.find("{{", self._at)
                end = len(text) if left < 0 else left
                yield from self._text_until(end, left)
                if left < 0:
                    break
                yield from self._action()
        except LexError as error:
            yield Token(ERROR, str(error), self._start, self._line_at_error)
            return
        yield Token(EOF, "", len(text), self._line)

    @property
    def _line_at_error(self) -> int:
        return 1 + self._text.count("\n", 0, self._start)

    def _token(self, kind: str, end: int) -> Token:
        piece = self._text[self._start : end]
        token = Token(kind, piece, self._start, self._line)
        self._line += piece.count("\n")
        self._start = self._at = end
        return token

    def _text_until(self, end: int, left: int) -> Iterator[Token]:
        """Yield the text before an action, trimmed when the action starts with ``{{- ``."""
        text = self._text
        keep = end
        if left >= 0 and text[left + 2 : left + 3] == "-" and text[left + 3 : left + 4] in tuple(_SPACES):
            while keep > self._at and text[keep - 1] in _SPACES:
                keep -= 1
        self._start = self._at
        if keep > self._start:
            yield self._token(TEXT, keep)
        self._skip(end)

    def _skip(self, end: int) -> None:
        self._line += self._text.count("\n", self._start, end)
        self._start = self._at = end

    def _action(self) -> Iterator[Token]:
        text = self._text
        opening = self._start
        trimmed = text[opening + 2 : opening + 3] == "-" and text[opening + 3 : opening + 4] in tuple(_SPACES)
        after = opening + (4 if trimmed else 2)
        if text.startswith("/*", after):
            self._comment(after)
            return
        yield self._token(LEFT, opening + 2)
        self._skip(after)
        self._depth = 0
        while True:
            at = self._start
            trims, closes = self._right_delimiter(at)
            if closes:
                if self._depth:
                    raise LexError("unclosed left paren")
                yield from self._close(at, trims=trims)
                return
            yield self._inside()

    def _right_delimiter(self, at: int) -> tuple[bool, bool]:
        text = self._text
        if text.startswith("-}}", at + 1) and text[at : at + 1] in tuple(_SPACES):
            return True, True
        return False, text.startswith("}}", at)

    def _close(self, at: int, *, trims: bool) -> Iterator[Token]:
        if trims:
            self._skip(at + 2)
            at += 2
        yield self._token(RIGHT, at + 2)
        if trims:
            self._trim_left()

    def _trim_left(self) -> None:
        end = self._start
        while end < len(self._text) and self._text[end] in _SPACES:
            end += 1
        self._skip(end)

    def _comment(self, at: int) -> None:
        text = self._text
        self._start = at
        end = text.find("*/", at)
        if end < 0:
            raise LexError("unclosed comment")
        end += 2
        trims, closes = self._right_delimiter(end)
        if not closes:
            raise LexError("comment ends before closing delimiter")
        self._line = 1 + text.count("\n", 0, end)
        self._start = end
        self._skip(end + (4 if trims else 2))
        if trims:
            self._trim_left()

    def _inside(self) -> Token:
        """Return the next token inside an action."""
        text, at = self._text, self._start
        char = text[at : at + 1]
        if not char:
            raise LexError("unclosed action")
        if char in _SPACES:
            return self._space()
        if char in "=|":
            return self._token(char, at + 1)
        if char == ":":
            if text[at + 1 : at + 2] != "=":
                raise LexError("expected :=")
            return self._token(DECLARE, at + 2)
        if char in "\"'`":
            return self._quoted(char)
        if char == "$":
            return self._name(VARIABLE, at + 1)
        if char == "." and (at + 1 < len(text) and not "0" <= text[at + 1] <= "9"):
            return self._name(FIELD, at + 1)
        if char in ".+-" or "0" <= char <= "9":
            return self._number()
        if _alphanumeric(char):
            return self._word()
        if char == "(":
            self._depth += 1
            return self._token(OPEN, at + 1)
        if char == ")":
            self._depth -= 1
            if self._depth < 0:
                raise LexError("unexpected right paren")
            return self._token(CLOSE, at + 1)
        if char.isascii() and char.isprintable():
            return self._token(CHAR, at + 1)
        raise LexError(f"unrecognized character in action: {_character(char)}")

    def _space(self) -> Token:
        text = self._text
        end = self._start
        while end < len(text) and text[end] in _SPACES:
            end += 1
        if text.startswith("-}}", end):
            end -= 1  # the last blank belongs to the closing delimiter
        return self._token(SPACE, end)

    def _quoted(self, mark: str) -> Token:
        text, at = self._text, self._start + 1
        while True:
            char = text[at : at + 1]
            if not char or (char == "\n" and mark != "`"):
                if mark == "`":
                    raise LexError("unterminated raw quoted string")
                raise LexError("unterminated quoted string" if mark == '"' else "unterminated character constant")
            if char == "\\" and mark != "`":
                if text[at + 1 : at + 2] in ("", "\n"):
                    at += 1
                    continue
                at += 2
                continue
            at += 1
            if char == mark:
                break
        return self._token({'"': STRING, "'": CHARACTER, "`": RAW}[mark], at)

    def _word_end(self, at: int) -> int:
        text = self._text
        while at < len(text) and _alphanumeric(text[at]):
            at += 1
        if at < len(text) and text[at] not in _AFTER_WORD and not text.startswith("}}", at):
            raise LexError(f"bad character {_character(text[at])}")
        return at

    def _name(self, kind: str, after: int) -> Token:
        end = self._word_end(after)
        if end == after and kind == FIELD:
            kind = DOT
        return self._token(kind, end)

    def _word(self) -> Token:
        end = self._word_end(self._start)
        word = self._text[self._start : end]
        if word in KEYWORDS or word == NIL:
            return self._token(word, end)
        return self._token(BOOL if word in ("true", "false") else IDENTIFIER, end)

    def _number(self) -> Token:
        start = self._start
        end, good = self._scan_number(start)
        kind = NUMBER
        if good and self._text[end : end + 1] in ("+", "-"):
            end, good = self._scan_number(end)
            good = good and self._text[end - 1] == "i"
            kind = COMPLEX
        if not good:
            raise LexError(f"bad number syntax: {quote(self._text[start:end])}")
        return self._token(kind, end)

    def _scan_number(self, at: int) -> tuple[int, bool]:
        """Return the end of what looks like a number, and whether a number may end there."""
        text = self._text
        at += text[at : at + 1] in ("+", "-")
        digits = "0123456789_"
        if text[at : at + 1] == "0":
            at += 1
            base = text[at : at + 1].lower()
            if base and base in "xob":
                at += 1
                digits = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}[base]
        at = self._run(at, digits)
        if text[at : at + 1] == ".":
            at = self._run(at + 1, digits)
        exponent = "eE" if len(digits) == 11 else "pP" if len(digits) == 23 else ""
        if exponent and text[at : at + 1] in tuple(exponent):
            at += 1
            at += text[at : at + 1] in ("+", "-")
            at = self._run(at, "0123456789_")
        at += text[at : at + 1] == "i"
        if at < len(text) and _alphanumeric(text[at]):
            return at + 1, False
        return at, True

    def _run(self, at: int, digits: str) -> int:
        while at < len(self._text) and self._text[at] in digits:
            at += 1
        return at


def _alphanumeric(char: str) -> bool:
    return char == "_" or char.isalnum()


def _character(char: str) -> str:
    """Write a character as Go's ``%#U`` does."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
