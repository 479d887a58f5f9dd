# SPDX-License-Identifier: Apache-2.0
"""Where this host's apt takes packages from, so that a base image is made from the same mirrors.

Source: sources.list(5), both formats.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AptSource:
    """One archive.

    Attributes:
        uri: Where it is.
        suites: Such as ``bookworm``.
        components: Such as ``main``.
        signed_by: File with its keys, or ``""``.
    """

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    signed_by: str = ""


def read_sources(directory: str = "/etc/apt") -> list[AptSource]:
    """Read all sources of a host; files that cannot be read are left out.

    Args:
        directory: Where ``sources.list`` and ``sources.list.d`` are.

    Returns:
        Enabled binary sources in apt's order.
    """
    found = parse_list(_text(os.path.join(directory, "sources.list")))
    parts = os.path.join(directory, "sources.list.d")
    try:
        names = sorted(os.listdir(parts))
    except OSError:
        names = []
    for name in names:
        if name.endswith(".list"):
            found += parse_list(_text(os.path.join(parts, name)))
        elif name.endswith(".sources"):
            found += parse_deb822(_text(os.path.join(parts, name)))
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def parse_list(text: str) -> list[AptSource]:
    """Read the one-line format."""
    found = []
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line.startswith("deb "):
            continue
        rest = line[4:].strip()
        options: dict[str, str] = {}
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            options = {
                key.lower(): value for key, equals, value in (word.partition("=") for word in inside.split()) if equals
            }
        fields = rest.split()
        if len(fields) >= 2:
            found.append(AptSource(fields[0], (fields[1],), tuple(fields[2:]), options.get("signed-by", "")))
    return found


def parse_deb822(text: str) -> list[AptSource]:
    """Read the format with fields and stanzas."""
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields[key] = fields.get(key, "") + "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        signed_by = fields.get("signed-by", "")
        keys = signed_by if signed_by.startswith("/") else ""
        found += [
            AptSource(uri, tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split()), keys)
            for uri in fields.get("uris", "").split()
        ]
    return found


def find_source(sources: list[AptSource], distribution: str, suite: str) -> AptSource | None:
    """Pick the archive for a suite.

    Args:
        sources: What the host uses.
        distribution: Such as ``debian``.
        suite: Such as ``bookworm``.

    Returns:
        One that has the suite, else one whose path is the distribution's, as every mirror has all suites.
    """
    usable = [source for source in sources if source.uri.partition(":")[0] in {"http", "https", "file"}]
    for source in usable:
        if suite in source.suites:
            return source
    for source in usable:
        if source.uri.rstrip("/").rpartition("/")[2] == distribution:
            return source
    return None
