# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import importlib.util
import io
import os
import py_compile
import struct
import tarfile
import threading
from urllib.parse import quote

import pytest

from scow.base.files import remove_tree
from scow.base.locks import FileLock
from scow.build import cachemounts, locking
from scow.build.cachemounts import cache_mounts, remove_cache_mount
from scow.build.leaks import Gate, needles, place_of
from scow.build.options import BuildOptions, Secret
from scow.build.owners import find_owner
from scow.build.remote import file_name, is_git, is_http, parse_git
from scow.build.secrets import forward_agent, secret_value
from scow.build.sources import DirTree
from scow.build.times import settle_times
from scow.errors import InvalidArgumentError, LimitError, NotFoundError

# ---------------------------------------------------------------------- owners


@pytest.fixture
def accounts(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:\nbob:x:7:8::/:\nodd:x:y:z\nshort\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nstaff:x:50:bob\n")
    return DirTree(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("bob", (7, 8)),
        ("bob:staff", (7, 50)),
        ("12", (12, 12)),
        ("12:13", (12, 13)),
        ("bob:", (7, 0)),
        ("nobody", (0, 0)),
        ("odd", (0, 0)),
        ("1:nogroup", (1, 1)),
        ("bob:nogroup", (7, 8)),
        ("1:2:3", (1, 1)),
        ("99999999999", (0, 0)),
        ("+5", (5, 5)),
        ("-2:2147483647", (0xFFFFFFFE, 0x7FFFFFFF)),
        ("2147483648", (0, 0)),
        (":staff", (0, 50)),
        (":", (0, 0)),
    ],
)
def test_owners(accounts, text, owner):
    assert find_owner(text, accounts) == owner


@pytest.mark.parametrize(("text", "owner"), [("5:6", (5, 6)), ("root:root", (0, 0)), ("7:", (7, 0)), ("+5", (5, 5))])
def test_numbers_need_no_tree(text, owner):
    assert find_owner(text, None) == owner


@pytest.mark.parametrize("text", ["bob", "5:staff", "bob:6", ":staff", "0x5"])
def test_names_need_a_tree(text):
    with pytest.raises(InvalidArgumentError, match="cannot be looked up"):
        find_owner(text, None)


# ---------------------------------------------------------------------- remote


@pytest.mark.parametrize(
    ("text", "git", "http"),
    [
        ("https://example.com/x.tar", False, True),
        ("https://example.com/x.git", True, False),
        ("https://example.com/x.git#main:sub", True, False),
        ("git@example.com:a/b.git", True, False),
        ("git://example.com/x", True, False),
        ("ssh://git@example.com/x", True, False),
        ("a.git", False, False),
        ("./git@x:y", False, False),
    ],
)
def test_kinds_of_remote(text, git, http):
    assert (is_git(text), is_http(text)) == (git, http)


def test_git_sources():
    source = parse_git("https://e.com/x.git#v1:sub/dir")
    assert (source.remote, source.ref, source.subdir) == ("https://e.com/x.git", "v1", "sub/dir")
    source = parse_git("https://e.com/x.git?tag=v2&subdir=s&checksum=abc&submodules=false&keep-git-dir=1")
    assert source == ("https://e.com/x.git", "refs/tags/v2", "s", "abc", True, False)
    for bad in ("https://e.com/x.git#main:../up", "https://e.com/x.git?odd=1", "https://e.com/x.git?tag=a#b",
                "https://e.com/x.git#--upload-pack=evil"):  # fmt: skip
        with pytest.raises(InvalidArgumentError):
            parse_git(bad)
    assert file_name("https://e.com/a/b.txt?x=1") == "b.txt"
    assert file_name("https://e.com/") == "__unnamed__"


# ---------------------------------------------------------------------- lock files


def test_lock_files_round_trip_and_are_sorted(tmp_path):
    path = str(tmp_path / "Dockerfile.lock")
    inputs = [locking.Input("url", "https://e.com/x", "sha256:2"), locking.Input("image", 'a"b', "sha256:1")]
    assert locking.write(path, inputs) == ['+ image a"b sha256:1', "+ url https://e.com/x sha256:2"]
    assert locking.read(path) == sorted(inputs)
    assert locking.write(path, inputs) == []
    changed = [inputs[0]._replace(digest="sha256:3")]
    assert locking.write(path, changed) == ['- image a"b sha256:1', "~ url https://e.com/x sha256:2 -> sha256:3"]
    locking.check(path, changed)
    with pytest.raises(locking.LockError, match="is not in the lock file"):
        locking.check(path, inputs)
    with pytest.raises(locking.LockError, match="the lock file has sha256:3"):
        locking.check(path, [inputs[0]])
    assert locking.LockError("x").exit_code == 3


@pytest.mark.parametrize("text", ["version = 2\n", "not toml =", "\x00"])
def test_bad_lock_files(tmp_path, text):
    path = tmp_path / "l"
    path.write_text(text)
    with pytest.raises(locking.LockError):
        locking.read(str(path))
    with pytest.raises(NotFoundError):
        locking.read(str(tmp_path / "none"))


# ---------------------------------------------------------------------- leaks


@pytest.mark.parametrize(
    "form", [lambda s: s, lambda s: s.hex().encode(), base64.b64encode, lambda s: quote(s, safe="").encode()]
)
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_secrets_are_found_across_writes(form, cut):
    secret = b"t0p/secret!x"
    data = b"x" * 500 + form(secret) + b"y" * 500
    out = io.BytesIO()
    gate = Gate(out, needles({"tok": secret + b"\n"}))
    for start in range(0, len(data), cut):
        gate.write(data[start : start + cut])
    assert out.getvalue() == data
    needle, offset = gate.found
    assert needle.secret == "tok"
    assert offset == 500


