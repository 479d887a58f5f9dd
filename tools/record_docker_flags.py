# SPDX-License-Identifier: Apache-2.0
"""Record which flags a real docker CLI has, from its help pages: ``record_docker_flags.py OUT.json``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile

TOP = [
    "attach",
    "build",
    "commit",
    "cp",
    "create",
    "diff",
    "events",
    "exec",
    "export",
    "history",
    "images",
    "import",
    "info",
    "inspect",
    "kill",
    "load",
    "login",
    "logout",
    "logs",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "save",
    "search",
    "start",
    "stats",
    "stop",
    "tag",
    "top",
    "unpause",
    "update",
    "version",
    "wait",
]
FAMILIES = [
    "builder",
    "container",
    "image",
    "manifest",
    "network",
    "system",
    "trust",
    "trust key",
    "trust signer",
    "volume",
]
FLAG = re.compile(r"^  (?:-(\w), |    )--([\w-]+)(?: ([^\s]+))?(?:   |$)", re.MULTILINE)
MEMBER = re.compile(r"^  ([\w-]+) +\S", re.MULTILINE)


def page(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(["docker", *words, "--help"], env=env, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> None:
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "DOCKER_HOST": "unix:///none.sock"}
        paths = [[name] for name in TOP]
        for family in FAMILIES:
            members = page(env, *family.split()).split("\nCommands:\n")[1].split("\n\n")[0]
            paths += [[*family.split(), name] for name in MEMBER.findall(members)]
        for path in paths:
            text = page(env, *path)
            usage = text.split("Usage:  docker ", 1)[1].split("\n\n")[0]
            forms = [form.strip().removeprefix("docker ") for form in usage.split("\n")]
            forms = [form.removeprefix(" ".join(path)).strip().removeprefix(f"{path[-1]} ") for form in forms]
            summary = text.split("\n\n")[1] if path != ["build"] and path[-1] != "build" else ""
            flags = [[name, short, word] for short, name, word in FLAG.findall(text) if name != "help"]
            out[" ".join(path)] = {"usage": "\n".join(forms), "summary": summary, "flags": flags}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
