# SPDX-License-Identifier: Apache-2.0
"""The documents are true where a machine can tell: generated pages are current, links lead somewhere, examples run."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*TOP.glob("*.md"), *(path for path in (TOP / "docs").rglob("*.md") if "lint" not in path.parts)],
    key=str,
)


def test_the_page_of_errors_is_current() -> None:
    done = subprocess.run(
        [sys.executable, TOP / "tools/gen_errors_doc.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_the_library_example_of_the_readme_runs(tmp_path: Path) -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    (tmp_path / "hello").write_text("hello\n")
    with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
        tar.add(tmp_path / "hello", "hello")
    example = example.replace("/var/tmp/scow-example", str(tmp_path / "store"))
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example/base:1" in done.stdout
