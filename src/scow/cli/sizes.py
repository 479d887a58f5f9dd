# SPDX-License-Identifier: Apache-2.0
"""Sizes and spans of time for people, spelled as docker spells them.

Source: docker/go-units, HumanSize, BytesSize and HumanDuration.
"""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def human_size(size: float, precision: int = 4) -> str:
    """Write a size in bytes with decimal units: ``1.23MB``.

    Args:
        size: In bytes.
        precision: Significant digits; docker uses 3 in lists of images and containers, 4 elsewhere.
    """
    return _size(size, 1000, _DECIMAL, precision)


def binary_size(size: float, precision: int = 4) -> str:
    """Write a size in bytes with binary units: ``1.5MiB``."""
    return _size(size, 1024, _BINARY, precision)


def _size(size: float, base: int, units: tuple[str, ...], precision: int) -> str:
    step = 0
    value = float(size)
    while value >= base and step < len(units) - 1:
        value /= base
        step += 1
    return f"{value:.{precision}g}{units[step]}"


def human_duration(seconds: float) -> str:
    """Write a span of time roughly: ``2 minutes``, ``About an hour``.

    Args:
        seconds: The span.
    """
    if seconds < 1:
        return "Less than a second"
    whole = int(seconds)
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    if hours < 24 * 7 * 2:
        return f"{days} days"
    if hours < 24 * 30 * 2:
        return f"{days // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{days // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def human_age(then: float, now: float) -> str:
    """Write how long ago something was: ``2 minutes ago``.

    Args:
        then: Seconds since the epoch, UTC.
        now: The same, for the present.
    """
    return human_duration(now - then) + " ago"
