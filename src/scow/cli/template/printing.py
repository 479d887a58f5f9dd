# SPDX-License-Identifier: Apache-2.0
"""Go's fmt: print, println and printf with its verbs, flags and complaints.

Source: Go fmt package documentation; behaviour recorded in tests/golden/template.
"""

from __future__ import annotations

from scow.base.clock import write_duration
from scow.cli.template.quoting import quote
from scow.cli.template.values import Duration, Invalid, NilPointer, Struct, fields, is_nil, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MAX_WIDTH = 1_000_000
_SHORTEST = {False: 6, True: 21}  # digits before the point from which on an exponent is written


class Spec:
    """One ``%`` directive: flags, width and precision (``None`` when absent), verb."""

    __slots__ = ("minus", "plus", "precision", "sharp", "space", "verb", "width", "zero")

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.minus = self.plus = self.sharp = self.space = self.zero = False
        self.width: int | None = None
        self.precision: int | None = None

    def pad(self, text: str, *, numeric: bool = False) -> str:
        """Bring text to the width; zeros go behind a number's sign."""
        if self.width is None or len(text) >= self.width:
            return text
        if self.minus:
            return text.ljust(self.width)
        if not self.zero:
            return text.rjust(self.width)
        sign = text[:1] if numeric and text[:1] in ("+", "-", " ") else ""
        return sign + text[len(sign) :].rjust(self.width - len(sign), "0")


_PLAIN = Spec("v")


def plain(value: Any) -> str:
    """Write a value as ``%v``."""
    return _format(value, _PLAIN)


def sprint(values: Sequence[Any]) -> str:
    """Join values as ``fmt.Sprint``: a blank between two that are not strings."""
    out: list[str] = []
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out.append(" ")
        out.append(plain(value))
    return "".join(out)


def sprintln(values: Sequence[Any]) -> str:
    """Join values as ``fmt.Sprintln``."""
    return " ".join(map(plain, values)) + "\n"


def sprintf(template: str, values: Sequence[Any]) -> str:
    """Format as ``fmt.Sprintf``; mistakes become ``%!`` notes in the text, as there."""
    return _Printer(template, values).run()


class _Printer:
    """One ``sprintf`` call."""

    def __init__(self, template: str, values: Sequence[Any]) -> None:
        self._text = template
        self._values = values
        self._at = 0
        self._next = 0
        self._reordered = False

    def run(self) -> str:
        out: list[str] = []
        text = self._text
        while self._at < len(text):
            percent = text.find("%", self._at)
            if percent < 0:
                out.append(text[self._at :])
                break
            out.append(text[self._at : percent])
            self._at = percent + 1
            out.append(self._directive())
        if not self._reordered and self._next < len(self._values):
            rest = ", ".join(
                "<nil>" if value is None else f"{type_name(value)}={plain(value)}"
                for value in self._values[self._next :]
            )
            out.append(f"%!(EXTRA {rest})")
        return "".join(out)

    def _directive(self) -> str:
        text = self._text
        spec = Spec("")
        self._reordered = False
        notes = ""
        names = {"-": "minus", "+": "plus", "#": "sharp", " ": "space", "0": "zero"}
        while text[self._at : self._at + 1] in names:
            setattr(spec, names[text[self._at]], True)
            self._at += 1
        good = self._index()
        if text[self._at : self._at + 1] == "*":
            self._at += 1
            spec.width, fits = self._star()
            notes += "" if fits else "%!(BADWIDTH)"
            if spec.width is not None and spec.width < 0:
                spec.minus, spec.width = True, -spec.width
            reindexed = False
        else:
            spec.width = self._number()
            reindexed = self._reordered
        if spec.width is not None and reindexed:
            good = False
        if text[self._at : self._at + 1] == ".":
            self._at += 1
            reindexed = self._reordered
            good = self._index() and good
            if text[self._at : self._at + 1] == "*":
                self._at += 1
                spec.precision, fits = self._star()
                notes += "" if fits and (spec.precision or 0) >= 0 else "%!(BADPREC)"
                if spec.precision is not None and spec.precision < 0:
                    spec.precision = None
            else:
                spec.precision = self._number() or 0
        good = self._index() and good
        spec.zero = spec.zero and not spec.minus
        return notes + self._verb(spec, good=good)

    def _verb(self, spec: Spec, *, good: bool) -> str:
        verb = self._text[self._at : self._at + 1]
        if not verb:
            return "%!(NOVERB)"
        self._at += 1
        spec.verb = verb
        if verb == "%":
            return "%"
        if not good:
            return f"%!{verb}(BADINDEX)"
        if self._next >= len(self._values):
            return f"%!{verb}(MISSING)"
        value = self._values[self._next]
        self._next += 1
        return _format(value, spec)

    def _number(self) -> int | None:
        start = self._at
        while self._text[self._at : self._at + 1].isdecimal() and self._text[self._at].isascii():
            self._at += 1
        if start == self._at:
            return None
        value = int(self._text[start : self._at]) if self._at - start < 8 else _MAX_WIDTH + 1
        return value if value <= _MAX_WIDTH else None

    def _star(self) -> tuple[int | None, bool]:
        if self._next >= len(self._values):
            return None, False
        value = self._values[self._next]
        self._next += 1
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_WIDTH:
            return None, False
        return value, True

    def _index(self) -> bool:
        """Read ``[n]`` when it is there; tell whether it was well-formed."""
        if self._text[self._at : self._at + 1] != "[":
            return True
        self._reordered = True
        close = self._text.find("]", self._at)
        if close < 0:
            self._at += 1
            return False
        inner = self._text[self._at + 1 : close]
        self._at = close + 1
        if not inner.isdecimal() or not 1 <= int(inner) <= len(self._values):
            return False
        self._next = int(inner) - 1
        return True


