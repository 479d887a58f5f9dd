# SPDX-License-Identifier: Apache-2.0
"""The whole road once, with the real command: base image from packages, build, run, call, commit, save, clean up.

``./dev demo`` calls this. It works in a store of its own (``SCOW_ROOT``, or ``.work/demo`` of this checkout), which it
leaves in place without containers and application images, so that the next demo finds the base image and the cache.
``--clean`` removes that store.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCOW = os.path.join(os.path.dirname(sys.executable), "scow")
STORE = os.environ.get("SCOW_ROOT") or os.path.join(TOP, ".work", "demo")
BASE, IMAGE, SIGNED = "hello-base:bookworm", "hello-web:1.0", "hello-web:signed"
CONTAINER = "hello-demo"
ENV = {**os.environ, "SCOW_ROOT": STORE}


def scow(*args: str, show: bool = True, check: bool = True) -> str:
    """Run one scow command, showing it as a user would type it, and return its standard output."""
    print("\n$ scow " + shlex.join(args), flush=True)
    done = subprocess.run([SCOW, *args], env=ENV, stdout=subprocess.PIPE, text=True, check=False)
    if show and done.stdout:
        print(done.stdout, end="" if done.stdout.endswith("\n") else "\n", flush=True)
    if check and done.returncode:
        sys.exit(f"demo: scow {args[0]} failed with exit status {done.returncode}")
    return done.stdout


def call(url: str, data: bytes | None = None) -> str:
    """Call the application, which may be about to start."""
    print(f"\n$ curl {'-d ' + shlex.quote(data.decode()) + ' ' if data else ''}{url}", flush=True)
    for _ in range(600):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as response:
                text = response.read().decode()
            print(text, end="", flush=True)
            return text
        except OSError:
            time.sleep(0.05)
    scow("logs", CONTAINER, check=False)
    sys.exit("demo: the application does not answer")


def remove_container() -> None:
    """Take away what an interrupted demo left."""
    subprocess.run([SCOW, "rm", "-f", "-v", CONTAINER], env=ENV, capture_output=True, check=False)


def free_port() -> int:
    """One that the kernel gives to nobody who has no wish, until the application has it."""
    for port in random.sample(range(20000, 30000), 100):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    sys.exit("demo: no port is free")


def demo() -> None:
    began = time.monotonic()
    print(f"store: {STORE}")
    remove_container()
    if BASE in scow("images", "--format", "{{.Repository}}:{{.Tag}}", BASE):
        print("the base image is there already")
    else:
        scow("base", "create", "debian:bookworm", "-t", BASE, "--include", "python3-minimal,libpython3-stdlib")
    scow("build", "-t", IMAGE, "-t", "hello-web:latest", os.path.join(TOP, "examples", "hello-web"))
    scow("images")
    scow("history", IMAGE)

    port = free_port()
    scow("run", "-d", "--name", CONTAINER, "--network", "host", "-e", f"PORT={port}", IMAGE)
    guest = call(f"http://127.0.0.1:{port}/", b"Ada")
    book = call(f"http://127.0.0.1:{port}/")
    if "guest number" not in guest or "Ada" not in book:
        sys.exit("demo: the application gave a wrong answer")
    scow("ps")
    scow("logs", CONTAINER)
    scow("stop", CONTAINER)

    scow("commit", "-m", "after the demo", "-c", "ENV SIGNED=1", CONTAINER, SIGNED)
    config = json.loads(scow("inspect", "--format", "{{json .Config}}", SIGNED, show=False))
    print(f"the committed image says {[entry for entry in config['Env'] if entry.startswith('SIGNED')]}")
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "hello-web.tar")
        scow("save", "-o", archive, IMAGE)
        print(f"the archive has {os.path.getsize(archive) / 1e6:.1f} MB")
        scow("rmi", "-f", IMAGE, "hello-web:latest")
        scow("load", "-i", archive)
        scow("run", "--rm", "--network", "none", IMAGE, "--version")

    scow("rm", "-v", CONTAINER)
    scow("rmi", SIGNED, IMAGE)
    scow("image", "prune", "-f")
    scow("system", "fsck")
    scow("system", "df")
    print(f"\nthe demo took {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    if "--clean" in sys.argv[1:]:
        shutil.rmtree(STORE)
    else:
        try:
            demo()
        finally:
            remove_container()
