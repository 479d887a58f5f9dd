# SPDX-License-Identifier: Apache-2.0
"""Why steps ran or came from the cache: the difference between two records of the same Dockerfile, in sentences."""

from __future__ import annotations

import re

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final

    from scow.build.recording import Record

    Step = dict[str, Any]
    Files = Callable[[str], dict[str, str] | None]

_SHOWN = 5
"""Changed files that are named; the rest is counted."""
_WIDTH = 80
_TITLE: Final = re.compile(r"\[(.*?)\s*\d+/\d+\] (.*)", re.DOTALL)
_WORDS: Final = {
    "cwd": "the working directory",
    "user": "the user",
    "network": "the network mode",
    "insecure": "--security",
    "files": "the here-document",
    "hosts": "--add-host",
    "hostname": "the host name",
    "volumes": "--volume",
    "target": "the destination",
    "chown": "--chown",
    "chmod": "--chmod",
    "excludes": "--exclude",
    "path": "the path",
    "serialiser": "the way scow writes layers",
}
_OUTCOMES: Final = {
    "cached": "CACHED",
    "result": "CACHED",
    "content": "CACHED",
    "run": "RUN",
    "failed": "FAILED",
    "": "SKIPPED",
}


class Explained(NamedTuple):
    """One step and why it came about as it did.

    Attributes:
        title: The step, such as ``[2/4] RUN make``.
        outcome: ``BASE``, ``CACHED``, ``RUN``, ``FAILED``, or ``SKIPPED`` when nobody needed it.
        reasons: Sentences.
        line: Its first line in the Dockerfile; 0 when it has none.
    """

    title: str
    outcome: str
    reasons: tuple[str, ...]
    line: int


def explain(now: Record, before: Record | None, files: Files) -> list[Explained]:
    """Explain every step of a build.

    Args:
        now: Its record.
        before: The record of the build before it, if there was one.
        files: The files of a directory by its digest.
    """
    old = _pair(now["steps"], before["steps"] if before is not None else [])
    titles = {step["key"]: step["title"] for step in now["steps"]}
    out: list[Explained] = []
    for step, previous in zip(now["steps"], old, strict=True):
        reasons = list(_reasons(step, previous, _Context(before, titles, now["args"], files)))
        outcome = _OUTCOMES.get(step["outcome"], step["outcome"])
        if step["definition"]["op"] == "base":
            outcome = "BASE"
        out.append(Explained(step["title"], outcome, tuple(reasons), step["lines"][0]))
    return out


def render(steps: Sequence[Explained]) -> list[str]:
    """Explanations as lines for a terminal."""
    out: list[str] = []
    for step in steps:
        out.append(f"{step.outcome:<8} {_brief(step.title, quote=False, width=110)}")
        out += [f"         - {reason}" for reason in step.reasons]
    return out


class _Context(NamedTuple):
    """What reasons are found with."""

    before: Record | None
    titles: dict[str, str]
    args: Sequence[str]
    files: Files


# ---------------------------------------------------------------------- which step was which


def _split(step: Step) -> tuple[str, str]:
    """Stage and instruction of a title."""
    found = _TITLE.fullmatch(step["title"])
    return (found[1], found[2]) if found is not None else ("", step["title"])


def _pair(now: Sequence[Step], before: Sequence[Step]) -> list[Step | None]:
    """Find for each step the one that it was in the last build: same stage and text, else same stage and place.

    A step whose neighbours are known has its place between them, so that a line put in above moves nothing.
    """
    waiting: dict[tuple[str, str], list[int]] = {}
    for index, step in enumerate(before):
        waiting.setdefault(_split(step), []).append(index)
    out: list[int] = []
    for step in now:
        same = waiting.get(_split(step))
        out.append(same.pop(0) if same else -1)
    used = set(out)
    for at, step in enumerate(now):
        if out[at] >= 0:
            continue
        candidate = out[at - 1] + 1 if at and out[at - 1] >= 0 else 0
        if candidate < len(before) and candidate not in used:
            other = before[candidate]
            if _split(other)[0] == _split(step)[0] and other["definition"]["op"] == step["definition"]["op"]:
                out[at] = candidate
                used.add(candidate)
    return [before[index] if index >= 0 else None for index in out]


# ---------------------------------------------------------------------- why


def _reasons(step: Step, old: Step | None, context: _Context) -> Iterator[str]:
    outcome = step["outcome"]
    if step["definition"]["op"] == "base":
        yield from _of_base(step, old)
        return
    if not outcome:
        return
    if outcome == "cached":
        if old is None or old["key"] == step["key"]:
            yield "nothing that it depends on changed"
        else:
            yield "it is not as in the last build, but as in an earlier one"
        return
    changes = list(_changes(step, old, context)) if old is not None else []
    if outcome in ("result", "content"):
        yield from changes
        same = "the files that it copies are the same" if outcome == "content" else "the layers below are the same"
        yield f"but {same}, so its result is too" if changes else same
    elif step["fresh"]:
        yield "the cache was not to be used for it (--no-cache or --no-cache-filter)"
        yield from changes
    elif context.before is None:
        yield "no earlier build of this Dockerfile is known here"
    elif old is None:
        yield "the instruction is new"
    elif changes:
        yield from changes
    elif any(other["outcome"] == "failed" for other in context.before["steps"]) and old["outcome"] in ("", "failed"):
        yield "nothing changed, but the last build did not finish it"
    else:
        yield "nothing changed, but its result is not in the cache any more (size limit or builder prune)"


