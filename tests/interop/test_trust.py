# SPDX-License-Identifier: Apache-2.0
"""Docker Content Trust between scow and docker's client: one registry, one notary-server, keys and metadata shared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from fakes.docker_registry import Certificates, DockerRegistry, need
from fakes.dockerd import Dockerd
from fakes.imaging import Made
from fakes.notary_server import NotaryServer

pytestmark = [pytest.mark.interop, pytest.mark.root, pytest.mark.slow]
ROOT, REPOSITORY = "correct horse root", "correct horse repository"


class Client:
    """A command with a directory of its own for keys and trust data."""

    def __init__(self, program, env, config, server):
        self.program = program
        self.config = config
        self.env = {
            **env,
            "DOCKER_CONFIG": str(config),
            "DOCKER_BUILDKIT": "0",
            "DOCKER_CONTENT_TRUST": "1",
            "DOCKER_CONTENT_TRUST_SERVER": server,
            "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": ROOT,
            "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": REPOSITORY,
        }

    def run(self, *argv, trust="1"):
        """Run a command line whatever its status."""
        env = {**self.env, "DOCKER_CONTENT_TRUST": trust}
        return subprocess.run(
            [self.program, *argv], env=env, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL
        )

    def __call__(self, *argv, trust="1"):
        """Run a command line that must work; its output."""
        done = self.run(*argv, trust=trust)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def says(self, status, *argv):
        """Run a command line that must fail; what it complains about."""
        done = self.run(*argv)
        assert done.returncode == status, f"{argv}: {done.stdout}{done.stderr}"
        return done.stderr


class World:
    """The servers, and clients to be made for each test."""

    def __init__(self, folder, registry, notary, docker):
        self.folder, self.registry, self.notary, self.daemon = folder, registry, notary, docker
        self.host = f"localhost:{registry.port}"
        self.made = 0

    def _config(self, config):
        self.made += 1
        return config or self.folder / f"config-{self.made}"

    def scow(self, config=None):
        env = {**os.environ, "SCOW_ROOT": f"{self.folder}/scow", "SCOW_RUN_ROOT": f"{self.folder}/scow-run"}
        program = os.path.join(os.path.dirname(sys.executable), "scow")
        return Client(program, env, self._config(config), self.notary.url)

    def docker(self, config=None):
        return Client("docker", self.daemon.env, self._config(config), self.notary.url)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    need("docker", "notary-server", "openssl")
    said = subprocess.run(["docker", "--version"], capture_output=True, text=True).stdout
    if int(re.search(r"version (\d+)", said).group(1)) >= 29:
        pytest.skip("docker 29 and later have no content trust")
    if shutil.which("busybox") is None:
        pytest.skip("a static busybox is needed")
    folder = tmp_path_factory.mktemp("trust")
    with (
        DockerRegistry(folder / "registry") as registry,
        NotaryServer(folder / "notary", Certificates(folder / "certificates")) as notary,
    ):
        daemon = Dockerd(folder)
        try:
            made = World(folder, registry, notary, daemon)
            for command in (made.docker(), made.scow()):
                for text in ("one", "two"):
                    with open(shutil.which("busybox"), "rb") as file:
                        made_image = Made([{"bin/busybox": file.read(), "word": text.encode()}], compress=False)
                    layer = folder / f"{text}.tar"
                    layer.write_bytes(made_image.plain[0])
                    command("import", str(layer), f"{text}:1", trust="0")
            yield made
        finally:
            daemon.stop()


def word(command, name):
    """What an image has in its file ``word``; the image must be believed."""
    argv = ["run", "--rm", "--network", "none", name, "/bin/busybox", "cat", "/word"]
    return command(*argv).strip()


def test_what_docker_signs_scow_believes_and_nothing_else(world, tmp_path):
    docker, scow = world.docker(), world.scow()
    repo = f"{world.host}/made/by-docker"
    docker("tag", "one:1", f"{repo}:v1", trust="0")
    docker("push", f"{repo}:v1")
    docker("tag", "two:1", f"{repo}:plain", trust="0")
    docker("push", f"{repo}:plain", trust="0")

    assert scow("pull", "-q", f"{repo}:v1").strip() == f"{repo}:v1"
    assert word(scow, f"{repo}:v1") == "one"
    scow("pull", f"{repo}:plain", trust="0")
    for name, tag in ((f"{repo}:plain", "plain"), (repo, "latest")):
        assert f"No valid trust data for {tag}\n" in scow.says(1, "pull", name)
        assert scow.says(125, "run", "--rm", name).startswith(f"scow: No valid trust data for {tag}\n")
        assert f"No valid trust data for {tag}\n" in scow.says(1, "create", name)
    missing = f"{world.host}/made/by-nobody"
    assert f"remote trust data does not exist for {missing}: localhost:" in scow.says(1, "pull", f"{missing}:v1")

    # a moved tag: the signature counts, not the registry
    docker("tag", "two:1", f"{repo}:v1", trust="0")
    docker("push", f"{repo}:v1", trust="0")
    assert word(scow, f"{repo}:v1") == "one"
    docker("push", f"{repo}:v1")
    assert word(scow, f"{repo}:v1") == "two"

    for refused in (
        f"FROM {repo}:plain\n",
        f"ARG T=plain\nFROM {repo}:$T\n",
        f"FROM {repo}:v1\nCOPY --from={repo}:plain / /x\n",
    ):
        (tmp_path / "Dockerfile").write_text(refused)
        assert "No valid trust data for plain" in scow.says(1, "build", "-q", str(tmp_path))
        scow("build", "-q", "--disable-content-trust", str(tmp_path))
    (tmp_path / "Dockerfile").write_text(f"ARG T=v1\nFROM {repo}:$T\n")
    scow("build", "-q", str(tmp_path))


def test_both_tell_the_same_of_a_repository(world):
    docker, scow = world.docker(), world.scow()
    repo = f"{world.host}/told/by-both"
    docker("tag", "one:1", f"{repo}:v2", trust="0")
    docker("tag", "one:1", f"{repo}:v10", trust="0")
    docker("push", f"{repo}:v10")
    docker("push", f"{repo}:v2")
    for argv in (["--pretty", repo], [repo], [f"{repo}:v10"], ["--pretty", f"{repo}:none"], [f"{repo}:v2", repo]):
        assert scow("trust", "inspect", *argv) == docker("trust", "inspect", *argv)
    assert scow.run("trust", "inspect", f"{repo}-not").stdout == docker.run("trust", "inspect", f"{repo}-not").stdout


def test_one_may_go_on_with_the_metadata_of_the_other(world):
    docker = world.docker()
    scow = world.scow(docker.config)
    repo = f"{world.host}/shared/cache"
    docker("tag", "one:1", f"{repo}:v1", trust="0")
    docker("push", f"{repo}:v1")
    assert word(scow, f"{repo}:v1") == "one"
    docker("tag", "two:1", f"{repo}:v1", trust="0")
    docker("push", f"{repo}:v1")
    assert word(scow, f"{repo}:v1") == "two"
    docker("rmi", f"{repo}:v1", trust="0")
    docker("pull", f"{repo}:v1")
