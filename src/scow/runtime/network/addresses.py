# SPDX-License-Identifier: Apache-2.0
"""IPv4 addresses and networks as numbers. Pure, and cheaper to load than the standard library's."""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.typing import NamedTuple

POOLS = tuple(f"172.{second}.0.0/16" for second in range(17, 32)) + tuple(
    f"192.168.{third}.0/20" for third in range(0, 256, 16)
)
"""Where networks that name no subnet lie; docker's own list."""


def to_number(text: str) -> int:
    """Read an address.

    Raises:
        InvalidArgumentError: It is not four numbers from 0 to 255.
    """
    parts = text.split(".")
    value = 0
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > 3 or int(part) > 255 or len(parts) != 4:
            raise InvalidArgumentError(f"invalid IP address: {text}")
        value = value << 8 | int(part)
    return value


def to_text(number: int) -> str:
    """Write an address."""
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


class Subnet(NamedTuple):
    """A network.

    Args:
        first: Its own address, a number.
        prefix: Length of the prefix.
    """

    first: int
    prefix: int

    @classmethod
    def parse(cls, text: str) -> Subnet:
        """Read ``10.0.0.0/8``; bits behind the prefix are dropped.

        Raises:
            InvalidArgumentError: Malformed.
        """
        address, slash, length = text.partition("/")
        if not slash or not (length.isascii() and length.isdigit()) or int(length) > 32:
            raise InvalidArgumentError(f"invalid CIDR address: {text}")
        prefix = int(length)
        return cls(to_number(address) >> (32 - prefix) << (32 - prefix), prefix)

    def __str__(self) -> str:
        return f"{to_text(self.first)}/{self.prefix}"

    @property
    def last(self) -> int:
        """Its broadcast address, a number."""
        return self.first | (1 << (32 - self.prefix)) - 1

    def holds(self, number: int) -> bool:
        """Whether an address lies in it."""
        return self.first <= number <= self.last

    def overlaps(self, other: Subnet) -> bool:
        """Whether they share an address."""
        return self.first <= other.last and other.first <= self.last


def mac_of(number: int) -> str:
    """The hardware address that goes with an address, as docker derives it."""
    return "02:42:" + ":".join(f"{number >> shift & 255:02x}" for shift in (24, 16, 8, 0))


def mac_bytes(text: str) -> bytes:
    """Read a hardware address.

    Raises:
        InvalidArgumentError: It is not six bytes in hexadecimal.
    """
    try:
        value = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        value = b""
    if len(value) != 6:
        raise InvalidArgumentError(f"invalid MAC address: {text}")
    return value
