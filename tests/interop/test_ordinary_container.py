# SPDX-License-Identifier: Apache-2.0
"""scow in real containers of docker's, without a privilege of any kind: as root, as a user, with and without docker's filter.

The container's image is a skeleton; programs come from this host, read-only. What scow makes inside is compared with
what root's scow makes on the host.
"""

from __future__ import annotations

import io
import json
import os
import tarfile

import pytest

from interop.test_rootless import EPOCH, User, base, place, pytestmark, tools  # noqa: F401 - fixtures
from interop.test_round_trips import Docker

DOCKERFILE = r"""
FROM bb:1 AS one
RUN mkdir -p /made/by && echo a > /made/file && chown 33:44 /made/file && chmod 6755 /made/file && rm /home/mine
FROM bb:1
COPY --from=one /made /made
COPY --chown=me:us --chmod=640 given /given
WORKDIR /home/work
USER me
RUN id -u > /tmp/who || true
"""
WORK = r"""
set -e
export PATH={venv}/bin:/usr/bin:/usr/sbin HOME=/tmp SCOW_ROOT=/store/s SCOW_RUN_ROOT=/store/r SOURCE_DATE_EPOCH={epoch}
scow info -f '{{{{json .}}}}'
docker-registry serve /work/registry.yml >/tmp/registry.log 2>&1 &
scow import /work/bb.tar localhost:5000/bb:1 >&2
i=0; until scow push -q localhost:5000/bb:1 >&2 || [ $i = 300 ]; do i=$((i+1)); sleep 0.2; done
scow rmi localhost:5000/bb:1 >&2
scow pull -q localhost:5000/bb:1 >&2
scow tag localhost:5000/bb:1 bb:1
if [ {mode} != nothing ]; then
    scow run --rm --network host -u me bb:1 sh -c 'echo "$(id -u):$(id -g) $(cat /home/mine)"'
    scow run -d --network host --name box bb:1 sh -c 'chown 5:6 /far; sleep 600' >&2
    scow exec box id -u
    scow rm -f box >&2
    scow build -q --network host --allow network.host -t made:1 /work/context
    scow inspect -f '{{{{.Id}}}} {{{{.RootFS.Layers}}}}' made:1
else
    scow run --rm bb:1 true 2>&1 && exit 1
    scow inspect -f '{{{{.Id}}}}' bb:1
fi
"""
REGISTRY = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /tmp/registry\nhttp:\n  addr: 127.0.0.1:5000\n"


def skeleton() -> bytes:
    """An image that shows this host's programs when they are mounted on it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("usr", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("run", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tar.addfile(entry)
        for name, text in (
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsomebody:x:1000:1000::/tmp:/bin/sh\n"),
            ("etc/group", "root:x:0:\nsomebody:x:1000:\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    daemon = Docker(str(tmp_path_factory.mktemp("docker")))
    path = tmp_path_factory.mktemp("image") / "skeleton.tar"
    path.write_bytes(skeleton())
    daemon("import", str(path), "skeleton:1")
    yield daemon
    daemon.stop()


def lay_out(folder: str, name: str, text: bytes) -> None:
    path = f"{folder}/{name}"
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "wb") as file:
        file.write(text)
    os.chmod(path, 0o644)
    os.utime(path, (1, 1))


@pytest.fixture
def work(place):  # noqa: F811
    """A folder with what is worked on, and the same for root's scow on the host."""
    folder = f"{place}/work"
    lay_out(folder, "context/Dockerfile", DOCKERFILE.encode())
    lay_out(folder, "context/given", b"given\n")
    lay_out(folder, "registry.yml", REGISTRY.encode())
    lay_out(folder, "bb.tar", base())
    return folder


@pytest.mark.parametrize(
    ("user", "filtered", "mode"),
    [("0", True, "chroot"), ("0", False, "subids"), ("1000", False, "single"), ("1000", True, "nothing")],
)
def test_the_road_in_a_container_of_dockers(docker, tools, place, work, user, filtered, mode):  # noqa: F811
    store = f"{place}/inside"
    os.makedirs(store)
    os.chown(store, int(user), int(user))
    lay_out(work, "work.sh", WORK.format(venv=f"{tools}/venv", epoch=EPOCH, mode=mode).encode())
    mounts = ["-v", "/usr:/usr:ro", "-v", f"{tools}:{tools}:ro", "-v", f"{work}:/work:ro", "-v", f"{store}:/store"]
    words = ["run", "--rm", "-u", user, *([] if filtered else ["--security-opt", "seccomp=unconfined"]), *mounts]
    lines = docker(*words, "skeleton:1", "sh", "/work/work.sh").split("\n")
    told = json.loads(lines[0])
    assert told["Mode"]["Name"] == mode
    if filtered:
        assert "seccomp=unconfined" in told["Mode"]["More"]
    if mode in {"chroot", "nothing"}:
        assert told["Warnings"] is None, "nothing that would help here"
    root = User(tools, "root", f"{place}/root")
    root.load(base(), "bb:1")
    if mode == "nothing":
        assert "they can be moved, not run or built on" in "\n".join(lines)
        assert lines[-1] == root.out("inspect", "-f", "{{.Id}}", "bb:1")
        return
    assert lines[1:3] == ["33:44 mine", "0"]
    root.run("build", "-q", "--network", "host", "--allow", "network.host", "-t", "made:1", f"{work}/context")
    assert lines[-1] == root.out("inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", "made:1")
