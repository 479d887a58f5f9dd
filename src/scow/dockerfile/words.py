# SPDX-License-Identifier: Apache-2.0
"""Quotes, escapes and variables in the words of instructions, as BuildKit understands them.

``$name``, ``${name}``, ``${name:-word}``, ``${name-word}``, ``:+ + :? ?``, ``${name#pattern} ## % %%``,
``${name/pattern/text}`` and ``//``. A word without a quote, escape or dollar comes back as it is.

Source: Dockerfile reference, "Environment replacement"; BuildKit v0.32, frontend/dockerfile/shell.
"""

from __future__ import annotations

from scow.dockerfile.errors import WordError
from scow.dockerfile.globs import replace_all, replace_first, trim_prefix, trim_suffix
from scow.dockerfile.text import is_space
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    Quotes = Literal["strip", "keep", "literal"]

_SPECIAL_PARAMETERS: Final = frozenset("@*#?-$!0")
_PLAIN: Final = frozenset("$'\"<\ufeff")
_DEPTH: Final = 50
"""Substitutions within substitutions; more is hostile."""


class Expansion(NamedTuple):
    """A word after expansion.

    Attributes:
        text: The result.
        used: Names that were looked up and found.
        unset: Names that were looked up and not found.
    """

    text: str
    used: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()


class Words(NamedTuple):
    """A text expanded and then split at unquoted space.

    Attributes:
        words: The words; empty ones are dropped.
        used: Names that were looked up and found.
        unset: Names that were looked up and not found.
    """

    words: tuple[str, ...]
    used: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()


def expand(
    word: str, env: Mapping[str, str], escape: str = "\\", *, quotes: Quotes = "strip", keep_unset: bool = False
) -> Expansion:
    """Expand one word; spaces in it stay.

    Args:
        word: As written in the Dockerfile.
        env: The variables in force.
        escape: The Dockerfile's escape character.
        quotes: ``strip`` removes quotes, ``keep`` leaves them around their text, ``literal`` gives them no meaning
            (bodies of here-documents).
        keep_unset: Leave references to unset variables as written.

    Raises:
        WordError: An open quote or brace, an unknown substitution, or a variable required by ``?``.
    """
    if escape not in word and _PLAIN.isdisjoint(word):
        return Expansion(word)
    scan = _Scan(word, env, escape, quotes=quotes, keep_unset=keep_unset, raw_escapes=False)
    text, _ = scan.start()
    return Expansion(text, frozenset(scan.used), frozenset(scan.unset))


def split(
    text: str,
    env: Mapping[str, str],
    escape: str = "\\",
    *,
    quotes: Quotes = "strip",
    keep_unset: bool = False,
    raw_escapes: bool = False,
) -> Words:
    """Expand a text and split it into words; a variable's value is split too, unless quoted.

    Args:
        text: As written in the Dockerfile.
        env: The variables in force.
        escape: The Dockerfile's escape character.
        quotes: As for ``expand``.
        keep_unset: Leave references to unset variables as written.
        raw_escapes: Leave escape characters in the words.

    Raises:
        WordError: As for ``expand``.
    """
    scan = _Scan(text, env, escape, quotes=quotes, keep_unset=keep_unset, raw_escapes=raw_escapes)
    _, words = scan.start()
    return Words(tuple(words), frozenset(scan.used), frozenset(scan.unset))


class _Splitter:
    """Collects words. The unfinished word is shared by all levels of substitution.

    A substitution inside a word so drops what the word had before it: ``a${x:-b}`` splits to ``b``. BuildKit does
    that (EXPOSE is the only instruction that splits), and images would differ without it.
    """

    __slots__ = ("_current", "_inside", "words")

    def __init__(self, current: list[str]) -> None:
        current.clear()
        self._current = current
        self._inside = False
        self.words: list[str] = []

    def spaced(self, text: str) -> None:
        """Add text whose spaces end words."""
        for char in text:
            if not is_space(char):
                self._current.append(char)
                self._inside = True
            elif self._inside and any(self._current):
                self._flush()
                self._inside = False

    def raw(self, text: str) -> None:
        """Add text whose spaces belong to the word."""
        self._current.append(text)
        self._inside = True

    def finish(self) -> list[str]:
        if any(self._current):
            self._flush()
        return self.words

    def _flush(self) -> None:
        self.words.append("".join(self._current))
        self._current.clear()


