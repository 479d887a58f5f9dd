# SPDX-License-Identifier: Apache-2.0
"""What every snapshotter must do: one suite, run against each kind by ``test_snapshotter.py``.

Trees are compared as they are seen through a mount, made in a thread with mounts of its own.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from scow.base.database import Database
from scow.base.leases import Leases
from scow.base.streams import BlobMismatchError
from scow.content.local import LocalContentStore
from scow.errors import ConflictError, CorruptError, LimitError, NotFoundError
from scow.layer.changeset import LayerError, Limits
from scow.linux.mount import mount_all
from scow.linux.namespaces import run_private
from scow.oci.digest import DiffID, sha256_digest
from scow.snapshot.choose import open_snapshotter

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.base.leases import Lease
    from scow.snapshot.overlay import Snapshots


class Entry(NamedTuple):
    """One entry for a test layer; ``what`` is bytes for a file, else a link target or a kind."""

    name: str
    what: bytes | str = b""
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    mtime: int = 1_600_000_000


def directory(name: str, mode: int = 0o755, uid: int = 0) -> Entry:
    return Entry(name, "", tarfile.DIRTYPE, mode, uid)


def link(name: str, target: str) -> Entry:
    return Entry(name, target, tarfile.SYMTYPE, 0o777)


def hard(name: str, target: str) -> Entry:
    return Entry(name, target, tarfile.LNKTYPE)


def layer(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.mode, info.uid, info.mtime = entry.kind, entry.mode, entry.uid, entry.mtime
            if isinstance(entry.what, bytes):
                info.size = len(entry.what)
                tar.addfile(info, io.BytesIO(entry.what))
            else:
                info.linkname = entry.what
                tar.addfile(info)
    return out.getvalue()


class Store:
    """A store with snapshots of one kind."""

    def __init__(self, root: str, kind: str) -> None:
        self.root = root
        self.kind = kind
        os.makedirs(root, exist_ok=True)
        self.db = Database(f"{root}/scow.db")
        self.leases = Leases(self.db)
        self.content = LocalContentStore(root, self.db, self.leases)
        self.snapshots: Snapshots = open_snapshotter(root, self.db, self.content, self.leases, kind)
        self.counter = 0

    def add(self, name: str, tar: bytes, parent: str | None, lease: Lease) -> None:
        staged = self.snapshots.stage(io.BytesIO(tar), lease=lease)
        self.snapshots.link(name, staged, parent, lease=lease)

    def blob(self, tar: bytes, lease: Lease) -> DiffID:
        return DiffID(self.content.put(tar, lease))

    def inside(self, mounts, work: Callable[[str], object]):  # type: ignore[no-untyped-def]
        self.counter += 1
        target = f"{self.root}/at-{self.counter}"
        os.makedirs(target)

        def body() -> object:
            mount_all(mounts, target)
            return work(target)

        return run_private(body)

    def tree(self, name: str, lease: Lease) -> dict[str, tuple[object, ...]]:
        """What a view of a committed snapshot shows."""
        self.counter += 1
        key = f"view-{self.counter}"
        mounts = self.snapshots.view(key, name, lease=lease)
        try:
            return self.inside(mounts, listing)
        finally:
            self.snapshots.remove(key, force=True)


def listing(top: str) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for path, directories, files in os.walk(top):
        directories.sort()
        for name in sorted([*directories, *files]):
            full = os.path.join(path, name)
            short = os.path.relpath(full, top)
            info = os.lstat(full)
            what: object = ""
            if stat.S_ISREG(info.st_mode):
                with open(full, "rb") as file:
                    what = file.read()
                inodes.setdefault(info.st_ino, []).append(short)
            elif stat.S_ISLNK(info.st_mode):
                what = os.readlink(full)
            found[short] = (oct(info.st_mode), info.st_uid, info.st_gid, int(info.st_mtime), what)
    for linked in inodes.values():
        if len(linked) > 1:  # names outside of the tree may lead to the file, too: they do not count
            found |= {short: (*found[short][:4], (found[short][4], linked[0])) for short in linked}
    return found


def names(tree: dict[str, tuple[object, ...]]) -> list[str]:
    return sorted(tree)


def problems(store: Store, *, repair: bool = False) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in store.snapshots.check(repair=repair)]


BASE = layer(
    directory("etc", 0o755),
    Entry("etc/passwd", b"root", mode=0o600),
    Entry("etc/group", b"wheel", uid=7),
    directory("secret", 0o700, uid=42),
    directory("usr"),
    directory("usr/lib"),
    Entry("usr/lib/libc", b"c" * 5000),
    link("lib", "usr/lib"),
    hard("usr/lib/libc.so", "usr/lib/libc"),
)


class SnapshotterSuite:
    """The contract of ``snapshot.snapshotter.Snapshotter``."""

    # ------------------------------------------------------------------ layers

    def test_a_layer_shows_what_its_tar_says(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        tree = store.tree("base", lease)
        assert names(tree) == [
            "etc", "etc/group", "etc/passwd", "lib", "secret", "usr", "usr/lib", "usr/lib/libc", "usr/lib/libc.so",
        ]  # fmt: skip
        assert tree["etc/passwd"] == ("0o100600", 0, 0, 1_600_000_000, b"root")
        assert tree["etc/group"][1] == 7
        assert tree["secret"][:2] == ("0o40700", 42)
        assert tree["lib"][4] == "usr/lib"
        assert tree["usr/lib/libc"][4] == (b"c" * 5000, "usr/lib/libc")
        assert tree["usr/lib/libc.so"][4] == tree["usr/lib/libc"][4]

    def test_whiteouts_and_opaque_directories_hide(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        top = layer(
            directory("etc"), Entry("etc/.wh.passwd"), directory("usr"), directory("usr/lib"),
            Entry("usr/lib/.wh..wh..opq"), Entry("usr/lib/new", b"n"), Entry(".wh.secret"),
        )  # fmt: skip
        store.add("top", top, "base", lease)
        assert names(store.tree("top", lease)) == ["etc", "etc/group", "lib", "usr", "usr/lib", "usr/lib/new"]
        assert "secret" in store.tree("base", lease)

    def test_whiteouts_of_nothing_are_not_seen(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.snapshots.ready("base")
        top = layer(directory("new"), Entry("new/.wh.ghost"), directory("etc"), Entry("etc/.wh.ghost"), Entry(".wh.no"))
        store.add("top", top, "base", lease)
        assert names(store.tree("top", lease)) == sorted([*names(store.tree("base", lease)), "new"])
        store.snapshots.ready("top")
        again = layer(directory("new"), Entry("new/.wh.ghost"), directory("etc"), Entry("etc/.wh.group"))
        store.add("again", again, "top", lease)
        assert names(store.tree("again", lease)) == sorted({*names(store.tree("top", lease))} - {"etc/group"})
        if store.kind == "erofs":
            assert store.snapshots.records.get("again").form == "index"

    def test_whiteouts_of_nothing_on_an_upper_directory(self, store: Store, lease: Lease) -> None:
        store.inside(store.snapshots.prepare("k", None, lease=lease), lambda top: os.mkdir(f"{top}/etc"))
        store.snapshots.commit("step", "k", lease=lease)
        store.add("top", layer(directory("new"), Entry("new/.wh.ghost"), Entry("etc/.wh.x")), "step", lease)
        assert names(store.tree("top", lease)) == ["etc", "new"]

    def test_a_directory_that_replaces_a_file_and_the_other_way_round(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("usr", b"a file"), directory("lib"), Entry("lib/x", b"x")), "base", lease)
        tree = store.tree("top", lease)
        assert names(tree) == ["etc", "etc/group", "etc/passwd", "lib", "lib/x", "secret", "usr"]
        assert tree["usr"][4] == b"a file"

    def test_implied_directories_look_as_in_the_parent(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("secret/key", b"k")), "base", lease)
        tree = store.tree("top", lease)
        assert tree["secret"][:3] == ("0o40700", 42, 0)
        assert tree["secret/key"][4] == b"k"

    def test_entries_below_a_link_of_the_parent_go_where_it_leads(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("lib/libm", b"m")), "base", lease)
        tree = store.tree("top", lease)
        assert tree["lib"][4] == "usr/lib"
        assert tree["usr/lib/libm"][4] == b"m"
        assert "usr/lib/libc" in tree

    def test_hard_links_to_files_of_the_parent(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(directory("etc"), hard("etc/shadow", "etc/passwd")), "base", lease)
        tree = store.tree("top", lease)
        assert tree["etc/shadow"] == tree["etc/passwd"]
        assert tree["etc/shadow"][0] == "0o100600"

    def test_a_hard_link_to_nothing_is_refused(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)

        def link_and_use() -> None:
            store.add("top", layer(hard("x", "missing")), "base", lease)
            store.snapshots.ready("top")

        with pytest.raises(LayerError, match="hard link"):
            link_and_use()

    def test_the_root_directory_keeps_its_metadata(self, store: Store, lease: Lease) -> None:
        store.add("base", layer(directory("./", 0o750, uid=9), Entry("a", b"a")), None, lease)
        store.add("top", layer(Entry("b", b"b")), "base", lease)

        def look(top: str) -> tuple[int, int, int]:
            info = os.stat(top)
            return info.st_mode & 0o7777, info.st_uid, int(info.st_mtime)

        for number, name in enumerate(("base", "top")):
            mounts = store.snapshots.view(f"v{number}", name, lease=lease)
            assert store.inside(mounts, look) == (0o750, 9, 1_600_000_000)
        mounts = store.snapshots.prepare("k", "top", lease=lease)
        assert store.inside(mounts, look) == (0o750, 9, 1_600_000_000)

    def test_a_root_nobody_describes_has_a_fixed_one(self, store: Store, lease: Lease) -> None:
        store.add("base", layer(Entry("a", b"a")), None, lease)
        mounts = store.snapshots.view("v", "base", lease=lease)
        info = store.inside(mounts, os.stat)
        assert (info.st_mode & 0o7777, info.st_uid, info.st_mtime) == (0o755, 0, 0)

    def test_an_empty_layer(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("same", bytes(1024), "base", lease)
        assert store.tree("same", lease) == store.tree("base", lease)
        store.add("empty", bytes(1024), None, lease)
        assert store.tree("empty", lease) == {}

    def test_layers_are_staged_side_by_side_and_in_any_order(self, store: Store, lease: Lease) -> None:
        tars = [layer(directory("d"), Entry(f"d/{number}", b"%d" % number)) for number in range(12)]
        staged: dict[int, object] = {}

        def work(number: int) -> None:
            staged[number] = store.snapshots.stage(io.BytesIO(tars[number]), lease=lease)

        threads = [threading.Thread(target=work, args=(number,)) for number in reversed(range(12))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        parent = None
        for number in range(12):
            store.snapshots.link(f"l{number}", staged[number], parent, lease=lease)  # type: ignore[arg-type]
            parent = f"l{number}"
        assert names(store.tree("l11", lease)) == sorted(["d", *[f"d/{number}" for number in range(12)]])
        assert names(store.tree("l3", lease)) == ["d", "d/0", "d/1", "d/2", "d/3"]

    def test_a_stack_that_grows_layer_by_layer_while_it_is_used(self, store: Store, lease: Lease) -> None:
        parent = None
        for number in range(40):
            tar = layer(directory("d"), Entry(f"d/{number}", b"x" * number), Entry("last", b"%d" % number))
            store.add(f"l{number}", tar, parent, lease)
            parent = f"l{number}"
            store.snapshots.ready(parent)
        tree = store.tree("l39", lease)
        assert len(tree) == 42
        assert tree["last"][4] == b"39"
        assert store.tree("l17", lease)["last"][4] == b"17"
        if store.kind == "erofs":
            assert len(store.snapshots.records.get("l39").stack.split()) <= 8

    def test_two_hundred_layers(self, store: Store, lease: Lease) -> None:
        parent = None
        for number in range(200):
            store.add(f"l{number}", layer(directory(f"d{number % 7}"), Entry(f"d{number % 7}/{number}")), parent, lease)
            parent = f"l{number}"
        assert len(store.tree("l199", lease)) == 207
        mounts = store.snapshots.prepare("k", "l199", lease=lease)
        assert len(store.inside(mounts, listing)) == 207

    def test_a_blob_can_be_staged_and_gives_the_same(self, store: Store, lease: Lease) -> None:
        diff_id = store.blob(BASE, lease)
        staged = store.snapshots.stage_blob(diff_id, lease=lease)
        assert (staged.diff_id, staged.size) == (diff_id, len(BASE))
        store.snapshots.link("blob", staged, None, lease=lease)
        store.add("base", BASE, None, lease)
        assert store.tree("blob", lease) == store.tree("base", lease)
        with pytest.raises(NotFoundError):
            store.snapshots.stage_blob(DiffID(sha256_digest(b"nothing")), lease=lease)

    def test_layers_that_lie_or_break_leave_nothing(self, store: Store, lease: Lease) -> None:
        other = DiffID(sha256_digest(b"other"))
        with pytest.raises(BlobMismatchError, match="sha256:"):
            store.snapshots.stage(io.BytesIO(BASE), lease=lease, diff_id=other)
        with pytest.raises(CorruptError):
            store.snapshots.stage(io.BytesIO(BASE[:2000]), lease=lease)
        with pytest.raises(LayerError):
            store.snapshots.stage(io.BytesIO(layer(Entry("../../etc/x", b"x"))), lease=lease)
        with pytest.raises(LimitError, match="limit of 3 entries"):
            store.snapshots.stage(io.BytesIO(BASE), lease=lease, limits=Limits(max_entries=3))
        assert list(store.snapshots) == []
        assert problems(store) == []

    def test_linking_a_name_that_is_there_drops_the_layer(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("base", BASE, None, lease)
        assert [info.name for info in store.snapshots] == ["base"]
        assert problems(store) == []

    def test_linking_the_same_name_from_many_threads(self, store: Store, lease: Lease) -> None:
        errors: list[BaseException] = []

        def work() -> None:
            try:
                store.add("base", BASE, None, lease)
                store.snapshots.ready("base")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [info.name for info in store.snapshots] == ["base"]
        assert problems(store) == []

    # ------------------------------------------------------------------ active snapshots

    def test_what_is_written_is_committed_and_stood_on(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)

        def change(top: str) -> None:
            os.unlink(f"{top}/etc/passwd")
            with open(f"{top}/etc/group", "ab") as file:
                file.write(b"more")
            os.rename(f"{top}/usr/lib/libc", f"{top}/usr/libc")
            os.mkdir(f"{top}/new", 0o711)

        store.inside(store.snapshots.prepare("k", "base", lease=lease), change)
        store.snapshots.commit("step", "k", lease=lease)
        tree = store.tree("step", lease)
        assert names(tree) == [
            "etc",
            "etc/group",
            "lib",
            "new",
            "secret",
            "usr",
            "usr/lib",
            "usr/lib/libc.so",
            "usr/libc",
        ]
        assert tree["etc/group"][:3] == ("0o100644", 7, 0)
        assert tree["etc/group"][4] == b"wheelmore"
        assert store.tree("base", lease)["etc/group"][4] == b"wheel"
        with pytest.raises(NotFoundError):
            store.snapshots.mounts("k")

        def more(top: str) -> None:
            os.rmdir(f"{top}/new")

        store.inside(store.snapshots.prepare("k", "step", lease=lease, volatile=True), more)
        store.snapshots.commit("step2", "k", lease=lease)
        assert "new" not in store.tree("step2", lease)
        assert "new" in store.tree("step", lease)

    def test_a_layer_on_an_upper_directory(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)

        def change(top: str) -> None:
            os.mkdir(f"{top}/work", 0o711)
            os.chown(f"{top}/work", 5, 6)
            os.symlink("work", f"{top}/w")
            with open(f"{top}/work/made", "wb") as file:
                file.write(b"here")

        store.inside(store.snapshots.prepare("k", "base", lease=lease), change)
        store.snapshots.commit("step", "k", lease=lease)
        store.add("copied", layer(directory("work", 0o700), Entry("work/a", b"a")), "step", lease)
        assert store.tree("copied", lease)["work"][:2] == ("0o40700", 0)
        # the layer says nothing of the directories it puts files into: they are as the step left them
        store.add("added", layer(Entry("work/b", b"b"), Entry("w/c", b"c"), Entry("secret/d", b"d")), "step", lease)
        tree = store.tree("added", lease)
        assert tree["work"][:3] == ("0o40711", 5, 6)
        assert tree["secret"][:2] == ("0o40700", 42)
        assert tree["w"][4] == "work"
        assert {"work/b", "work/c", "work/made", "secret/d"} <= set(tree)
        store.add("linked", layer(directory("work"), hard("work/again", "work/made")), "step", lease)
        assert store.tree("linked", lease)["work/again"][4] == (b"here", "work/again")

    def test_without_a_parent(self, store: Store, lease: Lease) -> None:
        def change(top: str) -> None:
            with open(f"{top}/a", "wb") as file:
                file.write(b"a")

        store.inside(store.snapshots.prepare("k", lease=lease), change)
        store.snapshots.commit("scratch", "k", lease=lease)
        assert names(store.tree("scratch", lease)) == ["a"]
        assert store.snapshots.stat("scratch").parent is None

    def test_a_view_cannot_be_written(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)

        def change(top: str) -> None:
            with pytest.raises(OSError, match="Read-only"):
                os.unlink(f"{top}/etc/passwd")

        store.inside(store.snapshots.view("v", "base", lease=lease), change)
        store.inside(store.snapshots.mounts("v"), change)
        with pytest.raises(NotFoundError):
            store.snapshots.commit("x", "v")

    def test_mounts_can_be_asked_for_again(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        for volatile in (False, True):
            key = f"k{volatile}"

            def change(top: str) -> None:
                with open(f"{top}/a", "ab") as file:
                    file.write(b"a")

            store.inside(store.snapshots.prepare(key, "base", volatile=volatile, lease=lease), change)
            store.inside(store.snapshots.mounts(key), change)
            store.inside(store.snapshots.mounts(key), change)
            with open(store.snapshots.upper(key) + "/a", "rb") as file:
                assert file.read() == b"aaa"

    def test_a_volatile_snapshot_does_not_outlive_a_reboot(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.snapshots.prepare("k", "base", volatile=True, lease=lease)
        with store.db.write() as connection:
            connection.execute("UPDATE snapshots SET boot = 'another' WHERE name = 'k'")
        with pytest.raises(CorruptError, match="went down"):
            store.snapshots.mounts("k")
        store.snapshots.remove("k", force=True)

    # ------------------------------------------------------------------ names

    def test_names_and_keys_are_taken_once(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.snapshots.prepare("k", "base", lease=lease)
        for key in ("k", "base"):
            with pytest.raises(ConflictError):
                store.snapshots.prepare(key, "base", lease=lease)
        with pytest.raises(ConflictError):
            store.snapshots.commit("base", "k")
        assert store.snapshots.stat("k").kind == "active"
        for parent in ("missing", "k"):
            with pytest.raises(NotFoundError):
                store.snapshots.prepare("other", parent, lease=lease)
        with pytest.raises(NotFoundError):
            store.snapshots.upper("missing")
        assert (store.snapshots.exists("base"), store.snapshots.exists("k")) == (True, False)

    def test_stat_and_usage(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        info = store.snapshots.stat("base")
        assert (info.kind, info.parent, info.entries) == ("committed", None, 9)
        assert info.diff_id == sha256_digest(BASE)
        assert info.size == 4 + 5 + 5000 + len("usr/lib")  # as docker counts: file data, and where links lead
        assert store.snapshots.usage("base").size > 0
        store.inside(
            store.snapshots.prepare("k", "base", lease=lease), lambda top: os.truncate(f"{top}/etc/group", 999)
        )
        usage = store.snapshots.usage("k")
        assert (usage.size, usage.inodes) == (999, 2)

    def test_nothing_in_use_is_removed(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("x")), "base", lease)
        with pytest.raises(ConflictError, match="stands on it"):
            store.snapshots.remove("base", force=True)
        with pytest.raises(ConflictError, match="in use by 'lease:"):
            store.snapshots.remove("top")
        lease.release()
        store.snapshots.remove("top")
        store.snapshots.remove("top")
        store.snapshots.remove("base")
        assert list(store.snapshots) == []
        assert os.listdir(f"{store.root}/snapshots") == []

    def test_a_set_is_removed_from_the_top_down(self, store: Store, lease: Lease) -> None:
        for number in range(5):
            store.add(f"l{number}", layer(Entry(f"{number}")), f"l{number - 1}" if number else None, lease)
            store.snapshots.ready(f"l{number}")
        with store.db.write():
            gone = store.snapshots.forget(["l1", "l4", "l2", "l3"])
        store.snapshots.sweep(gone)
        assert [info.name for info in store.snapshots] == ["l0"]
        assert names(store.tree("l0", lease)) == ["0"]

    def test_files_go_only_after_the_transaction(self, store: Store, lease: Lease) -> None:
        store.snapshots.prepare("k", None, lease=lease)
        upper = store.snapshots.upper("k")
        with pytest.raises(RuntimeError), store.db.write():
            store.snapshots.remove("k", force=True)
            raise RuntimeError
        assert store.snapshots.exists("k") is False
        assert os.path.isdir(upper)
        store.inside(store.snapshots.mounts("k"), os.listdir)
        with store.db.write():
            store.snapshots.remove("k", force=True)
            assert os.path.isdir(upper)
        assert not os.path.exists(upper)
        assert problems(store) == []

    def test_links_keep_what_is_below_alive(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("x")), "base", lease)
        lease.release()
        assert store.leases.owners("snapshot", "base") == ["snapshot:top"]
        blobs = store.leases.owned("snapshot:base", "blob")
        assert blobs == ([("blob", sha256_digest(BASE))] if store.kind == "erofs" else [])

    def test_who_owned_the_key_owns_what_was_committed(self, store: Store, lease: Lease) -> None:
        store.snapshots.prepare("k", None, lease=lease)
        store.snapshots.commit("name", "k")
        assert store.leases.owners("snapshot", "name") == [lease.owner]
        assert store.leases.owners("snapshot", "k") == []

    # ------------------------------------------------------------------ fsck

    def test_what_a_dead_process_left_is_found_and_taken_away(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        with store.leases.hold("other") as other:
            store.snapshots.stage(io.BytesIO(layer(Entry("x"))), lease=other)
            store.snapshots.prepare("k", "base", lease=other)
            store.snapshots.view("v", "base", lease=other)
            assert problems(store) == []
        assert sorted(kind for kind, _ in problems(store)) == ["unfinished"] * 3
        assert sorted(kind for kind, _ in problems(store, repair=True)) == ["unfinished"] * 3
        assert problems(store) == []
        assert [info.name for info in store.snapshots] == ["base"]

    def test_directories_that_belong_to_nobody(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        os.makedirs(f"{store.root}/snapshots/77/fs/deep")
        assert problems(store) == [("orphan", "77")]
        problems(store, repair=True)
        assert problems(store) == []
        # a number whose transaction was rolled back may be given out again
        os.makedirs(f"{store.root}/snapshots/{store.snapshots.records.get('base').id + 1}/fs/left")
        mounts = store.snapshots.prepare("k", None, lease=lease)
        assert store.inside(mounts, os.listdir) == []

    def test_missing_links_are_put_back(self, store: Store, lease: Lease) -> None:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("x")), "base", lease)
        store.leases.unlink("snapshot:top", "snapshot")
        assert problems(store, repair=True) == [("link", "top")]
        assert store.leases.owners("snapshot", "base", "snapshot:") == ["snapshot:top"]
        assert problems(store) == []

    def test_files_that_are_gone_are_reported(self, store: Store, lease: Lease) -> None:
        store.snapshots.prepare("k", None, lease=lease)
        store.snapshots.commit("name", "k")
        os.rmdir(store.snapshots.upper("name"))
        assert problems(store, repair=True) == [("missing", "name")]
