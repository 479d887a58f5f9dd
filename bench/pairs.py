# SPDX-License-Identifier: Apache-2.0
"""Command lines in turn, compared: ``bench/pairs.py ROUNDS -- COMMAND... -- COMMAND...``; the first is the measure.

docker run -d --name cc IMAGE sleep 1000000; scow run -d --name cc IMAGE sleep 1000000
bench/pairs.py 20 -- docker exec cc true -- scow exec cc true
bench/pairs.py 20 -- docker run --rm IMAGE true -- scow run --rm IMAGE true
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time


def split(words: list[str]) -> list[list[str]]:
    """The command lines between the ``--``."""
    found: list[list[str]] = []
    for word in words:
        if word == "--":
            found.append([])
        else:
            found[-1].append(word)
    return found


def measure(command: list[str]) -> tuple[float, float]:
    """Run one to its end; milliseconds on the clock, and of the processors in it and what it waited for."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr.decode(errors='replace')}")
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    """Measure, and print a line for each command."""
    rounds, commands = int(sys.argv[1]), split(sys.argv[2:])
    rows = [[measure(command) for command in commands] for _ in range(rounds)]
    for at, command in enumerate(commands):
        walls = [row[at][0] for row in rows]
        ratio = statistics.median(row[at][0] / row[0][0] for row in rows)
        best = min(walls) / min(row[0][0] for row in rows)
        used = statistics.median(row[at][1] for row in rows)
        print(
            f"best {min(walls):7.1f} ms ({best:.2f}), middle {statistics.median(walls):7.1f} ms (of pairs {ratio:.2f}),"
            f" processors {used:6.1f} ms: {' '.join(command)}"
        )


if __name__ == "__main__":
    main()
