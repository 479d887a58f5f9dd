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


def test_what_scow_signs_docker_believes(world):
    docker, scow = world.docker(), world.scow()
    repo = f"{world.host}/made/by-scow"
    for tag, image in (("v1", "one:1"), ("v2", "two:1")):
        scow("tag", image, f"{repo}:{tag}", trust="0")
    said = scow("push", f"{repo}:v1")
    for line in (
        "Signing and pushing trust metadata",
        f'Finished initializing "{repo}"',
        f"Successfully signed {repo}:v1",
    ):
        assert f"{line}\n" in said
    docker("pull", f"{repo}:v1")
    assert "No valid trust data for v2" in docker.says(1, "pull", f"{repo}:v2")
    scow("push", "-a", repo)
    docker("pull", f"{repo}:v2")
    assert docker("trust", "inspect", repo) == scow("trust", "inspect", repo)

    # docker signs with the keys that scow made, and scow with those that docker made
    same = world.docker(scow.config)
    same("tag", "one:1", f"{repo}:v3", trust="0")
    same("push", f"{repo}:v3")
    assert word(world.scow(), f"{repo}:v3") == "one"
    theirs = world.docker()
    repo = f"{world.host}/made/with-docker-s-keys"
    theirs("tag", "one:1", f"{repo}:v1", trust="0")
    theirs("push", f"{repo}:v1")
    scow = world.scow(theirs.config)
    scow("tag", "two:1", f"{repo}:v2", trust="0")
    scow("push", "-q", f"{repo}:v2")
    docker("pull", f"{repo}:v2")


def test_nothing_is_sent_that_cannot_be_signed(world):
    docker, scow = world.docker(), world.scow()
    repo = f"{world.host}/made/unsigned"
    docker("tag", "one:1", f"{repo}:v1", trust="0")
    docker("push", f"{repo}:v1")
    thief = world.scow(docker.config)
    thief.env["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"] = "not the one"
    for tag in ("v2", "v3"):
        scow("tag", "two:1", f"{repo}:{tag}", trust="0")
    said = thief.says(1, "push", f"{repo}:v2")
    assert f"failed to sign {repo}:v2: could not find necessary signing keys, at least one of these keys" in said
    assert f"failed to sign {repo}:v2" in thief.says(1, "push", "-a", repo)
    assert scow("tags", repo, trust="0").split() == ["v1"]


def test_signers_come_and_go(world, tmp_path):
    docker, owner, alice = world.docker(), world.scow(), world.scow()
    bob = world.docker()
    repo = f"{world.host}/made/by-several"
    for tag in ("v1", "v2", "v3"):
        owner("tag", "one:1", f"{repo}:{tag}", trust="0")
    owner("push", "-q", f"{repo}:v1")
    alice("trust", "key", "generate", "--dir", str(tmp_path), "alice")
    bob("trust", "key", "generate", "--dir", str(tmp_path), "bob")
    for name in ("alice", "bob"):
        said = owner("trust", "signer", "add", "--key", f"{tmp_path}/{name}.pub", name, repo)
        assert said == f'Adding signer "{name}" to {repo}...\nSuccessfully added signer: {name} to {repo}\n\n'

    alice("trust", "sign", f"{repo}:v2")
    docker("pull", f"{repo}:v2")
    bob("pull", f"{repo}:v2")
    bob("trust", "sign", f"{repo}:v2")
    for client in (docker, owner):
        assert re.search(r"\nv2 +[0-9a-f]{64} +alice, bob\n", client("trust", "inspect", "--pretty", repo))
    assert docker("trust", "inspect", repo) == owner("trust", "inspect", repo)
    said = owner.says(1, "trust", "sign", f"{repo}:v2")
    assert f"failed to sign {repo}:v2: no valid signing keys for delegation roles" in said

    # alice released v2, which bob has only confirmed: without him it stays, without her it goes
    assert "Successfully removed bob" in owner("trust", "signer", "remove", "bob", repo)
    assert "no signer bob for repository" in owner.says(1, "trust", "signer", "remove", "--force", "bob", repo)
    docker("pull", f"{repo}:v2")
    bob("tag", "one:1", f"{repo}:v4", trust="0")
    assert "no valid signing keys for delegation roles" in bob.says(1, "push", f"{repo}:v4")
    asked = owner.run("trust", "signer", "remove", "alice", repo)
    assert (asked.returncode, "signed the last released version" in asked.stdout) == (1, True)
    owner("trust", "signer", "remove", "--force", "alice", repo)
    assert "No valid trust data for v2" in docker.says(1, "pull", f"{repo}:v2")

    owner("push", "-q", f"{repo}:v3")
    docker("pull", f"{repo}:v3")
    owner("trust", "revoke", f"{repo}:v3")
    assert "No valid trust data for v3" in docker.says(1, "pull", f"{repo}:v3")
    assert "trust revoke has been cancelled" in owner.says(1, "trust", "revoke", repo)
    docker("pull", f"{repo}:v1")
    owner("trust", "revoke", "-y", repo)
    assert "No valid trust data for v1" in docker.says(1, "pull", f"{repo}:v1")


