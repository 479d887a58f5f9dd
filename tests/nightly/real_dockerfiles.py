# SPDX-License-Identifier: Apache-2.0
"""Builds real Dockerfiles of the conformance corpus and runs what they made. Not part of the test suite: it takes some
twenty minutes, needs root, a Debian mirror, PyPI and npm.

    python tests/nightly/real_dockerfiles.py [--corpus DIRECTORY] [--work DIRECTORY] [NAME ...]

Each Dockerfile is taken as it is but for the rewritings listed here: the base becomes a local one, made from Debian's
packages, and what belonged to the old base (``apk``, another release's package names) becomes Debian's. Files that the
repository had beside it are stood in for by small ones. The last lines are a Markdown table; the status is 1 when one
of them failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "../../../shared/conformance/parse/dockerfiles")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"

BASES = {
    "real/python": "FROM real/debian\nRUN apt-get update && apt-get install -y --no-install-recommends ca-certificates"
    " python3 python3-pip python3-venv && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED"
    " && ln -s python3 /usr/bin/python\n",
    "real/node": "FROM real/debian\nRUN apt-get update && apt-get install -y --no-install-recommends ca-certificates"
    " nodejs npm && rm -rf /var/lib/apt/lists/*\n",
}
PYTHON = (r"(?m)^FROM (--platform=\S+ )?python:\S+", r"FROM \1real/python")
DEBIAN = (r"(?m)^FROM (debian|ubuntu):\S+", "FROM real/debian")


class Real(NamedTuple):
    """One Dockerfile.

    Attributes:
        source: Its name in the corpus.
        changes: Pattern and replacement, applied in turn.
        smoke: What is run in the image; ``None`` for its own command.
        says: What that must print somewhere.
        files: Content by name, for the context.
        flags: Further flags of ``build``.
        status: The exit status expected.
        entrypoint: ``--entrypoint`` of the run.
    """

    source: str
    changes: tuple[tuple[str, str], ...]
    smoke: tuple[str, ...] | None
    says: str
    files: Mapping[str, str] = MappingProxyType({})
    flags: tuple[str, ...] = ()
    status: int = 0
    entrypoint: str = ""


C = '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n'
GET = "nginx && exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
FLASK = (
    "import threading, urllib.request\nfrom flask import Flask\napp = Flask(__name__)\n"
    "@app.route('/')\ndef hello():\n    return 'hello from flask'\n"
    "if __name__ == '__main__':\n"
    "    threading.Thread(target=app.run, kwargs={'port': 5000}, daemon=True).start()\n"
    "    import time; time.sleep(2)\n"
    "    print(urllib.request.urlopen('http://127.0.0.1:5000/').read().decode())\n"
)
SETUP = (
    "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
    "[project]\nname = 'little'\nversion = '1'\n[project.optional-dependencies]\nssh = ['paramiko']\ndocs = ['sphinx']\n"
    "[project.scripts]\nlittle = 'little:main'\n[tool.setuptools]\npy-modules = ['little']\n"
)
LITTLE = "def main():\n    import paramiko\n    print('little with paramiko', paramiko.__version__)\n"
PACKAGE = (
    '{"name": "front", "version": "1.0.0", "scripts": {"start": "node index.js"},'
    ' "dependencies": {"left-pad": "1.3.0"}}\n'
)
LOCK = (
    '{"name": "front", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {"": {"name": "front",'
    ' "version": "1.0.0", "dependencies": {"left-pad": "1.3.0"}}, "node_modules/left-pad": {"version": "1.3.0"}}}\n'
)
INDEX = "console.log(require('left-pad')('padded', 10, '.'))\n"
NO_DEV = (r"(?s)FROM (builder|development) as dev-envs.*", "")

REAL = {
    "jq": Real("getsentry_self-hosted__jq-Dockerfile", (DEBIAN,), ("-n", "20 + 22"), "42"),
    "s3cmd": Real("jessfraz_dockerfiles__s3cmd-Dockerfile", (DEBIAN,), ("--version",), "s3cmd version"),
    "netcat": Real(
        "jessfraz_dockerfiles__netcat-Dockerfile", (DEBIAN, (r"\tnetcat ", "\tnetcat-traditional ")), ("-h",), "connect to"
    ),
    "glxgears": Real("jessfraz_dockerfiles__glxgears-Dockerfile", (DEBIAN,), (), "open display", status=255),
    "virt-viewer": Real(
        "jessfraz_dockerfiles__virt-viewer-Dockerfile", (DEBIAN,), ("--version",), "virt-viewer version",
        entrypoint="virt-viewer",
    ),
    "pulseaudio": Real(
        "jessfraz_dockerfiles__pulseaudio-Dockerfile", (DEBIAN,), ("--version",), "pulseaudio 1",
        files={"default.pa": ".nofail\n", "client.conf": "autospawn = no\n", "daemon.conf": "daemonize = no\n"},
    ),
    "bandit": Real("indigo-dc_udocker__docker_sqaaastools-Dockerfile-bandit", (PYTHON,), ("bandit", "--version"), "bandit"),
    "nosetests": Real(
        "indigo-dc_udocker__docker_sqaaastools-Dockerfile-nosetests", (PYTHON,), ("coverage", "--version"), "Coverage.py"
    ),
    "jsonlint": Real(
        "indigo-dc_udocker__docker_sqaaastools-Dockerfile-jsonlint", ((r"FROM node:\S+", "FROM real/node"),),
        ("sh", "-c", "echo '{\"a\": 1}' > /tmp/a.json && jsonlint-cli /tmp/a.json && echo fine"), "fine",
    ),
    "gixy": Real("jessfraz_dockerfiles__gixy-Dockerfile", (PYTHON,), ("--version",), "Gixy"),
    "ansible": Real(
        "jessfraz_dockerfiles__ansible-Dockerfile",
        (
            PYTHON,
            (r"musl-dev", "libc6-dev"), (r"openssl-dev", "libssl-dev"),
            (r"apk --no-cache add", "apt-get update && apt-get install -y --no-install-recommends"),
            (r"apk del --purge", "apt-get purge -y"),
        ),
        ("--version",), "ansible [core",
    ),
    "curl": Real("docker-library_buildpack-deps__ubuntu-jammy-curl-Dockerfile", (DEBIAN,), ("curl", "--version"), "libcurl"),
    "scm": Real(
        "docker-library_buildpack-deps__ubuntu-jammy-scm-Dockerfile", ((r"FROM \S+", "FROM real/curl"),),
        ("git", "--version"), "git version 2",
    ),
    "devcontainer": Real(
        "devcontainers_images__src-base-debian-.devcontainer-Dockerfile",
        ((r"FROM buildpack-deps:\$\{VARIANT\}-curl", "FROM real/curl"),), ("wget", "--version"), "GNU Wget",
    ),
    "syscall-test": Real(
        "moby_moby__contrib-syscall-test-Dockerfile", ((r"(?m)^FROM debian:\S+", "FROM real/debian"),),
        ("sh", "-c", "for t in userns ns acct setuid setgid socket raw; do $t-test; done | uniq -c"), "7 ran",
        files={
            **{f"{name}.c": C for name in ("userns", "ns", "acct", "setuid", "setgid", "socket", "raw")}, "exit32.s": "\n",
        },
    ),
    "nginx": Real(
        "buildkit-testfiles__nginx", (DEBIAN,), ("bash", "-c", GET), "hello from nginx",
        files={
            "etc/nginx.conf": "events {}\nhttp { server { listen 80; location / { return 200 'hello from nginx'; } } }\n",
        },
    ),
    "mumble": Real(
        "buildkit-testfiles__mumble", (DEBIAN,), ("sh", "-c", "getcap /usr/sbin/murmurd; murmurd -version 2>&1"), "1.",
        files={"mumble-server.ini": "port=64738\n"},
    ),
    "redis": Real(
        "buildkit-testfiles__kartar-entrypoint-oddities", (DEBIAN,), ("--version",), "Redis server",
    ),
    "flask": Real(
        "docker_awesome-compose__nginx-wsgi-flask-flask-Dockerfile",
        (
            PYTHON, (r"apk add", "apt-get update && apt-get install -y"),
            (r"adduser -D", "useradd -m"), (r"mkdir /home/app/", "mkdir -p /home/app"),
        ),
        None, "hello from flask", files={"app.py": FLASK, "requirements.txt": "flask\n"},
    ),
    "flask-mongo": Real(
        "docker_awesome-compose__nginx-flask-mongo-flask-Dockerfile", (PYTHON, NO_DEV), None, "hello from flask",
        files={"server.py": FLASK, "requirements.txt": "flask\npymongo\n"},
    ),
    "django": Real(
        "docker_awesome-compose__django-app-Dockerfile", (PYTHON, NO_DEV), ("-m", "django", "--version"), ".",
        files={"manage.py": "print('manage')\n", "requirements.txt": "Django\n"},
    ),
    "docker-py": Real(
        "docker_docker-py__Dockerfile", (PYTHON,), ("little",), "little with paramiko",
        files={"pyproject.toml": SETUP, "little.py": LITTLE},
    ),
    "docker-py-docs": Real(
        "docker_docker-py__Dockerfile-docs", (PYTHON,), ("sh", "-c", "id -un && sphinx-build --version"), "sphinx-build",
        files={"pyproject.toml": SETUP, "little.py": LITTLE},
    ),
    "react": Real(
        "docker_awesome-compose__react-express-mongodb-frontend-Dockerfile",
        ((r"FROM node:\S+", "FROM real/node"), NO_DEV), None, "....padded",
        files={"package.json": PACKAGE, "package-lock.json": LOCK, "index.js": INDEX},
    ),
}  # fmt: skip


class Builder:
    """Runs scow over a store of its own.

    Args:
        work: Directory for everything.
        corpus: Where the Dockerfiles are.
    """

    def __init__(self, work: str, corpus: str) -> None:
        self.work = work
        self.corpus = corpus
        self.program = os.path.join(os.path.dirname(sys.executable), "scow")
        self.env = {**os.environ, "SCOW_ROOT": f"{work}/store", "SCOW_RUN_ROOT": f"{work}/run"}
        os.makedirs(work, exist_ok=True)
        for name, text in (
            ("pip.conf", "[global]\ncert = /host-authorities.crt\ndisable-pip-version-check = true\n"),
            ("npmrc", "cafile=/host-authorities.crt\nupdate-notifier=false\n"),
        ):
            with open(f"{work}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        # the host's authorities, so that mirrors behind its own proxy are believed
        self.volumes = [
            word
            for volume in (
                f"{AUTHORITIES}:/host-authorities.crt:ro",
                f"{work}/pip.conf:/etc/pip.conf:ro",
                f"{work}/npmrc:/root/.npmrc:ro",
            )
            for word in ("-v", volume)
        ]

    def scow(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command line."""
        return subprocess.run([self.program, *argv], env=self.env, capture_output=True, text=True, timeout=1800)

    def bases(self) -> None:
        """Make the local bases that are not there."""
        if self.scow("image", "inspect", "real/debian").returncode:
            print("making real/debian ...", flush=True)
            done = self.scow("base", "create", "-q", "debian:bookworm", "-t", "real/debian")
            if done.returncode:
                sys.exit(done.stderr)
        for name, text in BASES.items():
            print(f"making {name} ...", flush=True)
            done = self.build(name, text, {})
            if done.returncode:
                sys.exit(done.stderr)

    def build(
        self, tag: str, text: str, files: Mapping[str, str], flags: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Build from a Dockerfile and files."""
        context = f"{self.work}/context"
        shutil.rmtree(context, ignore_errors=True)
        for name, content in {"Dockerfile": text, **files}.items():
            path = os.path.join(context, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        return self.scow("build", "-q", "--progress=plain", "-t", tag, *self.volumes, *flags, context)

    def check(self, name: str, real: Real) -> tuple[str, float, str]:
        """Build one and run it: the verdict, the seconds of the build, and what was said."""
        with open(os.path.join(self.corpus, real.source), encoding="utf-8") as file:
            text = file.read()
        for pattern, replacement in real.changes:
            text = re.sub(pattern, replacement, text)
        begun = time.monotonic()
        done = self.build(f"real/{name}", text, real.files, real.flags)
        seconds = time.monotonic() - begun
        if done.returncode:
            return "does not build", seconds, done.stderr[-3000:]
        entry = ("--entrypoint", real.entrypoint) if real.entrypoint else ()
        ran = self.scow("run", "--rm", "--network", "none", *entry, f"real/{name}", *(real.smoke or ()))
        said = ran.stdout + ran.stderr
        if ran.returncode != real.status or real.says not in said:
            return f"does not run (status {ran.returncode})", seconds, said[-3000:]
        return "runs", seconds, said

    def size(self, name: str) -> str:
        """How large an image is."""
        return self.scow("images", "--format", "{{.Size}}", f"real/{name}").stdout.strip()


def main() -> int:
    """Check the Dockerfiles named, or all."""
    parser = argparse.ArgumentParser(description="Build real Dockerfiles and run what they made.")
    parser.add_argument("--corpus", default=CORPUS)
    parser.add_argument("--work", default="/var/tmp/scow-real")
    parser.add_argument("names", nargs="*", help=", ".join(REAL))
    options = parser.parse_args()
    builder = Builder(options.work, options.corpus)
    builder.bases()
    rows = ["| Dockerfile | result | build, s | image |", "| --- | --- | --- | --- |"]
    failed = 0
    for name in options.names or REAL:
        verdict, seconds, said = builder.check(name, REAL[name])
        print(f"{name}: {verdict}, {seconds:.0f} s", flush=True)
        if verdict != "runs":
            failed += 1
            print(said, flush=True)
        rows.append(f"| {REAL[name].source} | {verdict} | {seconds:.0f} | {builder.size(name)} |")
    print("\n".join(rows))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
