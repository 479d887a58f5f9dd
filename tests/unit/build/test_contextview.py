# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.contextview import ContextView


@pytest.fixture
def root(tmp_path):
    for name, data in {
        "Dockerfile": "ARG DIR=src\nFROM scratch AS one\nCOPY ${DIR} /src\nFROM scratch\nCOPY --from=one /src /\nADD docs/*.md /\n",
        ".dockerignore": "# comment\n*.log\nnode_modules\n!keep.log\n",
        "src/a": "12345",
        "src/deep/b": "123",
        "docs/x.md": "1",
        "docs/y.txt": "22",
        "debug.log": "x" * 50,
        "keep.log": "k",
        "node_modules/m": "x" * 1000,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    return tmp_path


def test_files_are_what_a_build_sees(root):
    names = [name for name, _ in ContextView(str(root)).files()]
    assert names == [
        ".dockerignore", "Dockerfile", "docs", "docs/x.md", "docs/y.txt", "keep.log", "src", "src/a", "src/deep",
        "src/deep/b",
    ]  # fmt: skip


def test_usage_names_users_and_patterns(root):
    rows = {row.path: row for row in ContextView(str(root)).usage()}
    assert rows["src/"][1:] == (8, 2, ("COPY ${DIR} /src (line 3)",), "")
    assert rows["docs/"].users == ("ADD docs/*.md / (line 6)",)
    assert rows["node_modules/"].ignored == "node_modules"
    assert rows["node_modules/"].size == 1000
    assert rows["debug.log"].ignored == "*.log"
    assert rows["keep.log"].users == ()
    assert next(iter(rows)) == "node_modules/"


@pytest.mark.parametrize(
    ("name", "there", "included", "pattern", "source"),
    [
        ("debug.log", True, False, "*.log", ".dockerignore:2"),
        ("keep.log", True, True, "!keep.log", ".dockerignore:4"),
        ("node_modules/m", True, False, "node_modules", ".dockerignore:3"),
        ("src/a", True, True, "", ""),
        ("absent", False, False, "", ""),
    ],
)
def test_why(root, name, there, included, pattern, source):
    assert ContextView(str(root)).why(name)[:4] == (there, included, pattern, source)


def test_why_names_instructions(root):
    assert ContextView(str(root)).why("src/deep/b").uses == ("COPY ${DIR} /src (line 3)",)
    assert ContextView(str(root)).why("docs/y.txt").uses == ()


def test_the_ignore_file_of_a_dockerfile_wins(root):
    (root / "Dockerfile.dockerignore").write_text("src\n")
    verdict = ContextView(str(root)).why("src/a")
    assert (verdict.included, verdict.source) == (False, "Dockerfile.dockerignore:1")
    assert ContextView(str(root)).why("debug.log").included
