# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.stores import Store
from scow.build.cache import BuildCache
from scow.build.context import ContextTree
from scow.build.copying import CopySource
from scow.build.explaining import explain
from scow.build.graph import Vertex, definition_key
from scow.build.ops.values import BaseOp, CopyOp, CopyPart, RunOp
from scow.build.origins import ContextOrigin
from scow.build.recording import Recorder


class Solved:
    """What a record needs to know of a solver."""

    def __init__(self, vertices, outcome="run"):
        self.keys = {}
        self.outcomes = {}
        self._definitions = {}
        for vertex in vertices:
            definition = vertex.op.definition()
            below = self.keys[vertex.below] if vertex.below is not None else ""
            self._definitions[vertex] = definition
            self.keys[vertex] = definition_key(definition, below, [self.keys[read] for read in vertex.reads])
            self.outcomes[vertex] = outcome

    def definition(self, vertex):
        return self._definitions[vertex]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


@pytest.fixture
def recorder(store):
    return Recorder(store.db, BuildCache(store.db, store.content, store.leases, 1 << 30), "place")


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "ctx"
    for name in ("a", "d/b", "d/e/c"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    return top


def plan(root, source="/", env=(), excludes=(), wildcards=False):
    origin = ContextOrigin("the build context", lambda: ContextTree(str(root)))
    base = Vertex(BaseOp("debian", "sha256:1", None, 0), None, title="[1/3] FROM debian")
    part = CopyPart(origin, CopySource(source, wildcards=wildcards))
    copy = Vertex(CopyOp((part,), "/", excludes=excludes), base, title="[2/3] COPY . /")
    run = Vertex(RunOp(("make",), tuple(env), "/", ""), copy, title="[3/3] RUN make")
    return [base, copy, run]


def build(recorder, vertices, outcome="run"):
    before = recorder.last()
    record = recorder.make(vertices, Solved(vertices, outcome), (), before)
    recorder.keep(record)
    return explain(record, before, recorder.files)


def test_a_changed_file_is_named_by_the_next_build(recorder, root):
    build(recorder, plan(root))
    (root / "d/e/c").write_text("other")
    (root / "d/new").write_text("")
    found = build(recorder, plan(root))
    assert found[1].reasons == ("2 files changed: d/e/c (content), d/new (new)",)
    assert found[2].reasons == ("the step before it changed: [2/3] COPY . /",)


def test_only_directories_that_changed_are_written(recorder, root, store):
    def rows():
        with store.db.read() as connection:
            return connection.execute("SELECT COUNT(*) FROM build_folders").fetchone()[0]

    build(recorder, plan(root))
    assert rows() == 3
    build(recorder, plan(root))
    assert rows() == 3
    (root / "d/e/c").write_text("other")
    build(recorder, plan(root))
    assert rows() == 4


def test_patterns_and_exclusions(recorder, root):
    build(recorder, plan(root, excludes=("**/b",)))
    (root / "d/b").write_text("ignored")
    (root / "d/e/c").write_text("seen")
    assert build(recorder, plan(root, excludes=("**/b",)))[1].reasons == ("1 file changed: d/e/c (content)",)
    build(recorder, plan(root, "/[a-c]", wildcards=True))
    (root / "a").write_text("seen")
    again = build(recorder, plan(root, "/[a-c]", wildcards=True))
    assert again[1].reasons == ("1 file changed: a (content)",)


def test_secrets_in_variables_are_neither_kept_nor_shown(recorder, root, store):
    build(recorder, plan(root, env=["API_TOKEN=hunter2", "MODE=x"]))
    found = build(recorder, plan(root, env=["API_TOKEN=hunter3", "MODE=x"]))
    (said,) = found[2].reasons
    assert said.startswith('the variable API_TOKEN changed: "(hidden, ')
    with store.db.read() as connection:
        kept = "".join(row[0] for row in connection.execute("SELECT detail FROM build_steps"))
    assert "hunter" not in kept
    assert "MODE=x" in kept


def test_the_last_build_is_recognised(recorder, root):
    vertices = plan(root)
    assert not recorder.is_last(vertices, Solved(vertices, "cached"))
    build(recorder, vertices)
    assert recorder.is_last(vertices, Solved(vertices, "cached"))
    assert not recorder.is_last(vertices, Solved(vertices, "run"))
    other = plan(root, env=["A=1"])
    assert not recorder.is_last(other, Solved(other, "cached"))
    # a build that failed before its last steps had keys
    assert not recorder.is_last(vertices, Solved(vertices[:2], "cached"))


def test_steps_that_nobody_looked_at_are_left_out(recorder, root):
    vertices = plan(root)
    solver = Solved(vertices[:2])
    assert [step["title"] for step in recorder.make(vertices, solver, (), None)["steps"]] == [
        "[1/3] FROM debian",
        "[2/3] COPY . /",
    ]


def test_forgotten_directories(recorder):
    assert recorder.files("nothing") is None
