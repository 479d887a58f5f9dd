# SPDX-License-Identifier: Apache-2.0
"""Values written as the history of Docker images has them: Go's quoting, durations and lists. Pure.

Source: Go 1.22, package fmt, verbs ``%q`` and ``%v``; package time, ``Duration.String``.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def quote(text: str) -> str:
    """A string in double quotes, unprintable characters escaped."""
    out: list[str] = []
    for char in text:
        code = ord(char)
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char == " " or char.isprintable():
            out.append(char)
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        elif code < 0x10000:
            out.append(f"\\u{code:04x}")
        else:
            out.append(f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


def quoted_list(words: Iterable[str]) -> str:
    """Such as ``["a" "b"]``."""
    return "[" + " ".join(quote(word) for word in words) + "]"


def plain_list(words: Iterable[str]) -> str:
    """Such as ``[a b]``."""
    return "[" + " ".join(words) + "]"


def run_line(
    args: Iterable[str], build_args: Iterable[str], env: Mapping[str, str], defaults: Mapping[str, str]
) -> str:
    """The history of a RUN: its arguments after the build arguments that were declared.

    Args:
        args: The whole command.
        build_args: Names of declared build arguments, in order.
        env: What they hold.
        defaults: For those that are not in ``env``.
    """
    names = list(dict.fromkeys(build_args))
    head = [f"|{len(names)}", *(f"{name}={env.get(name, defaults.get(name, ''))}" for name in names)] if names else []
    return "RUN " + " ".join([*head, *args])
