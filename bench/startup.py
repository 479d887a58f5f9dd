# SPDX-License-Identifier: Apache-2.0
"""CPU time of ``scow --version`` beside a bare interpreter, interleaved, best and median of N.

usage: bench/startup.py [N]
"""

from __future__ import annotations

import os
import statistics
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
BIN = os.path.dirname(sys.executable)
PROGRAMS = {
    "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
    "scow --version": [os.path.join(BIN, "scow"), "--version"],
}


def cpu(argv: list[str]) -> float:
    """User and system seconds of one run."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{argv} failed: {status}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, argv in PROGRAMS.items():
            times[name].append(cpu(argv))
    base = times["python -I -c pass"]
    for name, values in times.items():
        ratio = statistics.median(mine / bare for mine, bare in zip(values, base, strict=True))
        best, middle = min(values) * 1e3, statistics.median(values) * 1e3
        print(f"{name:20} best {best:6.1f} ms  median {middle:6.1f} ms  ratio {ratio:.2f}")


main()
