# SPDX-License-Identifier: Apache-2.0
"""What the builder says of itself: explanations, locks, contexts, the cache, leaks and reproducibility."""

from __future__ import annotations

import json
import os
import re

import pytest

from fakes.busybox import IMAGE, make_scow

pytestmark = pytest.mark.root

DOCKERFILE = f"""FROM {IMAGE} AS build
ARG MODE=dev
COPY src/ /src/
RUN cat /src/* > /out && echo $MODE
FROM {IMAGE}
COPY --from=build /out /out
RUN cat /out > /copy
"""


@pytest.fixture(scope="module")
def scow(tmp_path_factory):
    return make_scow(str(tmp_path_factory.mktemp("explained")))


@pytest.fixture
def project(tmp_path):
    (tmp_path / "src").mkdir()
    for name in ("a", "b"):
        (tmp_path / "src" / name).write_text(f"{name}\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def explained(scow, *words):
    done = scow.run("build", "-q", "--explain", *map(str, words))
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def test_every_step_has_its_reason(scow, project):
    assert explained(scow, "-t", "app", project).count("no earlier build of this Dockerfile is known here") == 4
    assert "RUN " not in explained(scow, "-t", "app", project).replace("] RUN", "")
    (project / "src/b").write_text("changed\n")
    (project / "src/c").write_text("c\n")
    said = explained(scow, "-t", "app", project)
    assert "2 files changed: src/b (content), src/c (new)" in said
    assert "the stage that it reads changed: [build 3/3]" in said
    said = explained(scow, "-t", "other", "--build-arg", "MODE=prod", project)
    assert 'the variable MODE changed: "dev" -> "prod" (set by --build-arg)' in said
    assert "but the files that it copies are the same, so its result is too" in said


def test_why_tells_afterwards(scow, project):
    scow("build", "-q", "-t", "told", str(project))
    (project / "src/a").write_text("other\n")
    scow("build", "-q", "-t", "told", str(project))
    scow("build", "-q", "-t", "told", str(project))
    assert "1 file changed: src/a (content)" in scow("why", "told")
    (one,) = json.loads(scow("why", "--json", "told", "copy src/"))["steps"]
    assert (one["outcome"], one["line"], one["step"]) == ("RUN", 3, 2)
    assert scow.run("why", "told", "99").returncode == 1
    assert b"nothing is known" in scow.run("why", IMAGE).stderr


def test_a_failed_build_is_explained_and_remembered(scow, project):
    (project / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY src/ /src/\nRUN cat /src/a /src/missing\n")
    done = scow.run("build", "--explain", str(project))
    assert done.returncode == 1
    assert "FAILED   [3/3] RUN cat /src/a /src/missing" in done.stderr.decode()
    again = scow.run("build", "--explain", str(project)).stderr.decode()
    assert "nothing that it depends on changed" in again


def test_the_cache_is_shown_pruned_and_missed(scow, project):
    scow("build", "-q", "-t", "pruned", str(project))
    assert "[build 3/3] RUN cat" in scow("builder", "df")
    scow("builder", "prune", "-af")
    assert "Total:        0B" in scow("builder", "df")
    assert scow("run", "--rm", "--network", "none", "pruned", "cat", "/copy") == "a\nb"
    assert "not in the cache any more" in explained(scow, "-t", "pruned", project)


def test_the_cache_stays_below_its_size(scow, project, tmp_path):
    small = dict(scow.env, SCOW_BUILD_CACHE_SIZE="300000")
    import subprocess

    for number in range(4):
        (project / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN head -c 120000 /dev/zero > /f{number}\n")
        subprocess.run([scow.program, "build", "-q", str(project)], env=small, check=True, capture_output=True)
    assert "/f3" in scow("builder", "df")
    assert "/f0" not in scow("builder", "df")


def test_reproducible_builds_are_told_from_others(scow, project):
    done = scow.run("build", "-q", "-t", "same", "--verify-reproducible", str(project))
    assert done.returncode == 0, done.stderr.decode()
    assert b"reproducible: a second build made the same 2 layers" in done.stderr
    (project / "Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN mkdir /d && for i in 5 3 1 9 2; do echo $i > /d/f$i; done\n"
        "RUN hostname > /host && find /d -type f > /order\nRUN date +%s > /stamp\nRUN umask > /mask\n"
    )
    done = scow.run("build", "-q", "-t", "odd", "--verify-reproducible", str(project))
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "Dockerfile:3: [3/5] RUN hostname" in said
    assert "/host: content differs at byte 0" in said
    assert "/stamp: content differs" in said
    assert "/mask" not in said
    assert scow("run", "--rm", "--network", "none", "odd", "cat", "/host") == "buildkitsandbox"
    scow("build", "-q", "-t", "again", str(project))
    assert scow("images", "-q", "--no-trunc", "again") == scow("images", "-q", "--no-trunc", "odd")


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no memory file system for the second build")
def test_the_second_build_sees_directories_in_another_order_and_a_later_time(scow, project):
    (project / "Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN mkdir /d && for i in $(seq 1 60); do echo $i > /d/f$i; done\n"
        "RUN find /d -type f > /order\nRUN date +%s > /clock\nRUN find /d -type f | sort > /sorted\n"
    )
    done = scow.run("build", "-q", "--verify-reproducible", str(project))
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "/order: content differs" in said
    assert "/sorted" not in said
    first, second = re.search(r'/clock: .*"(\d+)\\x0a" / "(\d+)\\x0a"', said).groups()
    assert int(second) - int(first) >= 2


def test_touched_files_are_no_difference(scow, project):
    scow("build", "-q", "-t", "touched", str(project))
    (project / "src/a").touch()
    assert scow.run("build", "-q", "-t", "touched", "--verify-reproducible", str(project)).returncode == 0


def test_contexts_can_be_looked_into(scow, project):
    (project / ".dockerignore").write_text("*.log\n")
    (project / "x.log").write_text("x")
    assert scow("context", "ls", str(project)).split() == [".dockerignore", "Dockerfile", "src/a", "src/b"]
    assert "src/" in scow("context", "du", str(project))
    done = scow.run("context", "why", "x.log", str(project))
    assert done.returncode == 1
    assert b".dockerignore:1" in done.stdout
    assert "COPY src/ /src/" in scow("context", "why", "src/a", str(project))


def test_locked_builds_refuse_what_changed(scow, project):
    scow("lock", str(project))
    scow("build", "-q", "--locked", str(project))
    (project / "Dockerfile").write_text("FROM touched-base\n")
    scow("build", "-q", "-t", "touched-base", "-", input=f"FROM {IMAGE}\nRUN touch /x\n".encode())
    done = scow.run("build", "-q", "--locked", str(project))
    assert done.returncode == 3
    assert b"not in the lock file" in done.stderr


def test_a_secret_in_a_layer_stops_the_build(scow, project):
    (project / "token").write_text("correct-horse-battery\n")
    (project / "Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN --mount=type=secret,id=tok cp /run/secrets/tok /root/.npmrc\n"
    )
    words = ["build", "-q", "-t", "leaky", "--secret", f"id=tok,src={project}/token"]
    done = scow.run(*words, str(project))
    assert done.returncode == 1
    assert b"the secret 'tok' is present in the layer" in done.stderr
    assert b"/root/.npmrc" in done.stderr
    assert scow.run("image", "inspect", "leaky").returncode == 1
    scow(*words, "--allow-leak", "tok", str(project))


def test_credentials_in_the_context_are_warned_of_or_refused(scow, project):
    (project / "src/.npmrc").write_text("//registry.test/:_authToken=abcdef\n")
    (project / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY src/ /src/\nENV KEY=AKIA{'A' * 16}\n")
    words = ["build", "-q", "-t", "careless", str(project)]
    done = scow.run(*words, "--secrets-gate=error")
    assert done.returncode == 1
    assert b"/src/.npmrc of [2/2] COPY src/ /src/ (line 2) holds what looks like a registry token" in done.stderr
    assert scow.run("image", "inspect", "careless").returncode == 1
    done = scow.run(*words, "--no-cache")
    assert done.returncode == 0
    assert b"WARNING: the variable KEY holds what looks like an AWS access key" in done.stderr
    assert b"WARNING" not in scow.run(*words, "--no-cache", "--secrets-gate=off").stderr
    assert scow.run(*words, "--secrets-gate=error").returncode == 1, "what was let pass came from the cache"
