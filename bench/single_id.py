# SPDX-License-Identifier: Apache-2.0
"""What answering a container's calls costs: ``single_id.py ROUNDS IMAGE COMMAND [COMMAND...]``.

Each COMMAND is a scow of somebody, such as ``scow`` for root and ``tests/rootless/as scowone /path/to/scow`` for the
user with one id; IMAGE is an image with GNU find and tar that all of them have. They take turns; the best of each is
printed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys

SCRIPT = r"""
now() { date +%s%N; }
find / -xdev -newer /etc/passwd -printf '' ; n=$(find / -xdev | wc -l)
s=$(now); for i in 1 2 3 4 5; do find / -xdev -newer /etc/passwd -printf ''; done; e=$(now)
echo "stat, us: $(( (e-s)/5/n/100 ))"
s=$(now); i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done; e=$(now)
echo "fork and execute, us: $(( (e-s)/200/100 ))"
s=$(now); tar cf /tmp/x.tar /usr 2>/dev/null; mkdir /tmp/y; tar xf /tmp/x.tar -C /tmp/y; e=$(now)
echo "tar and untar /usr, ms: $(( (e-s)/100000 ))"
n=$(find /tmp/y | wc -l); s=$(now); chown -R 5:5 /tmp/y; e=$(now)
echo "chown -R, us for each: $(( (e-s)/n/100 ))"
s=$(now); i=0; while [ $i -lt 2000 ]; do : > /tmp/f$i; i=$((i+1)); done; e=$(now)
echo "make a file, us: $(( (e-s)/2000/100 ))"
"""


def measure(command: str, image: str) -> dict[str, float]:
    """Run the script once; returns figures by name."""
    words = [*shlex.split(command), "run", "--rm", "--network", "none", image, "sh", "-c", SCRIPT]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    pairs = (line.rpartition(": ") for line in done.stdout.splitlines())
    return {name: int(value) / 10 for name, _, value in pairs}


def main() -> None:
    """Print the table."""
    rounds, image, *commands = sys.argv[1:]
    best: list[dict[str, float]] = [{} for _ in commands]
    for _ in range(int(rounds)):
        for found, command in zip(best, commands, strict=True):
            for name, value in measure(command, image).items():
                found[name] = min(value, found.get(name, value))
    for name in best[0]:
        print(f"{name:28}", *(f"{found[name]:10.1f}" for found in best))


if __name__ == "__main__":
    main()
