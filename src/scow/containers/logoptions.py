# SPDX-License-Identifier: Apache-2.0
"""What ``--log-driver`` and ``--log-opt`` ask for. Pure.

Source: docker's behaviour and messages, observed with dockerd 20.10.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = frozenset({"max-file", "max-size", "compress", "mode", "max-buffer-size"})
_EVERY = _FILES | {"labels", "labels-regex", "env", "env-regex", "tag"}
# Driver -> its options.
DRIVERS = {"json-file": _EVERY, "k8s-file": _EVERY, "journald": _EVERY, "none": _EVERY, "local": _FILES}
_LOCAL = {"max-size": "20m", "max-file": "5", "compress": "true"}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class Bounds(NamedTuple):
    """How much of a log is kept.

    Args:
        size: Bytes of a file, 0 for any number.
        files: How many files.
    """

    size: int = 0
    files: int = 1


def read(driver: str, options: Mapping[str, str]) -> Bounds:
    """What a log's options mean.

    Args:
        driver: Its name, ``""`` for docker's ``json-file``.
        options: As ``--log-opt`` gives them.

    Raises:
        NotFoundError: There is no such driver.
        InvalidArgumentError: It has no such option, or not with this value.
    """
    driver = driver or "json-file"
    if driver not in DRIVERS:
        raise NotFoundError(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for name in options:
        if name not in DRIVERS[driver]:
            where = "log driver local" if driver == "local" else f"{driver} log driver"
            raise InvalidArgumentError(f"unknown log opt '{name}' for {where}")
    _mode(options)
    try:
        return _local(options) if driver == "local" else _bounds(options)
    except ValueError as error:
        raise InvalidArgumentError(f"failed to initialize logging driver: {error}") from None


def _mode(options: Mapping[str, str]) -> None:
    """Check how a full log is met; a container here always waits, so that nothing it says is lost."""
    mode = options.get("mode", "")
    if mode not in {"", "blocking", "non-blocking"}:
        raise InvalidArgumentError(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgumentError("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            _bytes(options["max-buffer-size"])
        except ValueError as error:
            raise InvalidArgumentError(
                f"logger: error parsing option max-buffer-size: {options['max-buffer-size']}: {error}"
            ) from None


def _bounds(options: Mapping[str, str]) -> Bounds:
    size = _bytes(options["max-size"]) if "max-size" in options else None
    if size == 0:
        raise ValueError("max-size must be a positive number")
    files = _number(options.get("max-file", "1"))
    if files < 1:
        raise ValueError("max-file cannot be less than 1")
    if _boolean(options.get("compress", "false")) and (files < 2 or size is None):
        raise ValueError("compress cannot be true when max-file is less than 2 or max-size is not set")
    return Bounds(size or 0, files)


def _local(options: Mapping[str, str]) -> Bounds:
    wanted = {**_LOCAL, **options}
    what = f"invalid value for max-size: {wanted['max-size']}"
    try:
        size = _bytes(wanted["max-size"])
        what = f"invalid value for max-file: {wanted['max-file']}"
        files = _number(wanted["max-file"])
        what = "error reading compress log option"
        packed = _boolean(wanted["compress"])
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if packed and files <= 1:
        raise ValueError("compression cannot be enabled when max file count is 1")
    if files < 1:
        raise ValueError("max file count cannot be less than 1")
    return Bounds(size, files)


def _bytes(text: str) -> int:
    low = text.lower().removesuffix("b").removesuffix("i")
    number, unit = (low[:-1], low[-1:]) if low[-1:] in _UNITS else (low, "")
    number = number.removesuffix(" ")
    if not number.replace(".", "", 1).isdigit() or not number.isascii() or number[0] == "." or number[-1] == ".":
        raise ValueError(f"invalid size: '{text}'")
    return int(float(number) * _UNITS.get(unit, 1))


def _number(text: str) -> int:
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _BOOLEANS[text]
