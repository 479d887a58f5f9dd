# SPDX-License-Identifier: Apache-2.0
"""Every command, flag, letter and usage line that docker 28.2.2's own help pages show is here too, or named below."""

from __future__ import annotations

import json
import os

import pytest

from scow.cli import main as table

with open(os.path.join(os.path.dirname(__file__), "../../golden/flags/pages.json"), encoding="utf-8") as _file:
    PAGES = json.load(_file)

# Cluster volumes belong to Swarm, which is out of scope.
ABSENT_COMMANDS = {"volume update"}
CLUSTER_VOLUMES = {
    "availability",
    "group",
    "limit-bytes",
    "required-bytes",
    "scope",
    "secret",
    "sharing",
    "topology-preferred",
    "topology-required",
    "type",
}
# An image here is one platform; docker's need a daemon of API 1.47 or later too.
ABSENT_FLAGS = {
    "history": {"platform"},
    "image history": {"platform"},
    "image ls": {"tree"},
    "image rm": {"platform"},
    "image save": {"platform"},
    "images": {"tree"},
    "rmi": {"platform"},
    "save": {"platform"},
    "volume create": CLUSTER_VOLUMES,
}
# The platform of an index can be described without naming an image of it.
OWN_USAGE = {"manifest annotate", "manifest create"}


def test_every_command_is_in_the_table():
    assert set(PAGES) - set(table.COMMANDS) == ABSENT_COMMANDS


@pytest.mark.parametrize("path", sorted(set(PAGES) - ABSENT_COMMANDS))
def test_the_flags_are_docker_s(path):
    try:
        command = table.load(path)[0]
    except ModuleNotFoundError:
        pytest.skip(f"no module for {path} yet")
    assert command.usage == PAGES[path]["usage"] or path in OWN_USAGE
    flags = {flag.name: flag for flag in command.flags}
    missing, different = set(), []
    for name, short, word in PAGES[path]["flags"]:
        flag = flags.get(name)
        if flag is None:
            missing.add(name)
        elif flag.short != short or (flag.kind in ("bool", "optional")) != (not word):
            different.append((name, short, word, flag.short, flag.kind))
    assert missing == ABSENT_FLAGS.get(path, set())
    assert different == []
