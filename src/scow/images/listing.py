# SPDX-License-Identifier: Apache-2.0
"""Choosing and listing images: docker's filters, one row for each name.

Source: docker CLI reference, "docker image ls" and "docker image prune", filtering; moby daemon/images, "Images".
"""

from __future__ import annotations

import re

from scow import jsontext
from scow.base.clock import now, parse_moment
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.reference import Reference

_TRUE, _FALSE = frozenset({"1", "true"}), frozenset({"0", "false"})
NONE = "<none>"
_LIST_FILTERS = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})
_PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})


Check: TypeAlias = "Callable[[ImageRecord], bool]"


class InvalidFilterError(InvalidArgumentError):
    """A filter is unknown or its value makes no sense."""

    code = "invalid-filter"


class Listed(NamedTuple):
    """One image with the names that were asked for.

    Args:
        record: The image.
        names: Its tags.
        digests: Its repo digests.
    """

    record: ImageRecord
    names: tuple[Reference, ...]
    digests: tuple[Reference, ...]


class Row(NamedTuple):
    """One line of ``docker images``.

    Args:
        record: The image.
        repository: Or ``<none>``.
        tag: Or ``<none>``.
        digest: Or ``<none>``, or ``""`` when digests were not asked for and there is no tag.
    """

    record: ImageRecord
    repository: str
    tag: str
    digest: str


def list_images(images: ImageStore, filters: Iterable[tuple[str, str]] = (), *, every: bool = False) -> list[Listed]:
    """List images, the newest first.

    Args:
        images: The store.
        filters: Names and values: ``dangling``, ``label``, ``before``, ``since``, ``reference``, ``until``.
        every: Nameless images that others were made on, too.

    Returns:
        The images; with a ``reference`` filter only the names that match.

    Raises:
        InvalidFilterError: A filter is unknown or its value makes no sense.
        ImageNotFoundError: ``before`` or ``since`` names no image.
    """
    given = list(filters)
    wanted = _predicate(given, _LIST_FILTERS, images)
    dangling = _flag(given, "dangling")
    patterns = [path_pattern(value) for name, value in given if name == "reference"]
    names, digests = images.all_names(), images.all_digests()
    parents = {record.parent for record in images}
    found = []
    for record in images:
        if not wanted(record):
            continue
        item = Listed(
            record, _matching(names.get(record.id, ()), patterns), _matching(digests.get(record.id, ()), patterns)
        )
        if not item.names and not item.digests:
            if patterns or dangling is False or (record.id in parents and not every):
                continue
        elif dangling and item.names:
            continue
        found.append(item)
    return found


def rows(listed: Iterable[Listed], *, digests: bool = False) -> list[Row]:
    """Make one row for each name.

    Args:
        listed: The images.
        digests: One row for each repo digest of a name too.

    Returns:
        The rows.
    """
    found: list[Row] = []
    for record, names, repo_digests in listed:
        by_repository: dict[str, list[str]] = {}
        for ref in repo_digests:
            by_repository.setdefault(ref.familiar_repository, []).append(ref.digest or "")
        seen = {ref.familiar_repository for ref in names}
        for ref in names:
            repository, tag = ref.familiar_repository, ref.tag or NONE
            shown = by_repository.get(repository, []) if digests else []
            found += [Row(record, repository, tag, digest) for digest in shown or [NONE]]
        for repository, values in by_repository.items():
            if repository not in seen:
                found += [Row(record, repository, NONE, digest) for digest in (values if digests else [""])]
        if not names and not repo_digests:
            found.append(Row(record, NONE, NONE, NONE))
    return found


def prune_filter(
    images: ImageStore, filters: Iterable[tuple[str, str]]
) -> tuple[bool | None, Callable[[ImageRecord], bool]]:
    """Read the filters of ``image prune``.

    Args:
        images: The store.
        filters: Names and values: ``dangling``, ``label``, ``label!``, ``until``.

    Returns:
        What ``dangling`` says, ``None`` when absent; and which images may go.

    Raises:
        InvalidFilterError: A filter is unknown or its value makes no sense.
    """
    given = list(filters)
    return _flag(given, "dangling"), _predicate(given, _PRUNE_FILTERS, images)


def _predicate(given: Sequence[tuple[str, str]], known: frozenset[str], images: ImageStore) -> Check:
    at = now()
    checks = []
    for name, value in given:
        if name not in known:
            raise InvalidFilterError(f"invalid filter '{name}'", hint=f"Known filters: {', '.join(sorted(known))}.")
        checks.append(_check(images, name, value, at))
    return lambda record: all(check(record) for check in checks)


def _check(images: ImageStore, name: str, value: str, at: float) -> Check:
    if name == "label":
        return _with_label(value)
    if name == "label!":
        has = _with_label(value)
        return lambda record: not has(record)
    if name == "until":
        limit = parse_moment(value, at)
        return lambda record: record.created < limit
    if name in ("before", "since"):
        place = _place(images.resolve(value))
        if name == "before":
            return lambda record: _place(record) < place
        return lambda record: _place(record) > place
    return lambda _record: True


def _place(record: ImageRecord) -> tuple[float, float]:
    """Where an image stands in time: many have the same time, being built from the same (ADR 0014)."""
    return record.created, record.added


def _with_label(text: str) -> Check:
    key, equals, value = text.partition("=")

    def check(record: ImageRecord) -> bool:
        labels = jsontext.loads(record.labels)
        return key in labels and (not equals or labels[key] == value)

    return check


def _flag(given: Sequence[tuple[str, str]], name: str) -> bool | None:
    values = [value for key, value in given if key == name]
    if not values:
        return None
    true, false = not _TRUE.isdisjoint(values), not _FALSE.isdisjoint(values)
    if true == false:  # neither, or both
        raise InvalidFilterError(f"invalid filter '{name}=[{' '.join(values)}]'")
    return true


def _matching(references: Iterable[Reference], patterns: Sequence[re.Pattern[str]]) -> tuple[Reference, ...]:
    if not patterns:
        return tuple(references)
    return tuple(
        ref
        for ref in references
        if any(pattern.fullmatch(ref.familiar) or pattern.fullmatch(ref.familiar_repository) for pattern in patterns)
    )


def path_pattern(text: str) -> re.Pattern[str]:
    """Translate a pattern of Go's path.Match: ``*`` and ``?`` stop at slashes.

    Raises:
        InvalidFilterError: It is none, in docker's words.
    """
    out, at = [], 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\" and at < len(text):
            out.append(re.escape(text[at]))
            at += 1
        elif char == "[" and (end := text.find("]", at + 1)) > 0:
            body = text[at:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[{body}]")
            at = end + 1
        elif char in "[\\":
            raise InvalidFilterError(
                "syntax error in pattern", hint=f"Nothing closes or follows the {char} in {text!r}."
            )
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out))
    except re.error as error:
        raise InvalidFilterError("syntax error in pattern", hint=f"{text!r}: {error}.") from error
