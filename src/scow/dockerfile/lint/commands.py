# SPDX-License-Identifier: Apache-2.0
"""The simple commands in a shell line, well enough for advice: words, and what joins one command to the next.

No shell is parsed: keywords such as ``if`` and ``do`` are skipped, ``$( )`` is read as more commands, redirections are
left out. What is not understood gives odd words, never an error.
"""

from __future__ import annotations

import re

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile import ast

_KEYWORDS: Final = frozenset(
    {"if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "esac"}
)
_WRAPPERS: Final = frozenset(
    {"exec", "command", "builtin", "time", "nohup", "env", "sudo", "chroot", "xargs", "eatmydata"}
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_JOINTS: Final = {"\n": ";", "(": ";", ")": ";", ";;": ";", "|&": "|"}
_DEPTH: Final = 10
_OPERATORS: Final = ("&&", "||", ";;", ";", "|&", "|", "&", "\n", "(", ")")
_REDIRECTION: Final = re.compile(r"[0-9]*(?:>>|>\||>&|&>>|&>|<<<|<<-?|<>|<&|>|<)")


class Command(NamedTuple):
    """One simple command.

    Attributes:
        name: The program without its folder; wrappers such as ``sudo`` and ``env`` are commands of their own before it.
        args: The words after it, quotes removed; redirections left out.
        joined: What stands before it: ``""`` for the first, else ``&&``, ``||``, ``;``, ``|`` or ``&``.
        assigned: The variable assignments before it, as written.
    """

    name: str
    args: tuple[str, ...]
    joined: str = ""
    assigned: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The words that begin with a hyphen."""
        return tuple(arg for arg in self.args if arg.startswith("-") and arg != "-")

    @property
    def operands(self) -> tuple[str, ...]:
        """The words that do not."""
        return tuple(arg for arg in self.args if not arg.startswith("-"))

    def has_flag(self, *names: str) -> bool:
        """Whether a flag is given: ``--long`` (with a value or not), or ``-x`` (also within ``-axb``)."""
        for flag in self.flags:
            for name in names:
                if name.startswith("--"):
                    if flag == name or flag.startswith(name + "="):
                        return True
                elif flag == name or (not flag.startswith("--") and len(name) == 2 and name[1] in flag[1:]):
                    return True
        return False


def of_run(node: ast.Run) -> tuple[Command, ...]:
    """The commands of a RUN, its here-document's when the shell gets that."""
    if node.json:
        return _named(node.command, "", ()) if node.command else ()
    text = node.command[0] if node.command else ""
    if node.heredocs and re.fullmatch(r"[0-9]*<<-?\s*\S+", text.strip()):
        body = node.heredocs[0].text
        if body.startswith("#!") and not re.match(r"#!\s*\S*/(?:env\s+)?(?:ba|da|k|z)?sh\b", body):
            return ()
        return commands(body)
    return commands(text)


def commands(text: str, depth: int = 0) -> tuple[Command, ...]:
    """The commands of a shell text; those within ``$( )`` follow the command that they are an argument of."""
    out: list[Command] = []
    words: list[str] = []
    nested: list[str] = []
    joined = ""
    skip = False
    for kind, token in (*_tokens(text), ("operator", "")):
        if kind == "nested":
            nested.append(token)
        elif kind == "redirection":
            skip = True
        elif kind == "word":
            if not skip:
                words.append(token)
            skip = False
        else:
            out += _simple(words, joined)
            for inner in nested if depth < _DEPTH else ():
                out += commands(inner, depth + 1)
            words, nested, skip = [], [], False
            joined = _JOINTS.get(token, token)
    return tuple(out)


def _simple(words: list[str], joined: str) -> tuple[Command, ...]:
    at = 0
    while at < len(words) and words[at] in _KEYWORDS:
        at += 1
    assigned: list[str] = []
    while at < len(words) and _ASSIGNMENT.match(words[at]):
        assigned.append(words[at])
        at += 1
    return _named(tuple(words[at:]), joined, tuple(assigned)) if at < len(words) else ()


def _named(words: tuple[str, ...], joined: str, assigned: tuple[str, ...]) -> tuple[Command, ...]:
    """The command, and the one it wraps."""
    out: list[Command] = []
    while words:
        name = words[0].rpartition("/")[2] or words[0]
        out.append(Command(name, words[1:], joined, assigned))
        if name not in _WRAPPERS:
            break
        at = 1
        while at < len(words) and (words[at].startswith("-") or _ASSIGNMENT.match(words[at])):
            at += 2 if name == "sudo" and words[at] in ("-u", "-g", "-h", "-p") else 1
        words = words[at + (name == "chroot") :]
    return tuple(out)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token: ``word``, ``operator``, ``redirection``, or ``nested`` for a text in ``$( )``."""
    at = 0
    word: list[str] | None = None
    while at < len(text):
        char = text[at]
        kind, sign = _sign(text, at, inside=word is not None)
        if sign:
            if word is not None:
                yield "word", "".join(word)
                word = None
            if kind:
                yield kind, sign
            at += len(sign)
        elif char == "#" and word is None:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("\\\n", at):
            at += 2
        else:
            piece, at, inner = _piece(text, at)
            if word is None:
                word = []
            word.append(piece)
            for nested in inner:
                yield "nested", nested
    if word is not None:
        yield "word", "".join(word)


def _sign(text: str, at: int, *, inside: bool) -> tuple[str, str]:
    """The operator, redirection or space at a place; ``inside`` a word a digit belongs to the word."""
    char = text[at]
    if char in " \t\r":
        return "", char
    if (char in "<>" or text.startswith("&>", at) or (char.isdigit() and not inside)) and (
        match := _REDIRECTION.match(text, at)
    ):
        return "redirection", match[0]
    sign = next((operator for operator in _OPERATORS if text.startswith(operator, at)), "")
    return "operator", sign


def _piece(text: str, at: int) -> tuple[str, int, list[str]]:
    """A part of a word: its text, where it ends, and the command lines found in it."""
    char = text[at]
    if char == "\\":
        return text[at + 1 : at + 2], at + 2, []
    if char == "'":
        end = text.find("'", at + 1)
        end = len(text) if end < 0 else end
        return text[at + 1 : end], end + 1, []
    if char == '"':
        return _double(text, at + 1)
    if text.startswith("$((", at) and (end := text.find("))", at)) >= 0:
        return text[at : end + 2], end + 2, []
    if text.startswith("$(", at):
        end = _closing(text, at + 2)
        return text[at : end + 1], end + 1, [text[at + 2 : end]]
    if text.startswith("${", at):
        end = text.find("}", at)
        end = len(text) - 1 if end < 0 else end
        return text[at : end + 1], end + 1, []
    return char, at + 1, []


def _double(text: str, at: int) -> tuple[str, int, list[str]]:
    """What stands in double quotes, from after the first."""
    begin = at
    nested: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 2
        elif text.startswith("$(", at) and not text.startswith("$((", at):
            end = _closing(text, at + 2)
            nested.append(text[at + 2 : end])
            at = end + 1
        else:
            at += 1
    return text[begin:at].replace('\\"', '"'), at + 1, nested


def _closing(text: str, at: int) -> int:
    """Where the parenthesis that is open at ``at`` closes; the end of the text when it does not."""
    depth = 1
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return at
        at += 1
    return len(text)
