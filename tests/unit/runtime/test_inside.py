# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.errors import InvalidArgumentError
from scow.runtime.inside import Root, Stub, places

OWNER = (os.getuid(), os.getgid())


@pytest.fixture
def top(tmp_path):
    """A root with links that try to leave it, beside a secret."""
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("inside")
    (root / "abs").symlink_to(tmp_path)
    (root / "up").symlink_to("../../../../../../.." + str(tmp_path))
    (root / "etc" / "link").symlink_to("/etc/passwd")
    (root / "etc" / "out").symlink_to(str(tmp_path / "secret"))
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("/run/new/file")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def root(top):
    with Root(str(top)) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/etc/passwd", b"inside"),
        ("/etc/link", b"inside"),
        ("/etc/out", b""),
        ("/abs/secret", b""),
        ("/up/secret", b""),
        ("/../secret", b""),
        ("/none", b""),
        ("/etc", b""),
        ("/fifo", b""),
        ("/loop", b""),
    ],
)
def test_reading_never_leaves_the_root(root, path, data):
    assert root.read(path, 100) == data


def test_reading_is_bounded(root):
    assert root.read("/etc/passwd", 3) == b"ins"


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/etc/link", "/etc/passwd"),
        ("/../../etc", "/etc"),
        ("/dangling", "/run/new/file"),
        ("/a//./b/../c", "/a/c"),
        ("/", "/"),
    ],
)
def test_where_a_path_leads(root, path, real):
    assert root.resolve(path) == real


def test_an_absolute_link_leads_inside(root, top, tmp_path):
    assert root.resolve("/abs/x") == str(tmp_path) + "/x"


def test_endless_links_are_refused(root):
    with pytest.raises(InvalidArgumentError, match="too many links"):
        root.resolve("/loop/x")


def ensure(root, path, **options):
    return root.ensure(path, owner=(0, 0), **options)


def test_places_are_made_at_the_end_of_links_and_noted(root, top, tmp_path):
    before = os.stat(top).st_mtime_ns
    made = ensure(root, "/dangling", directory=False)
    assert made == [Stub("/run", True), Stub("/run/new", True), Stub("/run/new/file", False)]
    assert (top / "run/new/file").read_bytes() == b""
    assert os.stat(top).st_mtime_ns == before
    assert ensure(root, "/dangling", directory=False) == []
    root.remove_stubs(made)
    assert not (top / "run").exists()
    assert os.stat(top).st_mtime_ns == before
    assert sorted(os.listdir(tmp_path)) == ["root", "secret"]


def test_a_stub_that_was_filled_stays(root, top):
    made = ensure(root, "/data/f", directory=False)
    (top / "data" / "f").write_text("kept")
    root.remove_stubs(made)
    assert (top / "data" / "f").read_text() == "kept"


def test_a_file_in_the_way_is_refused(root):
    with pytest.raises(InvalidArgumentError, match="/etc/passwd/x"):
        ensure(root, "/etc/passwd/x", directory=True)


def test_only_places_that_no_other_mount_has():
    found = places([("/data", True), ("/data/sub", True), ("/dev/shm", True), ("/etc/hosts", False)])
    assert found == [("/data", True), ("/etc/hosts", False)]
