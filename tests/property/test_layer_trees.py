# SPDX-License-Identifier: Apache-2.0
"""Random trees with every kind of entry, archived by three programs: all ways of reading them show the same tree."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fakes.trees import differences, make_tree, mounted, picture, stacked
from scow.layer.changeset import LayerError
from scow.layer.extract import extract, extract_plain
from scow.layer.names import clean
from scow.layer.settle import settle
from scow.layer.tar import read_entries

if TYPE_CHECKING:
    from fakes.trees import Seen

pytestmark = pytest.mark.root


def gnu(form: str, *options: str) -> list[str]:
    return ["tar", f"--format={form}", "--xattrs", "--xattrs-include=*", *options, "-cf"]


WRITERS = {
    "gnu": ["tar", "--format=gnu", "-cf"],
    "gnu-sparse": ["tar", "--format=gnu", "--sparse", "-cf"],
    "pax": gnu("pax"),
    "pax-0.0": gnu("pax", "--sparse", "--sparse-version=0.0"),
    "pax-0.1": gnu("pax", "--sparse", "--sparse-version=0.1"),
    "pax-1.0": gnu("pax", "--sparse", "--sparse-version=1.0"),
    "bsdtar-pax": ["bsdtar", "--format=pax", "-cf"],
    "bsdtar-restricted": ["bsdtar", "--format=paxr", "-cf"],
    "bsdtar-gnutar": ["bsdtar", "--format=gnutar", "-cf"],
}


def whole_seconds(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Python's writer keeps parts of a second as inexact decimals."""
    info.mtime = int(info.mtime)
    return info


def archive(writer: str, tree: str, tar: str) -> None:
    if writer.startswith("python"):
        form = {"python-pax": tarfile.PAX_FORMAT, "python-gnu": tarfile.GNU_FORMAT}[writer]
        with tarfile.open(tar, "w", format=form) as file:
            file.add(tree, ".", filter=whole_seconds)
        return
    if not shutil.which(WRITERS[writer][0]):
        pytest.skip(f"{WRITERS[writer][0]} is not installed")
    done = subprocess.run(
        [*WRITERS[writer], tar, "-C", tree, "."], capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0 or b"annot be converted" in done.stderr or b"translate" in done.stderr, done.stderr


def unarchive(writer: str, tar: str, tree: str) -> bool:
    """Unpack an archive with the program that made it, which bsdtar sometimes cannot when names are no UTF-8."""
    os.mkdir(tree)
    if writer.startswith("bsdtar"):
        command = ["bsdtar", "-xpf", tar, "--numeric-owner", "-C", tree]
    else:
        command = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tar, "-C", tree]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 or command[0] == "bsdtar", done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("writer", [*WRITERS, "python-pax", "python-gnu"])
