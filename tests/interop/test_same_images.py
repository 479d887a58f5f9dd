# SPDX-License-Identifier: Apache-2.0
"""Whoever builds, and however layers are kept: the same inputs make the same image, digest for digest.

Root and two ordinary users (``tests/rootless/setup``) build each Dockerfile with every way of keeping layers that works
for them, in stores of their own that last for the module.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile

import pytest

from fakes.busybox import left
from interop.test_rootless import EPOCH, User, add, at_work_in, base, pytestmark, tools  # noqa: F401 - fixtures and marks

BUILDERS = [
    ("root", "erofs"),
    ("root", "overlay"),
    ("scowsub", "overlay"),
    ("scowsub", "copying"),
    ("scowone", "overlay"),
    ("scowone", "copying"),
]
DOCKERFILES = {
    "copies": r"""
FROM bb:1
WORKDIR /srv/www
COPY --chown=33:44 --chmod=640 given one/given
COPY --chown=me:us tree ./tree/
COPY --chown=70000:2000000 given /beyond
COPY tree/sub/link tree/sub/tool /plain/
USER me
WORKDIR /srv/mine
COPY given .
""",
    "archives": r"""
FROM bb:1
ADD packed.tar /opt/
ADD --chown=5:6 packed.tar.gz /srv/
ADD --chmod=711 given /etc/given
""",
    "users": r"""
FROM bb:1
RUN for name in su touch; do ln -s busybox /bin/$name; done \
 && mkdir -p /tmp /var/mail && chmod 1777 /tmp && chown 0:8 /var/mail && chmod 2775 /var/mail
RUN echo crew:x:900: >> /etc/group && echo worker:x:901:900::/home/worker:/bin/sh >> /etc/passwd && mkdir /home/worker && chown worker:crew /home/worker
RUN touch /var/mail/letter && mkdir /var/mail/box && chown 7001:7002 /var/mail/box
USER worker
WORKDIR /home/worker
RUN touch a && mkdir b && ln -s a c && ln a d && chmod 6750 a && id > who
USER root
RUN su -s /bin/sh me -c 'touch /tmp/mine' && chown -R 0:0 /home/worker/b
""",
    "stages": r"""
FROM bb:1 AS one
RUN mkdir -p /made/by && echo a > /made/file && chown 33:44 /made/file && chmod 6755 /made/file && ln /made/file /made/hard
RUN ln -s file /made/link && chown -h 5:6 /made/link && echo 1 >> /etc/passwd
FROM one AS two
RUN rm /home/mine && mv /made/by /made/moved && chown 7:8 /made/moved
FROM bb:1
COPY --from=two /made /made
COPY --from=two --chown=9:9 /made /again
COPY --from=one /far /device /copied/
""",
    "heredocs": r"""
FROM bb:1
ARG WHO=me
ENV HERE=/srv
RUN <<EOT
mkdir -p $HERE
echo from the script > $HERE/script
chown $WHO $HERE/script
EOT
COPY --chown=$WHO <<"ONE" <<TWO /srv/
$kept
ONE
$HERE
TWO
RUN <<EOT cat > /srv/third
third
EOT
""",
    "devices": r"""
FROM bb:1 AS made
RUN for name in mknod mkfifo; do ln -s busybox /bin/$name; done
RUN mkdir -p /o/g && chown 0:8 /o/g && chmod 2775 /o/g && mkfifo /o/p && mknod /o/c c 1 3 && mknod -m 640 /o/b b 7 0 \
 && mknod /o/g/x c 1 5 && chown 5:6 /o/c
USER me
RUN mknod /tmp/no c 1 3 || echo refused > /home/no || true
FROM bb:1
COPY --from=made /o /x
""",
    "removals": r"""
FROM bb:1
RUN mkdir -p /d/e /gone && echo 1 > /d/e/f && echo 2 > /d/g && echo 3 > /gone/x && chown -R 11:12 /d
RUN rm -r /gone /far && rm -r /d/e && mkdir /d/e && echo 4 > /d/e/h && rm /d/g && mkdir /d/g && chown 13 /d/g
RUN mv /d /moved && chmod 700 /moved && rm -r /home && echo a file now > /home
""",
    "mounts": r"""
FROM bb:1 AS tools
RUN mkdir /t && echo tool > /t/tool && chown 33 /t/tool
FROM bb:1
RUN --mount=type=bind,from=tools,source=/t,target=/mnt/t --mount=type=cache,target=/cache,uid=33,gid=44 \
    --mount=type=tmpfs,target=/scratch stat -c '%u:%g' /mnt/t/tool /cache > /seen && echo x > /cache/x && echo y > /scratch/y
RUN --mount=type=bind,target=/ctx cat /ctx/given > /read
""",
}


def packed(mode: str) -> bytes:
    """An archive with owners, links and set-id bits; compressed ones are the same each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "p", type=tarfile.DIRTYPE, mode=0o750, uid=21, gid=22)
        add(tar, "p/file", b"packed", uid=70000, gid=3, mode=0o4755)
        add(tar, "p/hard", type=tarfile.LNKTYPE, linkname="p/file", uid=70000, gid=3, mode=0o4755)
        add(tar, "p/link", type=tarfile.SYMTYPE, linkname="file", uid=4, gid=5)
        add(tar, "p/fifo", type=tarfile.FIFOTYPE, uid=6, gid=7)
    if not mode:
        return buffer.getvalue()
    import gzip

    return gzip.compress(buffer.getvalue(), mtime=0)


def lay_out(folder: str, dockerfile: str) -> None:
    """Write a context; times, modes and owners are the same each time."""
    os.makedirs(f"{folder}/tree/sub")
    files = {"Dockerfile": dockerfile.encode(), "given": b"given\n", "tree/a": b"a", "tree/sub/tool": b"#!/bin/sh\n"}
    files |= {"packed.tar": packed(""), "packed.tar.gz": packed("gz")}
    for name, data in files.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(data)
        os.chmod(f"{folder}/{name}", 0o755 if name.endswith("tool") else 0o644)
    os.symlink("tool", f"{folder}/tree/sub/link")
    for parent, _, names in os.walk(folder, topdown=False):
        for name in [*names, "."]:
            os.utime(f"{parent}/{name}", (int(EPOCH), int(EPOCH)), follow_symlinks=False)
        os.chmod(parent, 0o755)


@pytest.fixture(scope="module")
def builders(tools):  # noqa: F811
    folder = tempfile.mkdtemp(prefix="scow-same-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    users = []
    for name, kind in BUILDERS:
        user = User(tools, name, f"{folder}/{name}-{kind}")
        user.env["SCOW_SNAPSHOTTER"] = kind
        user.load(base(), "bb:1")
        users.append(user)
    yield users
    assert left(lambda: at_work_in(folder)) == []
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_same_inputs_make_the_same_image(builders, name):
    found = {}
    for user in builders:
        context = f"{user.place}/{name}"
        lay_out(context, DOCKERFILES[name])
        user.run("build", "-q", "--network", "host", "--allow", "network.host", "-t", f"{name}:1", context)
        kind = f"{user.name} {user.env['SCOW_SNAPSHOTTER']}"
        found[kind] = user.out("inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", f"{name}:1")
    assert len(set(found.values())) == 1, "\n".join(f"{kind}: {what}" for kind, what in found.items())
