# SPDX-License-Identifier: Apache-2.0
"""Flag values beyond words and switches: numbers, sizes, durations, maps, filters; with Go's grammar and wording.

Every reader raises ``ValueError`` with the sentence that Docker shows after ``invalid argument "v" for "-f" flag:``.
Loaded only when a command line uses such a flag.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Flag

_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DIGITS = "0123456789"
_ESCAPES = {
    "\n": "\\n",
    "\t": "\\t",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


def store(flag: Flag, text: str, values: dict[str, Any]) -> None:
    """Read ``text`` as the flag's kind and enter it in ``values``.

    Raises:
        ValueError: The text does not fit the kind.
    """
    kind, name = flag.kind, flag.name
    if kind == "csv":
        items = split_csv(text)
        values.setdefault(name, []).extend(items if flag.check is None else [flag.check(item) for item in items])
    elif kind == "filter":
        if text:
            values.setdefault(name, []).append(read_filter(text))
    elif kind == "map":
        key, _, value = text.partition("=")
        if flag.check is not None:
            flag.check(text)
        values.setdefault(name, {})[key] = value
    elif kind == "enum":
        if text not in flag.choices:
            raise ValueError(f"must be one of {one_of(flag.choices)}")
        values[name] = text
    else:
        values[name] = _number(flag, text)


def _number(flag: Flag, text: str) -> int:
    kind = flag.kind
    if kind in ("int", "uint"):
        return read_int(text, bits=flag.bits, signed=kind == "int")
    if kind == "bytes":
        return read_bytes(text)
    if kind == "swap":
        return -1 if text == "-1" else read_bytes(text)
    if kind == "decimal":
        return read_decimal(text)
    return read_duration(text)


def one_of(choices: tuple[str, ...]) -> str:
    """Write choices as a sentence does: ``"a", "b" or "c"``."""
    quoted = [f'"{choice}"' for choice in choices]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def quote(text: str) -> str:
    """Quote as Go's ``%q`` does."""
    out = []
    for char in text:
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        elif "\udc80" <= char <= "\udcff":  # a byte that was not UTF-8
            out.append(f"\\x{ord(char) - 0xDC00:02x}")
        else:
            code = ord(char)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


def read_int(text: str, *, bits: int = 64, signed: bool = True) -> int:
    """Read an integer as Go's ``strconv.ParseInt(text, 0, bits)``.

    Raises:
        ValueError: Not a Go integer literal, or out of range.

    Source: Go strconv, ParseInt.
    """
    function = "ParseInt" if signed else "ParseUint"
    fault = ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    digits = text[1:] if signed and text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits[:1].isdigit() or not digits.replace("_", "").isalnum():
        raise fault
    try:
        # Python refuses the old octal form that Go still reads.
        octal = len(digits) > 1 and digits[0] == "0" and (digits[1].isdigit() or digits[1] == "_")
        value = int(digits.replace("_", "") if octal else digits, 8 if octal else 0)
    except ValueError:
        raise fault from None
    if text[0] == "-":
        value = -value
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def read_bytes(text: str, *, decimal: bool = False) -> int:
    """Read a size such as ``512m``, ``1.5 GiB`` or ``10kb``, in bytes.

    Args:
        text: The size.
        decimal: Whether ``k`` means 1000 instead of 1024.

    Raises:
        ValueError: No number, or an unknown suffix.

    Source: docker/go-units, RAMInBytes and FromHumanSize.
    """
    cut = len(text)
    while cut and text[cut - 1] not in "0123456789. ":
        cut -= 1
    if not cut:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = (text[: cut - 1] if text[cut - 1] == " " else text[:cut]), text[cut:].lower()
    try:
        size = float(number)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(number)}: invalid syntax") from None
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    if suffix in ("", "b"):
        return int(size)
    units = _DECIMAL if decimal else _BINARY
    if suffix[0] not in units or suffix[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{text[cut:] if len(suffix) > 3 else suffix}'")
    return int(size * units[suffix[0]])


def read_duration(text: str) -> int:
    """Read a Go duration such as ``1h30m`` or ``-1.5s``, in nanoseconds.

    Raises:
        ValueError: Malformed.

    Source: Go time, ParseDuration.
    """
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = 0
    while True:
        whole_end = _digits_end(rest, 0)
        end = _digits_end(rest, whole_end + 1) if rest[whole_end : whole_end + 1] == "." else whole_end
        number, unit_end = rest[:end], end
        while unit_end < len(rest) and rest[unit_end] not in _DIGITS + ".":
            unit_end += 1
        unit = rest[end:unit_end]
        if number in ("", "."):
            raise ValueError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _NANOSECONDS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        whole, _, part = number.partition(".")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale + int(part or "0") * scale // int("1" + "0" * len(part))
        rest = rest[unit_end:]
        if not rest:
            break
    if total >= 1 << 63:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return -total if text[0] == "-" else total


def _digits_end(text: str, at: int) -> int:
    while at < len(text) and text[at] in _DIGITS:
        at += 1
    return at


def read_decimal(text: str) -> int:
    """Read a rational number such as ``1.5`` or ``1/2``, in billionths.

    Raises:
        ValueError: Not a number, or finer than a billionth.

    Source: docker CLI, NanoCPUs.
    """
    from fractions import Fraction

    try:
        value = Fraction(text.strip()) * 10**9
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if value.denominator != 1:
        raise ValueError("value is too precise")
    return int(value)


def read_filter(text: str) -> tuple[str, str]:
    """Read ``name=value``.

    Raises:
        ValueError: There is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def split_csv(text: str) -> list[str]:
    """Split one line of comma-separated values, double quotes as in RFC 4180.

    Raises:
        ValueError: A quote in the wrong place.
    """
    if '"' not in text:
        return text.split(",") if text else []
    import csv

    try:
        return list(next(csv.reader([text], strict=True)))
    except (csv.Error, StopIteration):
        raise ValueError(f"parse error in {quote(text)}: extraneous or missing quote") from None
