# SPDX-License-Identifier: Apache-2.0
"""``scow run --rm --network none IMAGE true`` beside bare ``runc run`` of the same tree, interleaved; needs root.

usage: bench/run.py DIRECTORY ARCHIVE IMAGE [N]

DIRECTORY gets a store and a bundle and is not cleaned; ARCHIVE holds IMAGE (docker save); N pairs, 30 by default.
Prints best and median of each, and the median of the differences within pairs, all in milliseconds.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

SCOW = os.path.join(os.path.dirname(sys.executable), "scow")


def prepare(place: str, archive: str, image: str) -> dict[str, list[str]]:
    """Load the image and unpack it for the bare runtime; returns the two command lines."""
    runc = shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if runc is None:
        raise SystemExit("runc is not installed")
    bundle = os.path.join(place, "bundle")
    rootfs = os.path.join(bundle, "rootfs")
    subprocess.run([SCOW, "load", "-q", "-i", archive], check=True, stdout=subprocess.DEVNULL)
    if not os.path.isdir(rootfs):
        os.makedirs(rootfs)
        made = subprocess.run(
            [SCOW, "create", image, "true"], check=True, capture_output=True, text=True
        ).stdout.strip()
        tar = subprocess.Popen([SCOW, "export", made], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-xpf", "-", "-C", rootfs], stdin=tar.stdout, check=True)
        tar.wait()
        subprocess.run([SCOW, "rm", made], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([runc, "spec", "-b", bundle], check=True)
        path = os.path.join(bundle, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        spec["process"].update(terminal=False, args=["true"])
        spec["root"]["readonly"] = False
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
    return {
        "runc": [runc, "--root", os.path.join(place, "runc"), "run", "-b", bundle, "bench"],
        "scow": [SCOW, "run", "--rm", "--network", "none", image, "true"],
    }


def seconds(words: list[str]) -> float:
    """Wall time of one command."""
    quiet = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    begin = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=quiet)
    status = os.waitpid(pid, 0)[1]
    if status:
        raise SystemExit(f"{words} failed: {status}")
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    place, archive, image, *rest = sys.argv[1:]
    os.environ["SCOW_ROOT"] = os.path.join(place, "store")
    os.environ["SCOW_RUN_ROOT"] = os.path.join(place, "run")
    commands = prepare(place, archive, image)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(int(rest[0]) if rest else 30):
        for name in sorted(commands, reverse=bool(turn % 2)):
            times[name].append(seconds(commands[name]) * 1e3)
    for name, values in times.items():
        print(f"{name}  best {min(values):6.1f}  median {statistics.median(values):6.1f}")
    apart = [ours - bare for ours, bare in zip(times["scow"], times["runc"], strict=True)]
    print(f"difference within pairs: median {statistics.median(apart):.1f}")


main()
