# SPDX-License-Identifier: Apache-2.0
"""The tutorial, typed as it stands: every command of its blocks runs, and prints what the page says it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.busybox import need
from fakes.docker_registry import DockerRegistry

pytestmark = [pytest.mark.interop, pytest.mark.root]
PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial/images-101.md"
MARK = "=== tutorial command"


def commands(text):
    """``(command, expected lines)`` of every console block, in order."""
    found = []
    for block in re.findall(r"^```console.*?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith(">"):
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            else:
                found[-1][1].append(line)
    return found


def pattern(lines):
    """What the output must match: ``…`` is any text in a line, and as a line of its own any number of lines."""
    return "".join("(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in lines)


def run_page(text, folder, environment):
    """Run all commands in one shell; ``(command, expected, output)`` of each."""
    steps = commands(text)
    script = "".join(f"echo '{MARK}'\n{command}\n" for command, _ in steps)
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        timeout=1700,
        check=False,
    )
    outputs = done.stdout.split(MARK + "\n")[1:]
    assert len(outputs) == len(steps), done.stdout
    return [(command, expected, output) for (command, expected), output in zip(steps, outputs, strict=True)]


def test_the_tutorial_is_true(tmp_path):
    need("busybox", "runc", "docker-registry")
    environment = {
        **os.environ,
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "SCOW_ROOT": str(tmp_path / "store"),
        "SCOW_RUN_ROOT": str(tmp_path / "run"),
        "DOCKER_CONFIG": str(tmp_path / "config"),
    }
    (tmp_path / "work").mkdir()
    with DockerRegistry(tmp_path / "registry") as registry:
        text = PAGE.read_text(encoding="utf-8").replace("localhost:5055", f"localhost:{registry.port}")
        steps = run_page(text, tmp_path / "work", environment)
    assert len(steps) > 40
    wrong = [
        f"$ {command}\n--- expected\n{chr(10).join(expected)}\n--- printed\n{output}"
        for command, expected, output in steps
        if not re.fullmatch(pattern(expected), output)
    ]
    assert not wrong, "\n".join(wrong)
