# SPDX-License-Identifier: Apache-2.0
"""Pulls of several scows in turn, and what the registry alone takes: ``bench/pulls.py INPUTS IMAGE ROUNDS SCOW...``.

INPUTS is the folder of make-bench-images; a docker-registry of our own serves it. Blobs are dropped from the page cache
before each pull and the store is new. Without SCOW, only the floor: the same blobs asked for over four bare sockets.
Run it as root, ``compileall`` first.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 5479
CONNECTIONS = 4
CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: '127.0.0.1:{port}', secret: bench}}
"""


@contextmanager
def serving(inputs: Path, top: Path) -> Iterator[int]:
    """A docker-registry over the inputs; its process id."""
    config = top / "registry.yml"
    config.write_text(CONFIG.format(root=inputs / "registry", port=PORT))
    with subprocess.Popen(["docker-registry", "serve", str(config)], stderr=subprocess.DEVNULL, cwd="/") as server:
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", PORT)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield server.pid
        finally:
            server.terminate()


def used(pid: int) -> float:
    """Seconds of the processors that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fetch(image: str, layers: list[dict[str, Any]]) -> float:
    """Ask for every blob over a few bare sockets; seconds."""
    left = deque(layers)

    def work() -> None:
        buffer = bytearray(1 << 20)
        with socket.create_connection(("127.0.0.1", PORT)) as sock:
            while left:
                try:
                    layer = left.popleft()
                except IndexError:
                    return
                path = f"/v2/scowbench/{image}/blobs/{layer['gz_digest']}"
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                count = sock.recv_into(buffer)
                missing = layer["gz_size"] - (count - buffer.index(b"\r\n\r\n", 0, count) - 4)
                while missing > 0:
                    missing -= sock.recv_into(buffer)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def pull(scow: str, image: str, top: Path) -> tuple[float, float, float]:
    """One pull into a new store: seconds on the clock, of the processors, and MB at most."""
    root = top / "store"
    environ = {**os.environ, "SCOW_ROOT": str(root / "s"), "SCOW_RUN_ROOT": str(root / "r")}
    begin = time.perf_counter()
    command = [scow, "pull", "-q", f"127.0.0.1:{PORT}/scowbench/{image}:1"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    passed = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{scow} failed")
    shutil.rmtree(root)
    return passed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def forget(inputs: Path, layers: list[dict[str, Any]]) -> None:
    """Drop the registry's blobs from the page cache."""
    os.sync()
    for layer in layers:
        name = layer["gz_digest"].partition(":")[2]
        fd = os.open(inputs / f"registry/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data", os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def main(inputs: Path, image: str, rounds: int, scows: list[str]) -> None:
    """Measure, and print a line for each."""
    layers = json.loads((inputs / "inputs.json").read_text())["images"][image]["layers"]
    found: dict[str, list[tuple[float, float, float]]] = {scow: [] for scow in scows}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, serving(inputs, Path(name)) as pid:
        before = used(pid)
        times = [fetch(image, layers) for _ in range(rounds)]
        print(f"floor: best {min(times):.3f} s, the registry's processor time {(used(pid) - before) / rounds:.2f} s")
        for turn in range(rounds + 1):
            for scow in scows if turn % 2 else scows[::-1]:
                forget(inputs, layers)
                done = pull(scow, image, Path(name))
                if turn:  # the first is to warm up
                    found[scow].append(done)
    for scow, rows in found.items():
        walls, cpus, sizes = zip(*rows, strict=True)
        print(
            f"{scow}: median {statistics.median(walls):.3f} s, best {min(walls):.3f} s, "
            f"processor time {statistics.median(cpus):.2f} s, at most {max(sizes):.0f} MB, "
            f"time / that of the first {statistics.median(map(_ratio, rows, found[scows[0]])):.3f}"
        )


def _ratio(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    return one[0] / other[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
