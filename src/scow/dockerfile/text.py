# SPDX-License-Identifier: Apache-2.0
"""What counts as white space, and as true, where the Dockerfile's grammar was written down: in Go."""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final


SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters with Unicode's White_Space property. ``str.strip()`` would take U+001C to U+001F too."""

TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""What a switch can be set to. Source: Go strconv, ParseBool."""

_SPACE_SET: Final = frozenset(SPACES)


def is_space(char: str) -> bool:
    """Whether the character is white space."""
    return char in _SPACE_SET


def trim(text: str) -> str:
    """The text without white space at its ends."""
    return text.strip(SPACES)