def _of_base(step: Step, old: Step | None) -> Iterator[str]:
    now = step["definition"]
    if old is not None and old["definition"].get("chain") != now.get("chain"):
        was = old["definition"]
        if was.get("name") != now.get("name"):
            yield f"the base image is another one: it was {was.get('name')}"
        else:
            ids = f"{was.get('image', '')[:19]} -> {now.get('image', '')[:19]}"
            yield f"the base image {now.get('name')} changed: {ids}"


def _changes(step: Step, old: Step, context: _Context) -> Iterator[str]:
    """What is different from the last build."""
    if step["below"] != old["below"]:
        yield _blame("the step before it changed", context.titles.get(step["below"], ""))
    for index, read in enumerate(step["reads"]):
        if old["reads"][index : index + 1] != [read]:
            yield _blame("the stage that it reads changed", context.titles.get(read, ""))
    was, now = old["definition"], step["definition"]
    for name in sorted({*was, *now}):
        if was.get(name) == now.get(name) or name in ("labels", "op"):
            continue
        if name == "env":
            yield from _variables(was.get("env", []), now.get("env", []), context.args)
        elif name in ("parts", "mounts"):
            yield from _sources(step, old, name, context.files)
        elif name == "args":
            yield f"the instruction changed; it was {_brief(_split(old)[1])}"
        else:
            yield f"{_WORDS.get(name, name)} changed: {_brief(was.get(name))} -> {_brief(now.get(name))}"


def _blame(what: str, cause: str) -> str:
    return f"{what}: {_brief(cause, quote=False)}" if cause else what


def _brief(value: Any, *, quote: bool = True, width: int = _WIDTH) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    text = text if len(text) <= width else text[: width - 1] + "…"
    return f'"{text}"' if quote and isinstance(value, str) else text


def _variables(was: Sequence[str], now: Sequence[str], args: Sequence[str]) -> Iterator[str]:
    before = dict(entry.partition("=")[::2] for entry in was)
    after = dict(entry.partition("=")[::2] for entry in now)
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        by = " (set by --build-arg)" if name in args else ""
        if name not in before:
            yield f"the variable {name} is new: {_brief(after[name])}{by}"
        elif name not in after:
            yield f"the variable {name} is gone; it was {_brief(before[name])}"
        else:
            yield f"the variable {name} changed: {_brief(before[name])} -> {_brief(after[name])}{by}"


# ---------------------------------------------------------------------- files

_CONTENT: Final = {"parts": 1, "mounts": 11}
"""Where in the definition of a source or mount the digest of its files is."""


def _sources(step: Step, old: Step, name: str, files: Files) -> Iterator[str]:
    """What changed in what COPY, ADD or a mount takes."""
    was, now = old["definition"].get(name, []), step["definition"].get(name, [])
    at = _CONTENT[name]
    if [[*part[:at], *part[at + 1 :]] for part in was] != [[*part[:at], *part[at + 1 :]] for part in now]:
        if name == "mounts":
            yield "--mount changed"
        else:
            told = [" ".join(part[0][0] for part in parts) for parts in (was, now)]
            yield f"the sources changed: {_brief(told[0])} -> {_brief(told[1])}"
        return
    labels = step["definition"].get("labels", [])
    for index, part in enumerate(now):
        if part[at] == was[index][at]:
            continue
        before, after = _listed(old, index), _listed(step, index)
        if before is None or after is None:
            label = labels[index] if index < len(labels) else ""
            yield f"the content of {label or 'a source'} changed"
        else:
            yield from _differing(before, after, files)


def _listed(step: Step, index: int) -> dict[str, dict[str, str]] | None:
    found = step["files"]
    return found[index] if index < len(found) else None


def _differing(was: dict[str, dict[str, str]], now: dict[str, dict[str, str]], files: Files) -> Iterator[str]:
    before, after = dict(was["files"]), dict(now["files"])
    vague: list[str] = []
    for folder in sorted({*was["folders"], *now["folders"]}):
        old, new = was["folders"].get(folder), now["folders"].get(folder)
        if old == new:
            continue
        left = files(old) if old is not None else {}
        right = files(new) if new is not None else {}
        above = f"{folder}/" if folder else ""
        if left is None or right is None:
            vague.append(above or "the context")
            continue
        before.update((above + name, mark) for name, mark in left.items())
        after.update((above + name, mark) for name, mark in right.items())
        if not left and not right:
            (before if new is None else after)[above] = ""
    changed = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    if changed:
        named = ", ".join(f"{_brief(path, quote=False)} ({_how(before, after, path)})" for path in changed[:_SHOWN])
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        yield f"{len(changed)} file{'s' if len(changed) > 1 else ''} changed: {named}{more}"
    for folder in vague:
        yield f"files in {folder} changed"
    if not changed and not vague:
        yield "modes of directories changed"


def _how(before: dict[str, str], after: dict[str, str], path: str) -> str:
    if path not in before:
        return "new"
    if path not in after:
        return "removed"
    old_mode, _, old_content = before[path].partition(" ")
    new_mode, _, new_content = after[path].partition(" ")
    if old_content != new_content:
        return "content"
    return f"mode {int(old_mode, 8) & 0o7777:04o} -> {int(new_mode, 8) & 0o7777:04o}"
