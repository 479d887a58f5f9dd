# SPDX-License-Identifier: Apache-2.0
"""Compares results of the conformance kit with what ordinary users cannot do: ``judge.py RESULTS``.

Everything but the cases in ``reasons.txt`` must pass, whoever the user is.
"""

from __future__ import annotations

import json
import os
import sys


def reasons() -> dict[str, str]:
    """Cases that may fail, and why."""
    found = {}
    with open(os.path.join(os.path.dirname(__file__), "reasons.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                case, _, reason = line.strip().partition(" ")
                found[case] = reason.strip()
    return found


def main(argv: list[str]) -> int:
    """Say what failed; the exit status says whether that is acceptable."""
    with open(argv[0], encoding="utf-8") as file:
        results = json.load(file)
    known = reasons()
    failed = [row["case"] for row in results["cases"] if row["ok"] is False]
    passed = [row["case"] for row in results["cases"] if row["ok"]]
    for case in failed:
        print(f"{case}: {known.get(case, 'NOT KNOWN TO FAIL')}")
    for case in set(known) & set(passed):
        print(f"{case}: passes; take it out of reasons.txt")
    return int(not set(failed) <= set(known) or not passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