def test_short_secrets_are_not_searched_for():
    assert needles({"pin": b"1234"}) == []
    gate = Gate(io.BytesIO(), [])
    gate.write(b"1234")
    assert gate.found is None


def test_the_file_is_named():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("a", "dir/b"):
            info = tarfile.TarInfo(name)
            info.size = 600
            tar.addfile(info, io.BytesIO(bytes(600)))
    out.seek(0)
    assert place_of(out, 512 + 1024 + 512 + 10) == "/dir/b"


# ---------------------------------------------------------------------- secrets and agents


def test_secret_values(tmp_path):
    (tmp_path / "s").write_bytes(b"v\xff")
    (tmp_path / "big").write_bytes(bytes(500 * 1024 + 1))
    options = BuildOptions(
        context=".",
        secrets={
            "file": Secret(path=str(tmp_path / "s")),
            "env": Secret(env="E"),
            "noenv": Secret(env="NO"),
            "gone": Secret(path=str(tmp_path / "gone")),
            "big": Secret(path=str(tmp_path / "big")),
        },
        environ={"E": "from env"},
    )
    assert secret_value(options, "file") == b"v\xff"
    assert secret_value(options, "env") == b"from env"
    assert secret_value(options, "other") is None
    for name in ("noenv", "gone"):
        with pytest.raises(NotFoundError):
            secret_value(options, name)
    with pytest.raises(LimitError):
        secret_value(options, "big")


def test_an_agent_is_passed_on(tmp_path):
    import socket
    import threading

    upstream = socket.socket(socket.AF_UNIX)
    upstream.bind(str(tmp_path / "up"))
    upstream.listen(2)

    def echo():
        connection, _ = upstream.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    thread = threading.Thread(target=echo)
    thread.start()
    agent = forward_agent(str(tmp_path / "s"), (), {"SSH_AUTH_SOCK": str(tmp_path / "up")})
    with agent, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    thread.join()
    upstream.close()
    with pytest.raises(InvalidArgumentError), forward_agent(str(tmp_path / "t"), (), {}):
        pass
    with pytest.raises(NotFoundError), forward_agent(str(tmp_path / "t"), (str(tmp_path / "none"),), {}):
        pass


# ---------------------------------------------------------------------- times


def test_what_a_step_wrote_gets_the_epoch(tmp_path):
    began = 1_700_000_000_000_000_000
    old, new = tmp_path / "old", tmp_path / "d/new"
    new.parent.mkdir()
    old.write_text("")
    new.write_text("")
    os.symlink("x", tmp_path / "ln")
    os.utime(old, (1_600_000_000, 1_600_000_000))
    assert settle_times(str(tmp_path), began, 1_500_000_000) == 4
    assert int(os.stat(old).st_mtime) == 1_600_000_000
    assert int(os.stat(new).st_mtime) == int(os.lstat(tmp_path / "ln").st_mtime) == 1_500_000_000
    assert settle_times(str(tmp_path), began, 1_500_000_000, all_later=True) == 1
    assert settle_times(str(tmp_path), began, 1_500_000_000, all_later=True) == 0


def test_byte_code_stays_valid(tmp_path):
    source = tmp_path / "mod.py"
    source.write_text("x = 1\n")
    compiled = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    settle_times(str(tmp_path), 0, 1_500_000_000)
    with open(compiled, "rb") as file:
        _, flags, time = struct.unpack("<4sII", file.read(12))
    assert (flags, time) == (0, 1_500_000_000)
    assert int(os.stat(source).st_mtime) == time
    assert importlib.util.source_from_cache(compiled) == str(source)


# ---------------------------------------------------------------------- cache mounts


def test_cache_mounts_are_listed_and_removed(tmp_path):
    assert cache_mounts(str(tmp_path)) == []
    place = tmp_path / "cache-mounts/abc"
    (place / "data").mkdir(parents=True)
    (place / "data/f").write_bytes(bytes(10_000))
    (place / "id").write_text("pip")
    found = cache_mounts(str(tmp_path))
    assert [(mount.name, mount.id) for mount in found] == [("abc", "pip")]
    assert found[0].size >= 10_000
    assert remove_cache_mount(str(tmp_path), "abc")
    assert cache_mounts(str(tmp_path)) == []


def test_a_cache_that_is_used_stays_and_what_a_killed_removal_left_goes(tmp_path):
    place = tmp_path / "cache-mounts/abc"
    place.mkdir(parents=True)
    with FileLock(str(place / "lock")).shared():
        assert not remove_cache_mount(str(tmp_path), "abc")
    left = tmp_path / "cache-mounts/abc.gone-1234"
    left.mkdir()
    for mount in cache_mounts(str(tmp_path)):
        assert remove_cache_mount(str(tmp_path), mount.name)
    assert os.listdir(tmp_path / "cache-mounts") == []


def test_a_step_makes_a_cache_anew_while_the_one_before_it_is_removed(tmp_path, monkeypatch):
    """The removal moves the cache away, with its lock, before it takes long over its files."""
    place = tmp_path / "cache-mounts/abc"
    (place / "data").mkdir(parents=True)
    lock = FileLock(str(place / "lock"))
    waiting, used = threading.Event(), threading.Event()

    def step():
        waiting.set()
        with lock.shared():
            (place / "data").mkdir()
            used.set()

    thread = threading.Thread(target=step)

    def removed(path):
        thread.start()
        assert waiting.wait(90)
        remove_tree(path)

    monkeypatch.setattr(cachemounts, "remove_tree", removed)
    assert remove_cache_mount(str(tmp_path), "abc")
    thread.join(90)
    assert used.is_set()
    assert os.listdir(tmp_path / "cache-mounts") == ["abc"]