def _format(value: Any, spec: Spec) -> str:
    verb = spec.verb
    if value is None or isinstance(value, (Invalid, NilPointer)):
        return spec.pad("<nil>") if verb in "vT" else f"%!{verb}(<nil>)"
    if verb == "T":
        return _text(type_name(value), spec)
    if isinstance(value, bool):
        return spec.pad("true" if value else "false") if verb in "tv" else _bad(value, spec)
    if isinstance(value, Duration) and verb in "sv":
        return _text(write_duration(value), spec)
    if isinstance(value, int):
        return _integer(value, spec)
    if isinstance(value, float):
        return _real(value, spec)
    if isinstance(value, complex):
        return _complex(value, spec)
    if isinstance(value, str):
        return _string(value, spec)
    if isinstance(value, dict):
        return _mapping(value, spec)
    if isinstance(value, list):
        return _sequence(value, spec)
    return _bad(str(value), spec)


def _bad(value: Any, spec: Spec) -> str:
    """Complain about a verb that does not fit; the flags stay in force."""
    shown = Spec("v")
    shown.width, shown.precision, shown.zero, shown.minus = spec.width, spec.precision, spec.zero, spec.minus
    return f"%!{spec.verb}({type_name(value)}={_format(value, shown)})"


def _sequence(value: list[Any], spec: Spec) -> str:
    if spec.verb == "v" and spec.sharp:
        if is_nil(value):
            return f"{type_name(value)}(nil)"
        return type_name(value) + "{" + ", ".join(_sharp(item, spec) for item in value) + "}"
    return "[" + " ".join(_element(item, spec) for item in value) + "]"


def _mapping(value: dict[str, Any], spec: Spec) -> str:
    rows = fields(value)
    struct = isinstance(value, Struct)
    if spec.verb == "v" and spec.sharp:
        if is_nil(value):
            return f"{type_name(value)}(nil)"
        return (
            type_name(value)
            + "{"
            + ", ".join(f"{name if struct else quote(name)}:{_sharp(item, spec)}" for name, item in rows)
            + "}"
        )
    if struct:
        named = spec.plus and spec.verb == "v"
        return "{" + " ".join((f"{name}:" if named else "") + _element(item, spec) for name, item in rows) + "}"
    return "map[" + " ".join(f"{_format(name, spec)}:{_element(item, spec)}" for name, item in rows) + "]"


def _element(value: Any, spec: Spec) -> str:
    """Write a part of a composite: nil is nil whatever the verb."""
    nil = value is None or isinstance(value, NilPointer)
    return spec.pad("<nil>") if nil else _format(value, spec)


def _sharp(value: Any, spec: Spec) -> str:
    return "interface {}(nil)" if value is None else _format(value, spec)


def _text(text: str, spec: Spec) -> str:
    return spec.pad(text if spec.precision is None else text[: spec.precision])


def _string(value: str, spec: Spec) -> str:
    verb = spec.verb
    if verb == "v" and spec.sharp:
        return spec.pad(quote(value))
    if verb in "sv":
        return _text(value, spec)
    if verb == "q":
        cut = value if spec.precision is None else value[: spec.precision]
        if spec.sharp and "`" not in cut and all(char == "\t" or char.isprintable() for char in cut):
            return spec.pad(f"`{cut}`")
        return spec.pad(quote(cut, ascii_only=spec.plus))
    if verb in "xX":
        data = value.encode("utf-8", "surrogateescape")
        data = data if spec.precision is None else data[: spec.precision]
        lead = "0x" if spec.sharp and data else ""
        text = " ".join(f"{lead}{byte:02x}" for byte in data) if spec.space else lead + data.hex()
        return spec.pad(text.upper() if verb == "X" else text)
    return _bad(value, spec)


