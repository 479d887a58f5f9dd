# SPDX-License-Identifier: Apache-2.0
"""Record what a real docker CLI prints for templates: ``record_templates.py CASES.json OUT.json``.

``docker context inspect --format`` applies any template to a context's metadata without a daemon, and metadata may
hold any JSON. CASES.json is a list of templates; OUT.json gets the data, and per template what was printed. ``.`` of a
case is the data: each is wrapped in ``{{with ...}}`` to reach it, which the recorded columns account for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

DATA = {
    "s": "str",
    "i": 5,
    "neg": -3,
    "zero": 0,
    "f": 1.5,
    "big": 1e21,
    "mid": 123456789,
    "tiny": 1e-7,
    "n": None,
    "l": [1, "a", None, {"k": "v"}],
    "strs": ["x", "y y", "z"],
    "m": {"b": 1, "a": "x"},
    "t": True,
    "u": False,
    "e": "",
    "el": [],
    "em": {},
    "html": "<a href='x'>\"&</a>",
    "uni": "héllo 世界 😀",
    "nl": "two\nlines\tand tab",
    "deep": {"a": {"b": {"c": "found"}}},
    "ll": [[1, 2], [3]],
    "ms": [{"n": "one", "v": 1}, {"n": "two", "v": 2}],
}
PREFIX = "{{with .Metadata.Metadata.AdditionalFields.d}}"
SUFFIX = "{{end}}"


def record(templates: list[str]) -> list[dict[str, object]]:
    """Run every template through docker."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "DOCKER_CONFIG": folder}
        subprocess.run(
            ["docker", "context", "create", "t1", "--docker", "host=unix:///x.sock"],
            env=env,
            check=True,
            capture_output=True,
        )
        (meta,) = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name == "meta.json"]
        with open(meta, encoding="utf-8") as file:
            document = json.load(file)
        document["Metadata"]["d"] = DATA
        with open(meta, "w", encoding="utf-8") as file:
            json.dump(document, file)
        rows: list[dict[str, object]] = []
        for template in templates:
            done = subprocess.run(
                ["docker", "context", "inspect", "t1", "--format", PREFIX + template + SUFFIX],
                env=env,
                check=False,
                capture_output=True,
            )
            rows.append(
                {
                    "template": template,
                    "status": done.returncode,
                    "out": done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n"),
                    "err": done.stderr.decode("utf-8", "surrogateescape").removesuffix("\n"),
                }
            )
        return rows


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        templates = json.load(file)
    rows = record(templates)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        document = {"data": DATA, "prefix": PREFIX, "suffix": SUFFIX, "cases": rows}
        file.write(json.dumps(document, separators=(",", ":")).replace('{"template"', '\n{"template"'))
        file.write("\n")


if __name__ == "__main__":
    main()
