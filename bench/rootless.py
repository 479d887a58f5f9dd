# SPDX-License-Identifier: Apache-2.0
"""scow beside rootless podman and buildah: run, build, pull. To be run by an ordinary user with subordinate ids.

usage: bench/rootless.py DIRECTORY ARCHIVE IMAGE [ROUNDS [OPERATION...]]

DIRECTORY gets the stores and is not cleaned; ARCHIVE (docker save) holds IMAGE and is what is pulled, from a registry
that is started here (docker-registry), into stores of their own. Rounds alternate. podman gets runc, overlay and its
own default network; so does scow. Prints milliseconds, best and median of each, and the median of the ratios within
rounds. Operations are named by the beginnings of their lines; without any all are measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTLE = 0.7
SCOW = os.path.join(os.path.dirname(sys.executable), "scow")
DOCKERFILE = (
    "FROM {image}\nRUN echo one > /one\nRUN mkdir /two && echo two > /two/file\nCOPY Dockerfile /copied\nRUN ls /\n"
)


class Row(NamedTuple):
    """One operation; ``{}`` in a word becomes the number of the round."""

    name: str
    scow: list[str]
    peer: list[str]


def seconds(words: Sequence[str]) -> float:
    """Wall time of one command, which must succeed."""
    begin = time.perf_counter()
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    end = time.perf_counter()
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return end - begin


def registry(place: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a registry; returns it and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.path.join(place, "registry.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {place}/registry\n"
            f"http:\n  addr: 127.0.0.1:{port}\n"
        )
    server = subprocess.Popen(["docker-registry", "serve", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    return server, f"127.0.0.1:{port}"


def podman(place: str, store: str, program: str = "podman") -> list[str]:
    """A command line of podman's or buildah's, as far as its store."""
    words = [shutil.which(program) or program, "--root", f"{place}/{store}", "--runroot", f"{place}/{store}-run"]
    return [*words, "--storage-driver", "overlay", *(["--runtime", "runc"] if program == "podman" else [])]


def rows(place: str, address: str, image: str) -> list[Row]:
    """What is measured."""
    # A new store each round: an ext4 without a journal looks for a minute at every inode that was removed.
    peer, pulling = podman(place, "podman"), podman(place, "pulled{}")
    buildah = [*podman(place, "podman", "buildah"), "bud", "--runtime", "/usr/sbin/runc", "--layers", "-t", "built:1"]
    ours = [SCOW, "--root", f"{place}/scow-pulled{{}}"]
    context, remote = f"{place}/context", f"{address}/bench:1"
    none = ["--network", "none", image, "true"]
    return [
        Row("run, --network none", [SCOW, "run", "--rm", *none], [*peer, "run", "--rm", *none]),
        Row("run, default network", [SCOW, "run", "--rm", image, "true"], [*peer, "run", "--rm", image, "true"]),
        Row("run -d", [SCOW, "run", "--rm", "-d", *none], [*peer, "run", "--rm", "-d", *none]),
        Row(
            "build, 3 RUN and 1 COPY, --no-cache",
            [SCOW, "build", "--no-cache", "-t", "built:1", context],
            [*buildah, "--no-cache", context],
        ),
        Row("build, all from the cache", [SCOW, "build", "-t", "built:1", context], [*buildah, context]),
        Row(
            "pull",
            [*ours, "pull", "-q", remote],
            [*pulling, "pull", "-q", "--tls-verify=false", remote],
        ),
    ]


def main(argv: list[str]) -> int:
    """Measure and print."""
    place, archive, image = argv[:3]
    rounds = int(argv[3]) if len(argv) > 3 else 10
    os.makedirs(f"{place}/context", exist_ok=True)
    os.environ["SCOW_ROOT"], os.environ["SCOW_RUN_ROOT"] = f"{place}/scow", f"{place}/scow-run"
    with open(f"{place}/context/Dockerfile", "w", encoding="utf-8") as file:
        file.write(DOCKERFILE.format(image=image))
    server, address = registry(place)
    try:
        table = rows(place, address, image)
        for words in ([SCOW], podman(place, "podman")):
            subprocess.run([*words, "load", "-q", "-i", archive], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([SCOW, "tag", image, f"{address}/bench:1"], check=True)
        subprocess.run([SCOW, "push", "-q", f"{address}/bench:1"], check=True, stdout=subprocess.DEVNULL)
        for row in table:
            if len(argv) < 5 or row.name.startswith(tuple(argv[4:])):
                measure(row, rounds)
    finally:
        server.terminate()
        server.wait()
    return 0


def measure(row: Row, rounds: int) -> None:
    """One operation, the programs in turn; the first round is not counted."""
    found: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        pair = []
        for words in (row.scow, row.peer):
            pair.append(seconds([word.replace("{}", str(number)) for word in words]) * 1000)
            time.sleep(_SETTLE if "-d" in words else 0)  # or the other one waits for what follows a container's end
        if number:
            found.append((pair[0], pair[1]))
    ours, theirs = ([pair[at] for pair in found] for at in (0, 1))
    ratio = statistics.median(a / b for a, b in found)
    print(
        f"{row.name}: scow {min(ours):.0f} best, {statistics.median(ours):.0f} median;"
        f" peer {min(theirs):.0f} best, {statistics.median(theirs):.0f} median; ratio {ratio:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
