# SPDX-License-Identifier: Apache-2.0
"""Normalise and match platforms.

Source: OCI image-spec v1.1, image-index.md ("platform"); containerd's normalisation, which docker follows.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.oci.model import Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "armhf": "arm",
    "armel": "arm",
    "armv7l": "arm",
    "armv6l": "arm",
    "loongarch64": "loong64",
}
_VARIANTS = {"armhf": "v7", "armv7l": "v7", "armel": "v6", "armv6l": "v6"}
_OSES = {"macos": "darwin"}
_KNOWN_OS = frozenset(
    {"aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd"}
    | {"plan9", "solaris", "windows", "zos", "wasip1"}
)


_KNOWN_ARCHITECTURES = frozenset(
    {"386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le"}
    | {"mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64"}
    | {"wasm"}
)
"""What a word alone may name besides a system. Source: Go, internal/syslist."""


_LOOKS_LIKE = "A platform looks like linux/amd64 or linux/arm/v7."


class InvalidPlatformError(InvalidArgumentError):
    """The text is not a platform."""

    code = "invalid-platform"


def parse_platform(text: str, default: Platform | None = None) -> Platform:
    """Parse ``os``, ``arch``, ``os/arch`` or ``os/arch/variant``.

    Args:
        text: What the user typed, such as ``linux/arm64/v8`` or ``arm64``.
        default: Fills in what is left out; linux/amd64 when not given.

    Raises:
        InvalidPlatformError: It has another shape, or a word alone names neither a system nor an architecture.
    """
    default = default or Platform()
    parts = text.strip().lower().split("/")
    allowed = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-()")
    if not 1 <= len(parts) <= 3 or not all(part and allowed.issuperset(part) for part in parts):
        raise InvalidPlatformError(f'"{text}": cannot parse platform specifier: invalid argument', hint=_LOOKS_LIKE)
    if len(parts) == 1:
        name = _OSES.get(parts[0], parts[0])
        if name in _KNOWN_OS:
            return Platform(name, default.architecture, default.variant)
        found = normalize(Platform(default.os, parts[0]))
        if found.architecture not in _KNOWN_ARCHITECTURES:
            raise InvalidPlatformError(
                f'"{text}": unknown operating system or architecture: invalid argument', hint=_LOOKS_LIKE
            )
        return found
    return normalize(Platform(parts[0], parts[1], parts[2] if len(parts) == 3 else ""))


def normalize(platform: Platform) -> Platform:
    """Spell a platform the one way that matching uses."""
    name = _OSES.get(platform.os.lower(), platform.os.lower())
    architecture = platform.architecture.lower()
    variant = platform.variant.lower() or _VARIANTS.get(architecture, "")
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm64" and variant in {"8", "v8"}:
        variant = ""
    elif architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    elif architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(name, architecture, variant, platform.os_version, platform.os_features, platform.extra)


def host_platform(machine: str) -> Platform:
    """The platform of a Linux host.

    Args:
        machine: As ``uname -m`` prints it.
    """
    return normalize(Platform("linux", machine))


def score(wanted: Platform, offered: Platform) -> int:
    """How well ``offered`` serves ``wanted``: 0 not at all, higher is better.

    An arm/v7 machine also runs arm/v6 and v5 images, an arm64 one 32-bit arm, amd64/v3 also v2 and plain.
    """
    want, have = normalize(wanted), normalize(offered)
    if want.os != have.os:
        return 0
    if want.architecture == have.architecture:
        return _variant_score(want, have)
    if want.architecture == "arm64" and have.architecture == "arm":
        return _variant_score(Platform(want.os, "arm", "v8"), have) // 2
    if want.architecture == "amd64" and have.architecture == "386":
        return 1
    return 0


def _variant_score(want: Platform, have: Platform) -> int:
    if want.variant == have.variant:
        return 100
    levels = {f"v{n}": n for n in range(1, 10)}
    low = 1 if want.architecture == "amd64" else 8 if want.architecture == "arm64" else 7
    wanted = levels.get(want.variant, low if not want.variant else 0)
    offered = levels.get(have.variant, low if not have.variant else 0)
    if not wanted or not offered or offered > wanted:
        return 0
    return 90 - 5 * (wanted - offered)