class _Scan:
    """One pass over a text, with the position shared by nested substitutions."""

    __slots__ = (
        "_current",
        "_depth",
        "_env",
        "_escape",
        "_keep_unset",
        "_pos",
        "_quotes",
        "_raw",
        "_text",
        "unset",
        "used",
    )

    def __init__(
        self, text: str, env: Mapping[str, str], escape: str, *, quotes: Quotes, keep_unset: bool, raw_escapes: bool
    ) -> None:
        self._text = text.removeprefix("\ufeff")
        self._pos = 0
        self._env = env
        self._escape = escape
        self._quotes = quotes
        self._keep_unset = keep_unset
        self._raw = raw_escapes
        self._current: list[str] = []
        self._depth = 0
        self.used: set[str] = set()
        self.unset: set[str] = set()

    def start(self) -> tuple[str, list[str]]:
        try:
            return self._until("", self._raw)
        except WordError as error:
            raise WordError(f"failed to process {_short(self._text)}: {error.message}", hint=error.hint) from None

    def _peek(self) -> str:
        return self._text[self._pos : self._pos + 1]

    def _next(self) -> str:
        char = self._text[self._pos : self._pos + 1]
        self._pos += 1
        return char

    def _until(self, stop: str, raw: bool) -> tuple[str, list[str]]:
        """Read to the unquoted character ``stop``, or to the end when it is empty."""
        before, self._raw = self._raw, raw
        self._depth += 1
        if self._depth > _DEPTH:
            raise WordError("substitutions are nested too deeply", hint=f"at most {_DEPTH} levels are read")
        words = _Splitter(self._current)
        out: list[str] = []
        while char := self._peek():
            if char == stop:
                self._pos += 1
                break
            self._step(char, out, words)
        else:
            if stop:
                raise WordError(f"unexpected end of statement while looking for matching {stop}")
        self._depth -= 1
        self._raw = before
        return "".join(out), words.finish()

    def _step(self, char: str, out: list[str], words: _Splitter) -> None:
        if char == "$":
            value = self._dollar()
            out.append(value)
            words.spaced(value)
        elif char == "<":
            value = self._heredoc()
            out.append(value)
            words.raw(value)
        elif char in "'\"" and self._quotes != "literal":
            value = self._single() if char == "'" else self._double()
            out.append(value)
            words.raw(value)
        elif char == self._escape:
            self._escaped(out, words)
        else:
            self._pos += 1
            out.append(char)
            words.spaced(char)

    def _escaped(self, out: list[str], words: _Splitter) -> None:
        self._pos += 1
        if self._raw:
            out.append(self._escape)
            words.raw(self._escape)
        if char := self._next():
            out.append(char)
            words.raw(char)

    def _single(self) -> str:
        end = self._text.find("'", self._pos + 1)
        if end < 0:
            raise WordError("unexpected end of statement while looking for matching single-quote")
        keep = self._quotes == "keep"
        inner = self._text[self._pos : end + 1] if keep else self._text[self._pos + 1 : end]
        self._pos = end + 1
        return inner

    def _double(self) -> str:
        quote = '"' if self._quotes == "keep" else ""
        self._pos += 1
        out = [quote]
        while True:
            char = self._peek()
            if not char:
                raise WordError("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                out.append(self._dollar())
                continue
            self._pos += 1
            if char == '"':
                out.append(quote)
                return "".join(out)
            if char == self._escape:
                if self._raw:
                    out.append(char)
                following = self._peek()
                if not following:
                    continue
                if following in ('"', "$", self._escape):
                    char = self._next()
            out.append(char)

    def _heredoc(self) -> str:
        """``<``, or ``<<`` with the space after it, which does not end the word."""
        start = self._pos
        self._pos += 1
        if self._peek() != "<":
            return "<"
        self._pos += 1
        while self._peek() in ("\t", "\r", " "):
            self._pos += 1
        return self._text[start : self._pos]

    def _name(self) -> str:
        """A variable's name, a run of digits, or one special parameter; may be empty."""
        text, start = self._text, self._pos
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._pos += 1
        elif first in _SPECIAL_PARAMETERS:
            self._pos += 1
        else:
            while (char := self._peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self._pos += 1
        return text[start : self._pos]

    def _get(self, name: str) -> str | None:
        value = self._env.get(name)
        (self.unset if value is None else self.used).add(name)
        return value

    def _dollar(self) -> str:
        self._pos += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._get(name)
            return (f"${name}" if self._keep_unset else "") if value is None else value
        self._pos += 1
        following = self._peek()
        if not following:
            raise WordError("syntax error: missing '}'")
        if following in "{}:":
            raise WordError("syntax error: bad substitution")
        return self._brace(self._name())

    def _brace(self, name: str) -> str:
        char = self._next()
        if char == "}":
            value = self._get(name)
            return (f"${{{name}}}" if self._keep_unset else "") if value is None else value
        if char == "/":
            return self._substitute(name)
        modifier = char
        if char == ":":
            char = self._next()
            modifier += char
        elif not char or char not in "+-?#%":
            raise WordError(f"unsupported modifier ({modifier}) in substitution")
        raw = bool(char) and char in "#%"
        if raw and modifier != char:
            raise WordError(f"unsupported modifier ({modifier}) in substitution")
        word = self._argument("}", raw)
        value = self._get(name)
        if value is None and self._keep_unset:
            return f"${{{name}{modifier}{word}}}"
        return self._modify(name, modifier, word, value)

    def _argument(self, stop: str, raw: bool) -> str:
        try:
            return self._until(stop, raw)[0]
        except WordError:
            if not self._peek():
                raise WordError(f"syntax error: missing {stop!r}") from None
            raise

    def _modify(self, name: str, modifier: str, word: str, value: str | None) -> str:
        kind = modifier[-1]
        missing = value is None or (modifier[0] == ":" and not value)
        if modifier in ("-", ":-"):
            return word if missing else value or ""
        if modifier in ("+", ":+"):
            return "" if missing else word
        if modifier in ("?", ":?"):
            if missing:
                state = "unset" if value is None else "empty"
                raise WordError(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""
        if modifier in ("#", "%"):
            greedy = word.startswith(kind)
            trim = trim_prefix if kind == "#" else trim_suffix
            return trim(word[1:] if greedy else word, value or "", greedy=greedy)
        raise WordError(f"unsupported modifier ({modifier}) in substitution")

    def _substitute(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._pos += 1
        pattern = self._argument("/", raw=True)
        replacement = self._argument("}", raw=True)
        value = self._get(name)
        if value is None:
            if self._keep_unset:
                return f"${{{name}/{pattern}/{replacement}}}"
            value = ""
        return (replace_all if everywhere else replace_first)(pattern, replacement, value)


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
