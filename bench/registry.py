# SPDX-License-Identifier: Apache-2.0
"""``scow registry serve`` beside Debian's docker-registry, in one run: ``bench/registry.py DIRECTORY [MIB [ROUNDS]]``.

For each server in turn, ROUNDS (2) times, of which the best counts: a manifest by its tag over four connections, one
blob of MIB (1024) pushed with PATCH and PUT as docker does, and pulled. Figures are the time that a client sees, the
processor time of the server, and the most memory it had.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REQUESTS = 4000
LANES = 4
PIECE = os.urandom(1 << 20)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
SETTINGS = """version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ROOT}, cache: {blobdescriptor: inmemory}}
http: {addr: "127.0.0.1:PORT"}
"""


def start(name: str, folder: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server; return it and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if name == "scow":
        scow = os.path.join(os.path.dirname(sys.executable), "scow")
        argv = [scow, "registry", "serve", "--root", f"{folder}/scow", "--address", f"127.0.0.1:{port}"]
    else:
        with open(f"{folder}/config.yml", "w", encoding="utf-8") as file:
            file.write(SETTINGS.replace("ROOT", f"{folder}/docker").replace("PORT", str(port)))
        argv = ["docker-registry", "serve", f"{folder}/config.yml"]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            ask(http.client.HTTPConnection("127.0.0.1", port), "GET", "/v2/")
            return server, port
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{name} does not start")


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    kind: str = "",
) -> http.client.HTTPResponse:
    """One request; its answer is read."""
    connection.request(method, path, body, {"Content-Type": kind, "Accept": kind} if kind else {})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {data[:300]!r}")
    return answer


def used(server: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a server so far."""
    with open(f"/proc/{server.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(server: subprocess.Popen[bytes]) -> int:
    """The most memory it had, in MiB."""
    with open(f"/proc/{server.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))


def where(answer: http.client.HTTPResponse) -> str:
    """The path of a ``Location``."""
    location = answer.getheader("Location") or ""
    return "/" + location.split("/", 3)[3] if "://" in location else location


def push(connection: http.client.HTTPConnection, digest: str, pieces: Iterable[bytes]) -> None:
    """Push a blob as docker does."""
    path = where(ask(connection, "POST", "/v2/app/blobs/uploads/"))
    path = where(ask(connection, "PATCH", path, pieces))
    ask(connection, "PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}")


def pull(connection: http.client.HTTPConnection, digest: str) -> None:
    """Pull a blob."""
    connection.request("GET", f"/v2/app/blobs/{digest}")
    answer = connection.getresponse()
    buffer = bytearray(1 << 20)
    while answer.readinto(buffer):
        pass


def manifests(port: int) -> None:
    """Ask for a manifest again and again."""

    def lane() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(REQUESTS // LANES):
            ask(connection, "GET", "/v2/app/manifests/v1", kind=MANIFEST)

    threads = [threading.Thread(target=lane) for _ in range(LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def blob(mib: int) -> Iterable[bytes]:
    """The pieces of the blob."""
    return (index.to_bytes(8, "big") + PIECE[8:] for index in range(mib))


def one_round(name: str, folder: str, mib: int) -> dict[str, tuple[float, float]]:
    """Measure one server: what took how long and how much of the processor; memory stands under its own name."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    server, port = start(name, folder)

    def measured(work: Callable[[], None]) -> tuple[float, float]:
        begin, before = time.monotonic(), used(server)
        work()
        return time.monotonic() - begin, used(server) - before

    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        config = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
        push(connection, config, [b"{}"])
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config, "size": 2},
            "layers": [],
            "annotations": {"fill": "x" * 1200},
        }
        ask(connection, "PUT", "/v2/app/manifests/v1", json.dumps(document).encode(), MANIFEST)
        summed = hashlib.sha256()
        for piece in blob(mib):
            summed.update(piece)
        digest = f"sha256:{summed.hexdigest()}"
        manifests(port)
        found = {"manifests": measured(lambda: manifests(port))}
        idle = peak(server)
        found["push"] = measured(lambda: push(connection, digest, blob(mib)))
        found["pull"] = measured(lambda: pull(connection, digest))
        return {**found, "memory": (idle, peak(server))}
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    folder, *rest = sys.argv[1:]
    mib, rounds = (*map(int, rest), *(1024, 2)[len(rest) :])
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(rounds):
        for name in ("docker-registry", "scow"):
            for what, figures in one_round(name, folder, mib).items():
                old = best.setdefault((name, what), figures)
                best[name, what] = (min(old[0], figures[0]), min(old[1], figures[1]))
    shutil.rmtree(folder)
    print(f"best of {rounds}, load {os.getloadavg()[0]:.1f}, a blob of {mib} MiB")
    for name in ("docker-registry", "scow"):
        wall, cpu = best[name, "manifests"]
        print(f"{name}: manifest {REQUESTS / wall:.0f}/s, {cpu / REQUESTS * 1e6:.0f} us of processor each")
        for what in ("push", "pull"):
            wall, cpu = best[name, what]
            print(f"{name}: {what} {wall:.2f} s, {mib / wall:.0f} MiB/s, {cpu:.2f} s of processor")
        print(f"{name}: memory {best[name, 'memory'][0]} MiB before the blob, {best[name, 'memory'][1]} MiB after it")


if __name__ == "__main__":
    main()
