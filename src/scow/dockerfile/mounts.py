# SPDX-License-Identifier: Apache-2.0
"""The values of ``RUN --mount`` and ``RUN --device``: comma-separated fields to checked values.

Source: Dockerfile reference, "RUN --mount"; BuildKit v0.32, frontend/dockerfile/instructions.
"""

from __future__ import annotations

import re

from scow.dockerfile import suggest
from scow.dockerfile.ast import Device
from scow.dockerfile.errors import FlagValueError
from scow.dockerfile.text import FALSE, TRUE
from scow.record import Record
from scow.typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, Literal

    MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
    Sharing = Literal["shared", "private", "locked"]


_TYPES: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING: Final = ("shared", "private", "locked")
_ALIASES: Final = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS: Final = (
    "type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required", "size", "mode", "uid",
    "gid", "env",
)  # fmt: skip
_SIZE: Final = re.compile(r"\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)


class Mount(Record):
    """One mount of a RUN.

    Attributes:
        type: What is mounted.
        from_: Stage, image or named context for bind and cache; ``""`` for the build context (bind) or nothing (cache).
        source: Path in it, or the secret's name.
        target: Where it appears; ``""`` for the default place of a secret or agent.
        readonly: Writes fail.
        size: Bytes a tmpfs may hold; 0 when not bounded.
        id: Name of the cache, secret or agent; ``""`` for the default.
        sharing: How builds at the same time use one cache.
        required: Fail when the secret or agent is absent.
        env: Variable to hold the secret: ``None`` for none, ``""`` for its default name.
        mode: Permission bits, or ``None``.
        uid: Owner, or ``None``.
        gid: Group, or ``None``.
    """

    type: MountType = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = True
    size: int = 0
    id: str = ""
    sharing: Sharing | None = None
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def fields(value: str) -> list[str]:
    """The comma-separated fields of a value; a field may stand in double quotes, ``""`` is one quote.

    Raises:
        FlagValueError: A quote in the wrong place, or nothing at all.

    Source: RFC 4180, section 2.
    """
    line = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
    if not line:
        raise FlagValueError("the value of a flag cannot be empty")
    out: list[str] = []
    at = 0
    while True:
        if line.startswith('"', at):
            field, at = _quoted(line, at + 1)
        else:
            comma = line.find(",", at)
            end = len(line) if comma < 0 else comma
            field, at = line[at:end], end
            if '"' in field:
                raise FlagValueError(f"bare quote in {value!r}", hint="quote the whole field, and double quotes inside")
        out.append(field)
        if at >= len(line):
            return out
        if line[at] != ",":
            raise FlagValueError(f"extraneous or missing quote in {value!r}")
        at += 1


def _quoted(line: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while True:
        quote = line.find('"', at)
        if quote < 0:
            raise FlagValueError(f"extraneous or missing quote in {line!r}")
        out.append(line[at:quote])
        at = quote + 1
        if not line.startswith('"', at):
            return "".join(out), at
        out.append('"')
        at += 1


def mount_source(value: str) -> str:
    """The stage or image that a mount takes its files from; all that is known before variables are.

    Raises:
        FlagValueError: The value is malformed, or ``from`` holds a variable.
    """
    found = ""
    for field in fields(value):
        key, sign, text = field.partition("=")
        if key.lower() == "from" and sign:
            if "$" in text[:-1]:
                raise FlagValueError(
                    "'from' doesn't support variable expansion", hint="give the image a stage name with FROM ... AS"
                )
            found = text
    return found


def parse_mount(value: str, expand: Callable[[str], str] | None = None) -> Mount:
    """Read the value of one ``--mount``.

    Args:
        value: As written in the Dockerfile.
        expand: Replaces the variables in a field's value; ``None`` when they are replaced already.

    Raises:
        FlagValueError: An unknown field, a value out of range, or fields that do not go together.
    """
    given: dict[str, object] = {}
    kind: MountType = "bind"
    for field in fields(value):
        key, sign, text = field.partition("=")
        key = key.lower()
        name = _ALIASES.get(key, key)
        if not sign and name not in ("readonly", "readwrite", "required"):
            raise FlagValueError(f"invalid field {field!r} must be a key=value pair")
        if sign and expand is not None:
            text = expand(text)
        if name not in _KEYS:
            raise FlagValueError(f"unexpected key {key!r} in {field!r}", hint=suggest.hint(key, (*_KEYS, *_ALIASES)))
        if name == "type":
            kind = cast("MountType", _choice("mount type", text, _TYPES))
        else:
            _set(given, name, text if sign else "true", kind)
    return _checked(kind, given)


def _set(given: dict[str, object], name: str, text: str, kind: MountType) -> None:
    if name in ("readonly", "readwrite"):
        given["readonly"] = _boolean(name, text) == (name == "readonly")
    elif name == "required":
        if kind not in ("secret", "ssh"):
            raise FlagValueError(f"unexpected key 'required' for mount type {kind!r}")
        given[name] = _boolean(name, text)
    elif name == "size":
        if kind != "tmpfs":
            raise FlagValueError(f"unexpected key 'size' for mount type {kind!r}")
        given[name] = _size(text)
    elif name == "sharing":
        given[name] = _choice("sharing value", text, _SHARING)
    elif name in ("mode", "uid", "gid"):
        given[name] = _unsigned(name, text)
    else:
        given["from_" if name == "from" else name] = text


def _checked(kind: MountType, given: dict[str, object]) -> Mount:
    if kind not in ("secret", "ssh", "cache"):
        for name in ("mode", "uid", "gid"):
            if name in given:
                raise FlagValueError(f"{name} not allowed for {kind!r} type mounts")
    if kind == "secret":
        if given.get("from_"):
            raise FlagValueError("secret mount should not have a from")
        if "sharing" in given:
            raise FlagValueError("secret mount should not define sharing")
        if not (given.get("source") or given.get("target") or given.get("id")):
            raise FlagValueError("invalid secret mount, one of source, target, id required")
        if given.get("source") and given.get("id"):
            raise FlagValueError("invalid secret mount, both source and id can't be set")
    if "sharing" in given and kind != "cache":
        raise FlagValueError(f"invalid cache sharing set for {kind} mount")
    given.setdefault("readonly", kind not in ("cache", "tmpfs"))
    return Mount(type=kind, **given)  # type: ignore[arg-type]


def parse_device(value: str) -> Device:
    """Read the value of one ``--device``: ``NAME[,required]``.

    Raises:
        FlagValueError: An unknown field, or two names.
    """
    found = ""
    required = False
    for field in fields(value):
        key, sign, text = field.partition("=")
        key = key.lower()
        if key == "required":
            required = _boolean(key, text) if sign else True
        elif key == "name" and sign:
            if found:
                raise FlagValueError(f"device name already set to {found}")
            found = text
        elif not found:
            found = field
        else:
            raise FlagValueError(f"unexpected key {key!r} in {field!r}", hint=suggest.hint(key, ("name", "required")))
    return Device(found, required)


def _choice(what: str, text: str, allowed: tuple[str, ...]) -> str:
    if text.lower() not in allowed:
        raise FlagValueError(f"unsupported {what} {text!r}", hint=suggest.hint(text, allowed) or _either(allowed))
    return text.lower()


def _either(allowed: tuple[str, ...]) -> str:
    return f"it can be {', '.join(allowed[:-1])} or {allowed[-1]}"


def _boolean(name: str, text: str) -> bool:
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise FlagValueError(f"invalid value for {name}: {text!r}")


def _unsigned(name: str, text: str) -> int:
    base, digits = (8, r"[0-7]{1,12}") if name == "mode" else (10, r"[0-9]{1,12}")
    if not re.fullmatch(digits, text) or int(text, base) >= 1 << 32:
        raise FlagValueError(f"invalid value {text!r} for {name}")
    return int(text, base)


def _size(text: str) -> int:
    """Bytes of ``64m``, ``1.5 GiB`` or ``1024``; units are powers of 1024."""
    units: Mapping[str, int] = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
    match = _SIZE.fullmatch(text)
    if match is None:
        raise FlagValueError(f"invalid value for size: {text!r}")
    size = int(float(match[1]) * (1 << units[(match[2] or "").lower()])) if len(match[1]) < 40 else 1 << 63
    if size >= 1 << 63:
        raise FlagValueError(f"invalid value for size: {text!r}")
    return size
