# SPDX-License-Identifier: Apache-2.0
"""Owners written down beside the files."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest

from scow.linux import owners
from scow.linux.owners import Owner, RecordedOwners


@pytest.fixture
def place(tmp_path):
    """A directory that keeps attributes of users."""
    for above in (str(tmp_path), "/var/tmp"):
        directory = tempfile.mkdtemp(dir=above)
        try:
            os.setxattr(directory, "user.test", b"x")
        except OSError:
            os.rmdir(directory)
            continue
        return directory
    pytest.skip("no file system here keeps attributes of users")


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        (Owner(0, 0), b"0:0"),
        (Owner(105, 65534), b"105:65534"),
        (Owner(0, 6, stat.S_IFBLK, os.makedev(8, 1)), b"0:6:b:8:1"),
        (Owner(4294967294, 0, stat.S_IFCHR, os.makedev(4095, 1048575)), b"4294967294:0:c:4095:1048575"),
    ],
)
def test_a_record_is_read_as_it_was_written(owner, text):
    assert owner.encode() == text
    assert owners.decode(text) == owner


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"1:",
        b"-1:0",
        b"4294967296:0",
        b"1:2:3",
        b"1:2:c:1",
        b"1:2:x:1:1",
        b"0:0:c:0:0",
        b"0:0:c:4096:0",
        b"0:0:b:1:1048576",
        b"\xd9\xa1:0",
        b"99999999999:0",
        b"1:2\n",
        b"0:0:c:1:3:4",
    ],
)
def test_what_a_program_wrote_there_is_no_record(text):
    assert owners.decode(text) is None


def test_access_times_say_owners_that_no_real_time_says():
    for uid, gid in [(0, 0), (105, 8), (4294967294, 999_999_999)]:
        assert owners.decode_time(owners.encode_time(uid, gid)) == Owner(uid, gid)
    assert owners.decode_time(owners.encode_time(1, 1_000_000_000)) == Owner(1, 0)
    assert owners.decode_time(7_000_000_000 * 10**9) is None  # the year 2191
    assert owners.decode_time(-1) is None


def test_files_directories_and_links_get_owners_without_any_right(place):
    ids = RecordedOwners()
    os.mkdir(f"{place}/directory")
    with open(f"{place}/file", "w", encoding="ascii"):
        pass
    os.symlink("file", f"{place}/link")
    os.mkfifo(f"{place}/fifo")
    for number, name in enumerate(("directory", "file", "link", "fifo"), 100):
        before = os.lstat(f"{place}/{name}")
        assert (ids.lstat(f"{place}/{name}").st_uid, ids.lstat(f"{place}/{name}").st_gid) == (0, 0)
        ids.own_entry(f"{place}/{name}", number, 8)
        ids.utime(f"{place}/{name}", 5_000_000_007)
        after = ids.lstat(f"{place}/{name}")
        assert (after.st_uid, after.st_gid, after.st_mode, after.st_ino) == (number, 8, before.st_mode, before.st_ino)
        assert (after.st_mtime_ns, after.st_atime_ns) == (5_000_000_007, 5_000_000_007)
        assert os.lstat(f"{place}/{name}").st_uid == os.geteuid()


def test_records_go_along_with_renames_and_links(place):
    ids = RecordedOwners()
    os.symlink("x", f"{place}/one")
    ids.own_entry(f"{place}/one", 7, 9)
    os.rename(f"{place}/one", f"{place}/two")
    os.link(f"{place}/two", f"{place}/three", follow_symlinks=False)
    assert (ids.lstat(f"{place}/three").st_uid, ids.lstat(f"{place}/three").st_gid) == (7, 9)


def test_open_files_and_names_in_directories(place):
    ids = RecordedOwners()
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    file = os.open("file", os.O_RDWR | os.O_CREAT, dir_fd=directory)
    try:
        ids.own(file, 1, 2)
        assert ids.fstat(file).st_gid == 2
        assert ids.lstat("file", directory).st_uid == 1
        ids.own_entry(b"file", 3, 4, directory)
        assert ids.fstat(file).st_uid == 3
    finally:
        os.close(file)
        os.close(directory)


def test_a_device_is_an_empty_file_that_says_so(place):
    ids = RecordedOwners()
    path = f"{place}/null"
    ids.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    ids.own_entry(path, 0, 6)
    os.chmod(path, 0o640)
    found = ids.lstat(path)
    assert stat.S_ISCHR(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_rdev, found.st_gid, found.st_size) == (0o640, os.makedev(1, 3), 6, 0)
    assert stat.S_ISREG(os.lstat(path).st_mode)


def test_a_file_with_content_stays_a_file_whatever_its_record_was(place):
    ids = RecordedOwners()
    path = f"{place}/was"
    ids.mknod(path, stat.S_IFBLK | 0o600, os.makedev(8, 0))
    with open(path, "w", encoding="ascii") as file:
        file.write("x")
    ids.own_entry(path, 5, 5)
    assert stat.S_ISREG(ids.lstat(path).st_mode)


def test_what_is_given_back_to_root_has_no_record(place):
    ids = RecordedOwners()
    with open(f"{place}/file", "w", encoding="ascii"):
        pass
    os.symlink("x", f"{place}/link")
    os.utime(f"{place}/link", ns=(3, 3), follow_symlinks=False)
    for name in ("file", "link"):
        ids.own_entry(f"{place}/{name}", 0, 0)
        ids.own_entry(f"{place}/{name}", 5, 6)
        ids.own_entry(f"{place}/{name}", 0, 0)
        assert owners.recorded(os.lstat(f"{place}/{name}"), f"{place}/{name}") is None
    assert os.lstat(f"{place}/link").st_atime_ns == 3


def test_who_has_all_ids_owns_for_real():
    assert owners.here().recorded == (os.geteuid() != 0)


@pytest.fixture
def bounded(place):
    """Runs a function where ids end at 65536, as for a user with subordinate ids; gives what it returned as text."""

    def run(work):
        from scow.linux.idmaps import IdMap, write_id_maps
        from scow.linux.namespaces import unshare

        ready, go, said = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                unshare("user")
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                os.write(said[1], repr(work(owners.here())).encode())
            except BaseException as error:
                os.write(said[1], repr(error).encode())
            finally:
                os._exit(0)
        os.read(ready[0], 1)
        write_id_maps(pid, [IdMap(0, 0, 65537)], [IdMap(0, 0, 65537)])
        os.write(go[1], b"x")
        os.waitpid(pid, 0)
        text = os.read(said[0], 1 << 16).decode()
        for fd in (*ready, *go, *said):
            os.close(fd)
        return text

    return run


@pytest.mark.root
def test_ids_that_exist_are_real_and_others_are_recorded(bounded, place):
    def work(ids):
        found = [(ids.recorded, ids.real)]
        for name, uid, gid in (("a", 33, 65536), ("b", 200000, 44), ("c", 5, 4_000_000_000)):
            with open(f"{place}/{name}", "w", encoding="ascii"):
                pass
            ids.own_entry(f"{place}/{name}", uid, gid)
            os.symlink("x", f"{place}/l{name}")
            ids.own_entry(f"{place}/l{name}", uid, gid)
            for path in (f"{place}/{name}", f"{place}/l{name}"):
                status, plain = ids.lstat(path), os.lstat(path)
                found.append((status.st_uid, status.st_gid, plain.st_uid, plain.st_gid))
        return found

    assert bounded(work) == repr(
        [
            (True, True),
            *[(33, 65536, 33, 65536)] * 2,
            *[(200000, 44, 65534, 44)] * 2,
            (5, 4_000_000_000, 5, 65534),
            (5, 0, 5, 65534),  # a link's record holds no such group
        ]
    )


@pytest.mark.root
def test_who_is_given_a_file_for_real_is_believed_over_the_record(bounded, place):
    def work(ids):
        path = f"{place}/file"
        with open(path, "w", encoding="ascii") as file:
            ids.own(file.fileno(), 200000, 200001)
        os.chown(path, 7, -1)  # as a program in a container does
        seen = ids.lstat(path)
        with open(path, encoding="ascii") as file:
            ids.own(file.fileno(), 8, 9)
            after = ids.fstat(file.fileno())
        return (seen.st_uid, seen.st_gid, after.st_uid, after.st_gid)

    assert bounded(work) == repr((7, 200001, 8, 9))


@pytest.mark.root
def test_devices_are_recorded_with_real_owners(bounded, place):
    def work(ids):
        ids.mknod(f"{place}/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        ids.own_entry(f"{place}/null", 6, 7)
        found = ids.lstat(f"{place}/null")
        plain = os.lstat(f"{place}/null")
        return (stat.S_ISCHR(found.st_mode), found.st_rdev, found.st_uid, found.st_gid, plain.st_uid, plain.st_size)

    assert bounded(work) == repr((True, os.makedev(1, 3), 6, 7, 6, 0))


def test_a_single_id_owns_by_records():
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            from scow.linux.idmaps import IdMap, write_id_maps
            from scow.linux.namespaces import unshare

            uid, gid = os.geteuid(), os.getegid()
            unshare("user")
            write_id_maps(os.getpid(), [IdMap(0, uid, 1)], [IdMap(0, gid, 1)])
            os.write(writer, b"%d" % owners.here().recorded)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    said = os.read(reader, 10)
    os.close(reader)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        pytest.skip("no user namespaces here")
    assert said == b"1"