@settings(max_examples=int(os.environ.get("SCOW_TREES", "4")))
@given(seed=st.integers(0, 2**32))
def test_mount_unpacked_and_tar_agree(writer: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    work = str(tmp_path_factory.mktemp("trees"))
    tree, tar, plain, layer, theirs = (f"{work}/{name}" for name in ("tree", "a.tar", "plain", "layer", "theirs"))
    os.mkdir(tree)
    make_tree(tree, random.Random(seed), 60)
    archive(writer, tree, tar)
    assume(unarchive(writer, tar, theirs))
    wanted = look(theirs, writer, tar)
    os.mkdir(plain)
    with open(tar, "rb") as file:
        extract_plain(file, plain)
    assert differences(wanted, look(plain, writer, tar)) == []
    os.mkdir(layer)
    with open(tar, "rb") as file:
        extract(file, layer)
    assert differences(wanted, look(layer, writer, tar)) == []
    with mounted([tar], work) as mount:
        assert differences(wanted, look(mount, writer, tar)) == []
    shutil.rmtree(work)


def look(path: str, writer: str, tar: str) -> dict[bytes, Seen]:
    """A picture, without the times that bsdtar does not set: of the root, and of directories it did not archive."""
    found = picture(path)
    if writer.startswith("bsdtar"):
        with open(tar, "rb") as file:
            archived = {clean(entry.name) for entry in read_entries(file)} - {b""}
        for name in found.keys() - archived:
            found[name] = found[name]._replace(mtime_ns=0)
    return found


def random_layer(path: str, seed: random.Random, names: list[str], *, sane: bool) -> None:
    """A layer whose entries meet those of other layers: replaced, hidden, reached through links, linked to.

    A sane one says one thing of each name, in order, as programs that look at a tree do.
    """
    taken: dict[str, str] = {}
    entries: list[tuple[str, tarfile.TarInfo, bytes]] = []
    if sane and not names:
        for name in ("x", "x/y", "z"):  # what links lead to
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            entries.append(("", info, b""))
            names.append("a")
    for _ in range(seed.randrange(1, 14)):
        name = "/".join(seed.choice("abcd") for _ in range(seed.randrange(1, 4)))
        if seed.randrange(6) == 0:
            name = seed.choice(("x", "x/y", "z"))
        info = tarfile.TarInfo(name)
        info.mtime = seed.randrange(1_000_000)
        info.mode = seed.choice((0o600, 0o755))
        info.uid = seed.randrange(5)
        data = b""
        choice = seed.randrange(14) if name[0] in "abcd" or not sane else 0
        kind = "file"
        if choice < 4:
            info.type, kind = tarfile.DIRTYPE, "directory"
        elif choice == 4:
            info.type = tarfile.SYMTYPE
            info.linkname = seed.choice(("/x", "/x/y", "/z") if sane else ("a", "../b", "/c", "b/c", "/a/b", "."))
        elif choice == 5 and names:
            info.type = tarfile.LNKTYPE
            info.linkname = seed.choice(names)
            if sane and (info.linkname == name or not _fits(info.linkname, "target", taken)):
                continue
        elif choice < 8:
            above, _, base = name.rpartition("/")
            info.name = f"{above}/.wh.{base}" if above else f".wh.{base}"
        elif choice == 8:
            info.name, kind = name + "/.wh..wh..opq", "directory"
        else:
            data = seed.randbytes(seed.choice((0, 10, 600)))
            info.size = len(data)
            names.append(name)
        if not sane or _fits(name, kind, taken):
            entries.append((name + "/.wh" * (choice == 8), info, data))
    if sane:
        entries.sort(key=lambda entry: (entry[1].type == tarfile.LNKTYPE, entry[0]))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for _, info, data in entries:
            tar.addfile(info, io.BytesIO(data))


def _fits(name: str, kind: str, taken: dict[str, str]) -> bool:
    """Whether a layer can say this besides what it has said."""
    parts = name.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    if any(taken.get(path, "directory") != "directory" for path in above):
        return False
    if name in taken and not kind == taken[name] != "file":
        return False
    taken.update(dict.fromkeys(above, "directory"))
    taken[name] = kind
    return True


@settings(max_examples=int(os.environ.get("SCOW_STACKS", "60")))
@given(seed=st.integers(0, 2**32), sane=st.booleans())
def test_layers_merged_in_memory_and_stacked_by_overlayfs_agree(
    seed: int, sane: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = str(tmp_path_factory.mktemp("stack"))
    compare(seed, work, sane=sane)
    shutil.rmtree(work)


def compare(seed: int, work: str, *, sane: bool) -> str:
    """Read random layers both ways; an insane layer's entries may be refused by one way only."""
    chance = random.Random(seed)
    names: list[str] = []
    tars, layers = [], []
    unpacked = merged = ""
    for number in range(chance.randrange(1, 5)):
        tar, layer = f"{work}/{number}.tar", f"{work}/layer{number}"
        random_layer(tar, chance, names, sane=sane)
        os.mkdir(layer, 0o755)
        os.utime(layer, ns=(0, 0))
        tars.append(tar)
        try:
            with open(tar, "rb") as file:
                applied = extract(file, layer)
            settle(layer, layers[::-1], applied.pending)
        except LayerError as error:
            unpacked = error.message
            break
        layers.append(layer)
    try:
        with mounted(tars, work) as mount:
            found = picture_of_stack(mount)
    except LayerError as error:
        merged = error.message
    if unpacked or merged:
        assert not sane or (unpacked and merged), (unpacked, merged)
        return "refused"
    with stacked(layers, f"{work}/overlay") as overlay:
        wanted = picture_of_stack(overlay)
    assert not sane or differences(found, wanted) == []
    return "same" if found == wanted else "different"


def picture_of_stack(path: str) -> dict[bytes, Seen]:
    """Without what overlayfs itself does not keep: the sharing of hard links between layers, and its own root."""
    return {
        name: seen._replace(links=(), mtime_ns=seen.mtime_ns if name else 0)
        for name, seen in picture(path, links=False).items()
    }
