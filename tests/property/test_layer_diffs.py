# SPDX-License-Identifier: Apache-2.0
"""What is done to a mounted overlay, written as a layer and laid on what was below, gives the same tree again."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.trees import differences, make_tree, mounted, picture, random_name
from scow.layer.diff import changes_upper, diff_trees, diff_upper, tar_tree
from scow.linux.mount import Mount, mount_all, umount

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.trees import Seen

pytestmark = pytest.mark.root

OPTIONS = ("redirect_dir=off", "metacopy=off", "index=off")


def seconds(found: dict[bytes, Seen]) -> dict[bytes, Seen]:
    """Layers hold whole seconds, and say nothing of the root."""
    result = {
        name: seen._replace(mtime_ns=seen.mtime_ns // 10**9 * 10**9, xattrs=tuple(x for x in seen.xattrs if "trusted" not in x[0]))
        for name, seen in found.items()
    }  # fmt: skip
    del result[b""]
    return result


def mutate(root: str, chance: random.Random) -> None:
    """Do what programs do to files."""
    top = os.fsencode(root)
    for _ in range(chance.randrange(1, 25)):
        everything = [
            os.path.join(here, name) for here, dirs, files in os.walk(top) for name in sorted(dirs + files)
        ]  # fmt: skip
        path = chance.choice(everything) if everything else top + b"/first"
        choice = chance.randrange(10)
        kind = stat.S_IFMT(os.lstat(path).st_mode) if os.path.lexists(path) else 0
        if choice < 3 and kind:
            shutil.rmtree(path) if kind == stat.S_IFDIR else os.unlink(path)
            if choice == 0:
                os.mkdir(path)
            elif choice == 1 and chance.randrange(2):
                os.symlink(b"gone", path)
        elif choice == 3 and kind == stat.S_IFREG:
            with open(path, "ab") as file:
                file.write(b"more")
        elif choice == 4 and kind and kind != stat.S_IFLNK:
            os.chmod(path, 0o750)
        elif choice == 5 and kind:
            os.chown(path, 77, 88, follow_symlinks=False)
        elif choice == 6 and kind == stat.S_IFDIR:
            make_tree(os.fsdecode(path), chance, 8)
        elif choice == 7 and kind == stat.S_IFREG:
            new = os.path.dirname(path) + b"/" + random_name(chance)
            if not os.path.lexists(new):
                os.link(path, new)
        elif choice == 8 and kind and kind != stat.S_IFDIR:
            os.rename(path, os.path.dirname(path) + b"/renamed")
        elif choice == 9 and kind == stat.S_IFREG:
            os.setxattr(path, "user.new", b"1")


@settings(max_examples=int(os.environ.get("SCOW_DIFFS", "25")))
@given(seed=st.integers(0, 2**32))
def test_an_upper_directory_becomes_the_layer_that_makes_it(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = str(tmp_path_factory.mktemp("diff"))
    chance = random.Random(seed)
    for name in ("base", "upper", "work", "merged"):
        os.mkdir(f"{work}/{name}")
    make_tree(f"{work}/base", chance, 40)
    mount_all(
        [
            Mount(
                "overlay",
                "overlay",
                "",
                (f"lowerdir+={work}/base", f"upperdir={work}/upper", f"workdir={work}/work", *OPTIONS),
            )
        ],
        f"{work}/merged",
    )
    try:
        mutate(f"{work}/merged", chance)
        wanted = seconds(picture(f"{work}/merged", links=False))
        listed = {(change.kind, os.fsencode(change.path)) for change in changes_upper(f"{work}/upper", f"{work}/base")}
        tars = [f"{work}/0.tar", f"{work}/1.tar"]
        for tar, write in (
            (tars[0], lambda out: tar_tree(f"{work}/base", out, include_root=True)),
            (tars[1], lambda out: diff_upper(f"{work}/upper", out, lower=f"{work}/base" if seed % 2 else None)),
        ):
            with open(tar, "wb") as out:
                write(out)
        with open(f"{work}/2.tar", "wb") as out:
            diff_trees(f"{work}/base", f"{work}/merged", out)
    finally:
        umount(f"{work}/merged")
    base = picture(f"{work}/base")
    # Overlayfs breaks hard links between layers when one of the names is written to; nobody can say more.
    for found in layers_seen(tars, work), layers_seen([tars[0], f"{work}/2.tar"], work):
        assert differences(loose(found), loose(wanted)) == []
    for kind, path in listed:
        name = path[1:]
        assert (name in wanted) == (kind != "D")
        assert (name in base) == (kind != "A")
    assert {b"/" + name for name in wanted.keys() - base.keys()} == {path for kind, path in listed if kind == "A"}
    shutil.rmtree(work)


def layers_seen(tars: list[str], work: str) -> dict[bytes, Seen]:
    with mounted(tars, work) as mount:
        return seconds(picture(mount))


def loose(found: dict[bytes, Seen]) -> dict[bytes, Seen]:
    return {name: seen._replace(links=()) for name, seen in found.items()}


@pytest.mark.parametrize("write", [tar_tree, diff_upper], ids=["tar_tree", "diff_upper"])
def test_other_programs_read_what_is_written(write: Callable[..., object], tmp_path) -> None:
    for seed in range(8):
        work = tmp_path / str(seed)
        (work / "tree").mkdir(parents=True)
        make_tree(str(work / "tree"), random.Random(seed), 60)
        out = io.BytesIO()
        write(str(work / "tree"), out)
        (work / "a.tar").write_bytes(out.getvalue())
        for program in ("tar --xattrs --xattrs-include=*", "bsdtar"):
            if not shutil.which(program.split()[0]):
                continue
            target = work / program.split()[0]
            target.mkdir()
            subprocess.run(
                [*program.split(), "--numeric-owner", "-xpf", work / "a.tar", "-C", target],
                check=program.startswith("tar"),
                capture_output=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
            found, wanted = seconds(picture(target)), seconds(picture(work / "tree"))
            if program == "bsdtar":
                found = {name: seen for name, seen in found.items() if name.isascii()}
                wanted = {name: wanted[name] for name in found}
                found = loose({name: seen._replace(xattrs=wanted[name].xattrs) for name, seen in found.items()})
                wanted = loose(wanted)
            assert differences(found, wanted) == []
