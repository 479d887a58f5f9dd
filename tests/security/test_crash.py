# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` at random moments of import, load, build, commit and prune, from two processes at once.

After each kill ``system fsck`` is clean, and every image whose command had ended is still there under its name.
``SCOW_CRASH_ROUNDS`` sets how many moments (200 by default); the seed is printed, ``SCOW_CRASH_SEED`` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.busybox import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(3600)]

SCOW = str(Path(sys.executable).parent / "scow")
ROUNDS = int(os.environ.get("SCOW_CRASH_ROUNDS", "200"))
SEED = int(os.environ.get("SCOW_CRASH_SEED", str(random.randrange(1 << 30))))

# A worker repeats its commands until it is killed and writes down each one that ended well, with the image it made.
WORKER = """
import json, os, random, signal, subprocess, sys
scow, folder, name, seed = sys.argv[1:5]
rng = random.Random(int(seed))
journal = os.open(folder + "/journal-" + name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def run(*argv):
    done = subprocess.run([scow, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == -signal.SIGKILL:
        signal.pause()  # it was killed a little before this process, which is about to be
    return done

def done(tag):
    shown = run("inspect", "--format", "{{.Id}}", tag)
    if shown.returncode == 0:
        os.write(journal, (json.dumps([tag, shown.stdout.strip()]) + "\\n").encode())
    else:
        os.write(journal, (json.dumps(["LOST", tag + ": " + shown.stderr]) + "\\n").encode())

count = 0
while True:
    count += 1
    tag = f"crash/{name}:{seed}-{count}"
    job = rng.choice(["import", "load", "build", "commit", "prune"])
    if job == "import":
        result = run("import", folder + "/tree.tar", tag)
    elif job == "load":
        result = run("load", "-q", "-i", folder + "/image.tar")
        tag = "crash/loaded:1"
    elif job == "build":
        result = run("build", "-q", "-t", tag, "--build-arg", f"N={seed}.{count}", folder + "/context")
    elif job == "commit":
        result = run("commit", "crash-container", tag)
    else:
        result = run("image", "prune", "-f")
        tag = ""
    if result.returncode == 0 and tag:
        done(tag)
    elif result.returncode:
        os.write(journal, (json.dumps(["FAILED", job + ": " + result.stderr]) + "\\n").encode())
"""


def scow(root: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SCOW_ROOT": str(root)}
    done = subprocess.run([SCOW, *argv], env=env, capture_output=True, text=True, timeout=280)
    if check:
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    busybox = shutil.which("busybox")
    if not busybox:
        pytest.skip("needs a static busybox (Debian: busybox-static)")
    tree = tmp_path / "tree"
    for name in ("bin", "tmp", "etc", "data"):
        (tree / name).mkdir(parents=True)
    shutil.copy(busybox, tree / "bin/busybox")
    for applet in ("sh", "cat", "echo"):
        (tree / "bin" / applet).symlink_to("busybox")
    noise = random.Random(1)
    for index in range(300):
        (tree / "data" / f"file{index}").write_bytes(noise.randbytes(noise.randrange(20_000)))
    subprocess.run(["tar", "-C", tree, "-cf", tmp_path / "tree.tar", "."], check=True)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM crash/base\nARG N\nCOPY payload /payload\nRUN echo $N > /n\nLABEL n=$N\n")
    (context / "payload").write_bytes(noise.randbytes(500_000))
    return tmp_path


def test_kill_at_random_moments_loses_nothing(folder: Path) -> None:
    print(f"SCOW_CRASH_SEED={SEED}")
    root = folder / "store"
    scow(root, "import", str(folder / "tree.tar"), "crash/base")
    scow(root, "build", "-q", "-t", "crash/loaded:1", "--build-arg", "N=loaded", str(folder / "context"))
    scow(root, "save", "-o", str(folder / "image.tar"), "crash/loaded:1")
    scow(
        root, "run", "--name", "crash-container", "--network", "none", "crash/base", "sh", "-c", "echo mine > /tmp/mine"
    )
    try:
        rng = random.Random(SEED)
        for moment in range(ROUNDS):
            _one_crash(folder, root, rng, moment)
        _everything_is_readable(folder, root)
    finally:
        scow(root, "rm", "-f", "crash-container", check=False)


def _one_crash(folder: Path, root: Path, rng: random.Random, moment: int) -> None:
    env = {**os.environ, "SCOW_ROOT": str(root)}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, SCOW, str(folder), name, str(rng.randrange(1 << 30))],
                         env=env, start_new_session=True)
        for name in ("one", "two")
    ]  # fmt: skip
    if moment % 10 == 0:  # where this machine needs longer for a command, some are ended all the same
        said = _said(folder)
        assert until(lambda: all(now > then for now, then in zip(_said(folder), said, strict=True)), 200)
    time.sleep(rng.uniform(0.05, 1.5))
    for worker in workers:
        os.killpg(worker.pid, signal.SIGKILL)
    for worker in workers:
        worker.wait()
    checked = scow(root, "system", "fsck", check=False)
    assert checked.returncode == 0, (moment, SEED, checked.stdout, checked.stderr)
    _nothing_lost(folder, root, moment)


def _said(folder: Path) -> list[int]:
    """How much each worker has written down."""
    paths = [folder / f"journal-{name}" for name in ("one", "two")]
    return [path.stat().st_size if path.exists() else 0 for path in paths]


def _journal(folder: Path) -> dict[str, str]:
    made: dict[str, str] = {}
    for name in ("one", "two"):
        path = folder / f"journal-{name}"
        if path.exists():
            for line in path.read_text().splitlines():
                tag, image = json.loads(line)
                assert tag not in {"LOST", "FAILED"}, image
                made[tag] = image
    return made


def _nothing_lost(folder: Path, root: Path, moment: int) -> None:
    listed = scow(root, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.split("\n")
    have = dict(line.split() for line in listed if line)
    lost = {tag: image for tag, image in _journal(folder).items() if have.get(tag) != image}
    assert not lost, (moment, SEED, lost)


def _everything_is_readable(folder: Path, root: Path) -> None:
    made = _journal(folder)
    kinds = {tag.split(":")[0] for tag in made}
    assert kinds >= {"crash/one", "crash/two"}, f"the rounds finished too little: {made}"
    scow(root, "save", "-o", str(folder / "all.tar"), *made)
    for tag in random.Random(SEED).sample(sorted(made), min(5, len(made))):
        scow(root, "run", "--rm", "--network", "none", tag, "sh", "-c", "cat /data/* > /dev/null")
