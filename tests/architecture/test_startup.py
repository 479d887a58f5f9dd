# SPDX-License-Identifier: Apache-2.0
"""What starting costs: which modules are loaded before the work begins, and how much CPU ``--version`` takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Each costs more than a millisecond, most of them ten: ARCHITECTURE.md 8.1, docs/adr/0005.
FORBIDDEN = {
    "argparse",
    "asyncio",
    "cryptography",
    "dataclasses",
    "datetime",
    "email",
    "enum",
    "http",
    "inspect",
    "isal",
    "json",
    "logging",
    "pathlib",
    "re",
    "rich",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tarfile",
    "tempfile",
    "typing",
    "urllib",
    "zstandard",
}
NEEDED_BY_REGISTRIES = {"enum", "isal", "socket"}
VERSION_BUDGET = 2.5  # times the CPU time of `python -I -c pass`
PROBE = """
import json, os, sys
before = set(sys.modules)
{body}
sys.stdout.flush()
os.write(3, json.dumps(sorted(set(sys.modules) - before)).encode())
"""


def loaded_by(body: str, **environment: str) -> list[str]:
    """Run Python code in a fresh process and return the modules it loaded."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    script = f"import os\nos.dup2({writer}, 3)\n" + PROBE.format(body=body)
    done = subprocess.run(
        [sys.executable, "-c", script],
        pass_fds=(writer,),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        said = file.read()
    assert said, done.stderr
    names: list[str] = json.loads(said)
    return names


def test_the_version_loads_nothing_but_the_table():
    loaded = loaded_by("from scow.cli.main import main\nmain(['--version'])")
    assert set(loaded) <= {"__future__", "scow", "scow.cli", "scow.cli.main"}


def test_refusing_a_flag_stays_light():
    loaded = loaded_by("from scow.cli.main import main\nassert main(['run', '--nosuch']) == 125")
    assert FORBIDDEN & set(loaded) == set()


@pytest.mark.parametrize("detached", [False, True])
def test_run_reaches_the_store_without_anything_heavy(tmp_path, detached):
    """An image that is not there takes ``run`` through its flags, the settings, the store and the name's grammar."""
    words = ["run", "--rm", "--pull", "never", "--network", "none", "-e", "A=1", "-v", "/a:/b", "nosuch:image", "true"]
    if detached:
        words.insert(1, "-d")
    body = f"from scow.cli.main import main\nassert main({words!r}) == 125"
    loaded = loaded_by(body, SCOW_ROOT=str(tmp_path / "root"), DOCKER_CONFIG=str(tmp_path))
    assert "scow.images.store" in loaded, "the image was looked up"
    assert FORBIDDEN & set(loaded) == set()
    assert not [name for name in loaded if name.startswith("scow.trust")]


def test_pull_reaches_the_registry_without_anything_heavy(tmp_path):
    """Nobody listens there, so that what is loaded for the answer is left out; the loader of the rest is asked too."""
    words = ["pull", "-q", "127.0.0.1:1/no/such"]
    body = f"""
from scow.cli.main import main
from scow.cli.registryflags import load_transfers
load_transfers()
from scow.snapshot import trees
assert main({words!r}) == 1"""
    loaded = loaded_by(body, SCOW_ROOT=str(tmp_path / "root"), DOCKER_CONFIG=str(tmp_path))
    assert "scow.distribution.wire" in loaded, "a connection was tried"
    assert (FORBIDDEN - NEEDED_BY_REGISTRIES) & set(loaded) == set()


def test_typing_is_loaded_for_type_checkers_only():
    """``scow.typing`` has what is needed at run time: docs/adr/0004. One module asks protocols what an object can do."""
    top = os.path.join(os.path.dirname(__file__), "..", "..", "src", "scow")
    found = set()
    for path, _, names in os.walk(top):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    if any(line.startswith(("from typing ", "import typing")) for line in file):
                        found.add(os.path.relpath(os.path.join(path, name), top))
    assert found == {os.path.join("content", "target.py")}


def test_exec_finds_the_container_without_anything_heavy(tmp_path):
    """What tells the kernel things through ctypes is loaded while the OCI runtime gets going, not before."""
    body = "from scow.cli.main import main\nassert main(['exec', 'nosuch', 'true']) == 1"
    loaded = loaded_by(body, SCOW_ROOT=str(tmp_path / "root"), SCOW_RUN_ROOT=str(tmp_path / "run"))
    assert "scow.containers.executing" in loaded, "the container was looked for"
    assert "_sqlite3" in loaded
    heavy = FORBIDDEN | ({"ctypes", "scow.runtime.spec"} if os.geteuid() == 0 else set())
    assert heavy & set(loaded) == set()


def test_only_serving_loads_what_the_server_needs(tmp_path):
    body = "from scow.cli.main import main\nassert main(['registry', 'ls']) == 1\nimport scow.registry.front, scow.registry.storage"
    loaded = loaded_by(body, SCOW_ROOT=str(tmp_path / "root"))
    assert {"aiohttp", "asyncio", "bcrypt", "multidict"} & set(loaded) == set()


def cpu_seconds(argv: list[str]) -> float:
    """CPU time of one child, in seconds."""
    sink = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(argv[0], argv, dict(os.environ), file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1)])
    os.close(sink)
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_utime + usage.ru_stime


def test_the_version_costs_little_more_than_python_itself():
    program = os.path.join(os.path.dirname(sys.executable), "scow")
    if not os.path.exists(program):
        pytest.skip("the console script is not installed in this environment")
    bare, ours = [], []
    for _ in range(15):
        bare.append(cpu_seconds([sys.executable, "-I", "-c", "pass"]))
        ours.append(cpu_seconds([program, "--version"]))
    assert min(ours) <= VERSION_BUDGET * min(bare)
