# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.explaining import explain, render

COPY = {"op": "copy", "target": "/", "parts": [[["/src"], "old"]], "labels": ["the build context"]}
RUN = {"op": "run", "args": ["/bin/sh", "-c", "make"], "env": ["A=1", "B=2"], "cwd": "/", "mounts": []}
BASE = {"op": "base", "chain": "sha256:aa", "name": "debian:12", "image": "sha256:1111"}


def step(title, key, definition=RUN, **more):
    return {
        "title": title,
        "lines": [3, 3],
        "key": key,
        "below": "base",
        "reads": [],
        "outcome": "run",
        "fresh": False,
        "definition": definition,
        "files": [],
        **more,
    }


def record(*steps, args=()):
    return {"time": 1.0, "args": list(args), "steps": list(steps)}


def reasons(now, before, files=None, **more):
    found = explain(record(now, **more), record(before) if before else None, (files or {}).get)
    return list(found[-1].reasons)


def test_the_first_build():
    assert reasons(step("[1/1] RUN make", "k"), None) == ["no earlier build of this Dockerfile is known here"]


def test_variables():
    old = step("[1/1] RUN make", "old")
    new = step("[1/1] RUN make", "new", {**RUN, "env": ["B=3", "C=x"]})
    assert reasons(new, old, args=["B"]) == [
        'the variable A is gone; it was "1"',
        'the variable B changed: "2" -> "3" (set by --build-arg)',
        'the variable C is new: "x"',
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cwd": "/app"}, 'the working directory changed: "/" -> "/app"'),
        ({"args": ["/bin/sh", "-c", "make all"]}, 'the instruction changed; it was "RUN make"'),
        ({"mounts": [["cache", "/c", "", False, 0, "id", "", "", 0, 0, 0, "", -1]]}, "--mount changed"),
    ],
)
def test_the_instruction(change, said):
    new = step("[1/1] RUN make all" if "args" in change else "[1/1] RUN make", "new", {**RUN, **change})
    assert reasons(new, step("[1/1] RUN make", "old")) == [said]


def test_files_are_named_by_what_happened_to_them():
    folders = {
        "t1": {"a": "100644 x", "b": "100644 x", "gone": "100644 x", "same": "100644 x"},
        "t2": {"a": "100644 y", "b": "100600 x", "same": "100644 x", "new": "100644 x"},
    }
    old = step("[1/1] COPY src /", "o", COPY, files=[{"folders": {"src": "t1", "src/d": "t9"}, "files": {}}])
    new = step(
        "[1/1] COPY src /",
        "n",
        {**COPY, "parts": [[["/src"], "new"]]},
        files=[{"folders": {"src": "t2", "src/d": "t9"}, "files": {}}],
    )
    assert reasons(new, old, folders) == [
        "4 files changed: src/a (content), src/b (mode 0644 -> 0600), src/gone (removed), src/new (new)"
    ]


def test_many_files_are_counted_and_forgotten_ones_are_not_invented():
    old = step("[1/1] COPY src /", "o", COPY, files=[{"folders": {"x": "gone"}, "files": {}}])
    part = {**COPY, "parts": [[["/src"], "new"]]}
    many = {f"f{number}": "100644 x" for number in range(9)}
    new = step("[1/1] COPY src /", "n", part, files=[{"folders": {"": "many", "x": "other"}, "files": {}}])
    said = reasons(new, old, {"many": many})
    assert said[0] == "9 files changed: f0 (new), f1 (new), f2 (new), f3 (new), f4 (new) and 4 more"
    assert said[1] == "files in x/ changed"


def test_the_content_of_what_is_no_context():
    definition = {**COPY, "labels": ["https://x.test/f"]}
    old = step("[1/1] ADD f /", "o", definition, files=[None])
    new = step("[1/1] ADD f /", "n", {**definition, "parts": [[["/src"], "new"]]}, files=[None])
    assert reasons(new, old) == ["the content of https://x.test/f changed"]


def test_the_sources():
    old = step("[1/1] COPY src /", "o", COPY, files=[None])
    new = step("[1/1] COPY app /", "n", {**COPY, "parts": [[["/app"], "z"]]}, files=[None])
    assert reasons(new, old) == ['the sources changed: "/src" -> "/app"']


def test_causes_are_named_along_the_chain():
    before = record(step("[1/3] RUN a", "a1"), step("[2/3] RUN b", "b1", below="a1"))
    now = record(
        step("[1/3] RUN a", "a2", {**RUN, "env": ["A=2", "B=2"]}),
        step("[2/3] RUN b", "b2", below="a2"),
        step("[3/3] COPY --from=x f /", "c2", COPY, below="b2", reads=["a2"]),
    )
    found = explain(now, before, {}.get)
    assert found[1].reasons == ("the step before it changed: [1/3] RUN a",)
    assert found[2].reasons == ("the instruction is new",)


def test_a_line_put_in_above_moves_nothing():
    before = record(step("[1/2] RUN a", "a"), step("[2/2] RUN b", "b", below="a"))
    now = record(
        step("[1/3] RUN a", "a", outcome="cached"),
        step("[2/3] RUN new", "n", below="a"),
        step("[3/3] RUN b", "b2", below="n"),
    )
    found = explain(now, before, {}.get)
    assert found[0].reasons == ("nothing that it depends on changed",)
    assert found[1].reasons == ("the instruction is new",)
    assert found[2].reasons == ("the step before it changed: [2/3] RUN new",)


def test_results_found_in_other_ways():
    old, changed = step("[1/1] RUN make", "o"), {**RUN, "env": ["A=1"]}
    content = step("[1/1] RUN make", "n", changed, outcome="content")
    assert reasons(content, old)[-1] == "but the files that it copies are the same, so its result is too"
    result = explain(record(step("[1/1] RUN make", "n", outcome="result")), record(old), {}.get)[0]
    assert result.outcome == "CACHED"
    assert result.reasons == ("the layers below are the same",)
    earlier = step("[1/1] RUN make", "n", changed, outcome="cached")
    assert reasons(earlier, old) == ["it is not as in the last build, but as in an earlier one"]


def test_nothing_changed_and_yet_it_ran():
    same = step("[1/1] RUN make", "k")
    assert "not in the cache any more" in reasons(same, same)[0]
    assert "did not finish" in reasons(same, {**same, "outcome": "failed"})[0]
    assert "--no-cache" in reasons({**same, "fresh": True}, same)[0]


def test_bases():
    old = step("[1/2] FROM debian:12", "o", BASE)
    new = step("[1/2] FROM debian:12", "n", {**BASE, "chain": "sha256:bb", "image": "sha256:2222"})
    assert reasons(new, old) == ["the base image debian:12 changed: sha256:1111 -> sha256:2222"]
    other = step("[1/2] FROM debian:13", "n", {**BASE, "chain": "sha256:bb", "name": "debian:13"})
    assert reasons(other, old) == ["the base image is another one: it was debian:12"]


def test_rendering_keeps_control_characters_from_the_terminal():
    found = explain(record(step("[1/1] RUN printf '\x1b[2J'", "k")), None, {}.get)
    lines = render(found)
    assert lines[0] == "RUN      [1/1] RUN printf '?[2J'"
    assert lines[1].startswith("         - ")
