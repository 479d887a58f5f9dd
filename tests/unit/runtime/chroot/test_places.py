# SPDX-License-Identifier: Apache-2.0
"""What mounts show, put into a tree and taken out again; nothing of the host's may suffer."""

from __future__ import annotations

import json
import os

import pytest

from scow.errors import UnsupportedError
from scow.runtime.chroot.places import Places, undo


def everything(top):
    """Paths with contents and times of all that is below a directory."""
    found = {}
    for path, directories, files in os.walk(top):
        for name in directories:
            full = os.path.join(path, name)
            target = os.readlink(full) if os.path.islink(full) else "/"
            found[os.path.relpath(full, top)] = (target, os.lstat(full).st_mtime_ns)
        for name in files:
            full = os.path.join(path, name)
            with open(full, encoding="ascii") as file:
                found[os.path.relpath(full, top)] = (file.read(), os.lstat(full).st_mtime_ns)
    return found


@pytest.fixture
def tree(tmp_path):
    """A snapshot's tree in a store."""
    top = tmp_path / "store" / "snapshots" / "1" / "full"
    for name in ("etc", "data", "var/old", "empty"):
        (top / name).mkdir(parents=True)
    (top / "etc" / "hosts").write_text("image's\n")
    (top / "var" / "old" / "file").write_text("image's")
    (top / "link").symlink_to("data")
    (tmp_path / "state").mkdir()
    return str(top)


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


def bind(source, destination, *options):
    return {"type": "bind", "source": str(source), "destination": destination, "options": ["rbind", *options]}


def test_all_is_as_it_was_when_everything_is_taken_out_again(tmp_path, tree, state):
    before = everything(tree)
    hosts = tmp_path / "store" / "containers" / "c" / "hosts"
    hosts.parent.mkdir(parents=True)
    hosts.write_text("mine\n")
    seen = tmp_path / "seen"
    (seen / "below").mkdir(parents=True)
    (seen / "below" / "file").write_text("host's")
    mounts = [
        {"type": "proc", "source": "proc", "destination": "/proc", "options": []},
        bind(hosts, "/etc/hosts", "rw"),
        bind(seen, "/var/old", "ro"),
        bind(seen, "/link", "ro"),
        {"type": "tmpfs", "source": "tmpfs", "destination": "/empty", "options": ["mode=700"]},
    ]
    Places(tree, state).fill(mounts)
    during = everything(tree)
    assert during["etc/hosts"][0] == "mine\n"
    assert during["var/old/below/file"][0] == during["data/below/file"][0] == "host's"
    assert "var/old/file" not in during
    with open(f"{tree}/empty/left", "w", encoding="ascii"):
        pass
    assert {name: when for name, (_, when) in during.items() if name in ("etc", "var")} == {
        name: when for name, (_, when) in before.items() if name in ("etc", "var")
    }
    undo(tree, state)
    assert everything(tree) == before
    assert everything(seen)["below/file"][0] == "host's"
    with open(f"{tree}/../placed", encoding="utf-8") as file:
        assert file.read().split("\0")[:-1] == ["/etc/hosts", "/var/old", "/data", "/empty"]


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_the_hosts_is_never_written_to(tmp_path, tree, state, kind):
    """A directory to write to is not the store's own: neither moved nor shown, and what is in it stays."""
    host = tmp_path / "home"
    host.mkdir()
    (host / "precious").write_text("x")
    before, inside = everything(tmp_path / "home"), everything(tree)
    source = host if kind == "directory" else host / "precious"
    with pytest.raises(UnsupportedError, match="cannot be written to"):
        Places(tree, state).fill([bind(source, "/data", "rw")])
    undo(tree, state)
    assert everything(host) == before
    assert everything(tree) == inside


def test_a_tree_outside_of_a_store_has_no_directories_to_write_to(tmp_path, state):
    tree = tmp_path / "a" / "b" / "c"
    (tree / "data").mkdir(parents=True)
    (tmp_path / "volumes").mkdir()
    with pytest.raises(UnsupportedError):
        Places(str(tree), state).fill([bind(tmp_path / "volumes", "/data", "rw")])


def test_a_link_in_the_store_leads_to_nothing_that_is_written_to(tmp_path, tree, state):
    host = tmp_path / "home"
    host.mkdir()
    (tmp_path / "store" / "volumes").mkdir()
    (tmp_path / "store" / "volumes" / "v").symlink_to(host)
    with pytest.raises(UnsupportedError):
        Places(tree, state).fill([bind(tmp_path / "store" / "volumes" / "v", "/data", "rw")])


def test_a_volume_gets_what_became_of_its_copy(tmp_path, tree, state):
    volume = tmp_path / "store" / "volumes" / "v" / "_data"
    volume.mkdir(parents=True)
    (volume / "old").write_text("1")
    Places(tree, state).fill([bind(volume, "/data", "rw")])
    os.unlink(f"{tree}/data/old")
    with open(f"{tree}/data/new", "w", encoding="ascii") as file:
        file.write("2")
    assert (volume / "old").read_text() == "1"
    undo(tree, state)
    assert sorted(os.listdir(volume)) == ["new"]
    assert os.listdir(volume.parent) == ["_data"]
    assert os.listdir(f"{tree}/data") == []


def test_a_volume_stays_what_it_was_when_a_link_was_put_in_its_place(tmp_path, tree, state):
    volume = tmp_path / "store" / "volumes" / "v" / "_data"
    volume.mkdir(parents=True)
    (volume / "old").write_text("1")
    Places(tree, state).fill([bind(volume, "/data", "rw")])
    os.unlink(f"{tree}/data/old")
    os.rmdir(f"{tree}/data")
    os.symlink(tmp_path, f"{tree}/data")
    undo(tree, state)
    assert (volume / "old").read_text() == "1"
    assert os.path.isdir(f"{tree}/data")
    assert not os.path.islink(f"{tree}/data")


def test_what_was_written_down_and_not_done_is_undone_too(tree, state):
    """Killed between the list and the move: what stands there is the tree's own."""
    saved = os.path.join(os.path.dirname(tree), "saved", "0")
    before = everything(tree)
    with open(f"{state}/places.json", "w", encoding="ascii") as file:
        json.dump([["/etc/hosts", saved, ""]], file)
    undo(tree, state)
    assert everything(tree) == before
    undo(tree, state)


def test_a_link_above_a_place_is_not_followed(tmp_path, tree, state):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "hosts").write_text("host's")
    with open(f"{state}/places.json", "w", encoding="ascii") as file:
        json.dump([["/bad/hosts", "", ""]], file)
    os.symlink(outside, f"{tree}/bad")
    undo(tree, state)
    assert (outside / "hosts").read_text() == "host's"