def _integer(value: int, spec: Spec) -> str:
    verb = spec.verb
    if verb == "c":
        return spec.pad(chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd")
    if verb == "q":
        char = chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"
        return spec.pad(quote(char, ascii_only=spec.plus, mark="'"))
    if verb == "U":
        shown = f" '{chr(value)}'" if spec.sharp and 0 <= value < 0x110000 and chr(value).isprintable() else ""
        return spec.pad(f"U+{value:0{max(4, spec.precision or 0)}X}{shown}")
    formats = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if verb not in formats:
        return _bad(value, spec)
    digits = format(abs(value), formats[verb])
    if spec.precision is not None:
        digits = "" if spec.precision == 0 and value == 0 else digits.rjust(spec.precision, "0")
        if not digits:
            return " " * (spec.width or 0)
    lead = ""
    if verb == "O":
        lead = "0o"
    elif spec.sharp and verb in "boxX":
        lead = {"b": "0b", "o": "" if digits[:1] == "0" else "0", "x": "0x", "X": "0X"}[verb]
    sign = "-" if value < 0 else "+" if spec.plus and verb != "v" else " " if spec.space else ""
    if spec.zero and spec.width is not None and spec.precision is None:
        digits = digits.rjust(spec.width - len(sign), "0")
        return sign + lead + digits
    text = sign + lead + digits
    if spec.width is None:
        return text
    return text.ljust(spec.width) if spec.minus else text.rjust(spec.width)


def _real(value: float, spec: Spec) -> str:
    verb = spec.verb
    if verb not in "vgGeEfFxX":
        return _bad(value, spec)
    text = format_float(
        value, "g" if verb == "v" else verb, spec.precision, sharp=spec.sharp and verb != "v", literal=spec.sharp
    )
    special = text.lstrip("+-") in ("Inf", "NaN")
    plus = (spec.plus and verb != "v") or text == "Inf"
    if text[0] not in "+-" and (plus or spec.space):
        text = ("+" if plus else " ") + text
    if special and spec.zero:
        return text.rjust(spec.width or 0)
    return spec.pad(text, numeric=True)


def _complex(value: complex, spec: Spec) -> str:
    verb = "g" if spec.verb == "v" else spec.verb
    signed = Spec(verb)
    signed.plus, signed.precision = True, spec.precision
    unsigned = Spec(verb)
    unsigned.plus, unsigned.precision = spec.plus, spec.precision
    return f"({_real(value.real, unsigned)}{_real(value.imag, signed)}i)"


def format_float(value: float, verb: str, precision: int | None, *, sharp: bool = False, literal: bool = False) -> str:
    """Format as Go's fmt does a float64.

    Args:
        value: The number.
        verb: One of ``eEfFgGxX``.
        precision: ``None`` for the verb's default: as many digits as identify the number for ``g``.
        sharp: Keep the point and the zeros after it.
        literal: ``%#v``, which writes up to 21 digits before it takes to exponents.
    """
    if value != value:  # noqa: PLR0124 - the only float that differs from itself
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "-Inf" if value < 0 else "Inf"
    if verb in "xX":
        mantissa, _, power = value.hex().partition("p")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}p{power[0]}{power[1:].rjust(2, '0')}"
        return text.upper() if verb == "X" else text
    if verb in "eEfF":
        style = f"{'#' if sharp else ''}.{6 if precision is None else precision}{verb}"
        return format(value, style)
    if precision is not None:
        return format(value, f"{'#' if sharp else ''}.{precision or 1}{verb}")
    sign, digits, point = shortest(value)
    exponent = point - 1
    if sharp:
        return format(value, f"#.{max(6, len(digits))}{verb}")
    if exponent < -4 or exponent >= _SHORTEST[literal]:
        fraction = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}{'e' if verb == 'g' else 'E'}{exponent:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def shortest(value: float) -> tuple[str, str, int]:
    """Return sign, the fewest digits that identify the number, and how many stand before the point."""
    text = repr(value)
    sign = "-" if text[0] == "-" else ""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(power or "0")
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    stripped = stripped.rstrip("0")
    return (sign, stripped, point) if stripped else (sign, "0", 1)