def test_a_key_brought_from_elsewhere(world, tmp_path):
    scow, docker = world.scow(), world.docker()
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", tmp_path / "k.pem"],
        check=True,
        capture_output=True,
    )
    os.chmod(tmp_path / "k.pem", 0o644)
    assert "must not be readable or writable by others" in scow.says(1, "trust", "key", "load", str(tmp_path / "k.pem"))
    os.chmod(tmp_path / "k.pem", 0o600)
    for client in (scow, docker):
        said = client("trust", "key", "load", "--name", "carol", str(tmp_path / "k.pem"))
        assert said == f'Loading key from "{tmp_path}/k.pem"...\nSuccessfully imported key from {tmp_path}/k.pem\n'
    names = [sorted(os.listdir(client.config / "trust" / "private")) for client in (scow, docker)]
    assert names[0] == names[1]


def test_scow_s_own_registry_has_the_signatures_too(world, tmp_path):
    """Nothing but the registry: docker finds its notary server on the same address, and no certificate is installed."""
    made = Certificates(tmp_path / "certificates")
    docker, scow, reader = world.docker(), world.scow(), world.docker()
    argv = ["registry", "serve", "--root", str(tmp_path / "registry"), "--address", "127.0.0.1:0"]
    argv += ["--tls-cert", made.certificate, "--tls-key", made.key]
    with subprocess.Popen([scow.program, *argv], env=scow.env, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = server.stderr.readline().strip().rpartition(":")[2]
            repo = f"localhost:{port}/hosted/app"
            for client in (docker, scow, reader):
                client.env["DOCKER_CONTENT_TRUST_SERVER"] = ""
            docker("tag", "one:1", f"{repo}:v1", trust="0")
            docker("tag", "two:1", f"{repo}:v2", trust="0")
            docker("push", f"{repo}:v1")
            docker("push", f"{repo}:v1")  # nothing to sign: an upload without files
            docker("push", f"{repo}:v2", trust="0")
            assert word(scow, f"{repo}:v1") == "one"
            assert "No valid trust data for v2" in scow.says(1, "pull", f"{repo}:v2")

            docker("trust", "key", "generate", "--dir", str(tmp_path), "alice")
            docker("trust", "signer", "add", "--key", f"{tmp_path}/alice.pub", "alice", repo)
            docker("trust", "sign", f"{repo}:v1")
            assert scow("trust", "inspect", repo) == reader("trust", "inspect", repo)
            same = world.scow(docker.config)
            same.env["DOCKER_CONTENT_TRUST_SERVER"] = ""
            same("trust", "signer", "remove", "--force", "alice", repo)
            same("tag", "two:1", f"{repo}:v2", trust="0")
            same("push", "-q", f"{repo}:v2")
            reader("pull", f"{repo}:v2")
            same("trust", "revoke", "-y", repo)
            assert "No valid trust data for v2" in reader.says(1, "pull", f"{repo}:v2")
        finally:
            server.terminate()
