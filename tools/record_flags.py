# SPDX-License-Identifier: Apache-2.0
"""Record how a real docker CLI answers malformed command lines: ``record_flags.py OUT.json``; no daemon is needed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile

LINES = r"""
ps --dig
ps --al
ps --=
ps ---x
ps -=
ps --all=
ps -a=
ps -aq=no
ps -aq=maybe
ps -an
ps -n x
ps -n=3x
ps --last=99999999999999999999
ps --last=-99999999999999999999
ps --last=
ps --last
ps --last 0x
ps --last ""
ps --last 1__0
ps -h
ps --help
ps --help --bad
ps --bad --help
ps x --help
ps --help=maybe
ps -v
ps -f
ps --filter a
ps -f =
ps extra arg
ps -- --all
ps -z
ps -az
ps -zé
ps "--no trunc"
images -q=maybe
images --quiet=maybe
images --quiet=TRUE x y
images a b
images --filter a
images "-q=a\"b"
images --quiet=é
run -z
run --nosuchflag x
run --name
run --memory=abc x
run -m 1q x
run -m 1kbb x
run -m 1kbbb x
run -m "" x
run -m -1 x
run -m 1..2m x
run -m . x
run --memory-swap=x y
run --memory-swap -2 y
run --cpus=a x
run --cpus=1.0000000001 x
run --cpus= x
run -itz x
run -it= x
run -e
run -it -e
run -e=A
run --health-interval=5 x
run --health-interval=1q x
run --health-interval= x
run --health-interval=. x
run --health-interval=1s2 x
run --health-interval=s x
run --health-interval=1.2.3s x
run --health-interval=-1q x
run --health-retries=x y
run --blkio-weight=a x
run --blkio-weight=-1 x
run --blkio-weight=999999 x
run --blkio-weight=70000 x
run -u
run --rm=x y
run
run --
run --rm
create -e
create
rmi
rmi -f
rmi --force=2 x
tag a
tag
tag a b c
version a
version --format
cp a
cp a b c
cp -z
stop -t abc x
stop -t
stop
history --human=x
history
history a b
commit --pause=zz x
commit
commit a b c
image
image nope
image -z
image ls --bad
image ls a b
container ls x
container run
manifest inspect
manifest inspect a b c
volume create a b
nope
imges
--nope
-z ps
-H
--host
--log-level
-v x
--version x
-Dv
image prune x
"""


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "DOCKER_CONFIG": folder, "DOCKER_HOST": "unix:///none.sock"}
        for line in LINES.strip().split("\n"):
            argv = shlex.split(line)
            done = subprocess.run(["docker", *argv], env=env, check=False, capture_output=True, text=True)
            rows.append({"argv": argv, "status": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
