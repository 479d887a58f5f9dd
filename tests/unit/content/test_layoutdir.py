# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import os
import pathlib
import threading

import pytest

from fakes.imaging import GZIP, OCI_MANIFEST, Made, descriptor, digest_of
from scow.base.streams import BlobMismatchError
from scow.content import layoutdir
from scow.content.layoutdir import LayoutDirectory
from scow.errors import CorruptError, InvalidArgumentError, NotFoundError
from scow.oci.digest import Digest
from scow.oci.model import Descriptor


def desc(data, media_type=GZIP):
    return Descriptor(media_type, Digest(digest_of(data)), len(data))


@pytest.fixture
def layout(tmp_path):
    return LayoutDirectory(str(tmp_path / "l"), create=True)


def test_a_new_layout_is_one_that_others_accept(layout):
    assert json.loads(pathlib.Path(layout.path, "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(pathlib.Path(layout.path, "index.json").read_text())["manifests"] == []
    assert os.path.isdir(f"{layout.path}/blobs")


def test_content_goes_in_and_out(layout):
    data = os.urandom(300_000)
    assert not layout.exists(desc(data))
    layout.push(desc(data), io.BytesIO(data))
    assert layout.exists(desc(data))
    with layout.fetch(desc(data), offset=1000) as stream:
        assert stream.read() == data[1000:]
    assert os.listdir(f"{layout.path}/blobs/sha256") == [digest_of(data)[7:]]


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"y" + d[1:]])
def test_wrong_content_leaves_nothing(layout, spoil):
    data = b"content" * 100
    with pytest.raises(BlobMismatchError):
        layout.push(desc(data), io.BytesIO(spoil(data)))
    assert os.listdir(f"{layout.path}/blobs/sha256") == []
    with pytest.raises(NotFoundError):
        layout.fetch(desc(data))


def test_names(layout):
    one, two = Made([{"a": b"1"}]).raw, Made([{"a": b"2"}]).raw
    for raw in (one, two):
        layout.push(desc(raw, OCI_MANIFEST), io.BytesIO(raw))
    layout.tag(desc(one, OCI_MANIFEST), "v1")
    assert layout.resolve("v1").digest == layout.resolve("").digest == digest_of(one)
    layout.tag(desc(two, OCI_MANIFEST), "v2")
    assert layout.resolve(digest_of(two)).size == len(two)
    with pytest.raises(NotFoundError, match="has 2 entries"):
        layout.resolve("")
    with pytest.raises(NotFoundError, match="no image"):
        layout.resolve("v3")
    layout.tag(desc(two, OCI_MANIFEST), "v1")
    assert layout.resolve("v1").digest == digest_of(two)


def test_what_is_no_layout(tmp_path):
    with pytest.raises(NotFoundError):
        LayoutDirectory(str(tmp_path))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidArgumentError, match="not empty"):
        LayoutDirectory(str(tmp_path), create=True)


def test_a_layout_that_makes_no_sense(layout):
    with open(f"{layout.path}/index.json", "w") as file:
        file.write('{"manifests": 5}')
    with pytest.raises(CorruptError):
        layout.resolve("x")


def test_referrers_are_found_by_their_subject(layout):
    subject = Made([{"a": b"1"}]).raw
    signature = Made([{"s": b"1"}])
    signature.extra = {"subject": descriptor(OCI_MANIFEST, subject), "artifactType": "a/sig"}
    for raw in (subject, signature.raw):
        layout.push(desc(raw, OCI_MANIFEST), io.BytesIO(raw))
        layout.tag(desc(raw, OCI_MANIFEST), "")
    assert [found.digest for found in layout.referrers(desc(subject))] == [digest_of(signature.raw)]
    assert list(layout.referrers(desc(subject), "a/other")) == []


def test_a_layout_whose_making_was_killed_is_made_anew(tmp_path, monkeypatch):
    write = layoutdir.atomic_write

    def killed(path, data):
        if path.endswith("oci-layout"):
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(layoutdir, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        LayoutDirectory(str(tmp_path / "l"), create=True)
    monkeypatch.undo()
    (tmp_path / "l/oci-layout.12.abcd.tmp").write_bytes(b"")
    assert LayoutDirectory(str(tmp_path / "l"), create=True).index().manifests == ()


def test_a_layout_that_two_make_at_once_loses_nothing(tmp_path, monkeypatch):
    """The other one comes between the look for an index and its writing, and is done before."""
    data, write, done = b"{}", layoutdir.atomic_write, []

    def other():
        layout = LayoutDirectory(str(tmp_path / "l"), create=True)
        layout.push(desc(data), io.BytesIO(data))
        layout.tag(desc(data), "kept")

    def late(path, text):
        if not done and path.endswith("index.json"):
            done.append(threading.Thread(target=other))
            done[0].start()
            done[0].join(0.5)  # it waits for us, or is through
        write(path, text)

    monkeypatch.setattr(layoutdir, "atomic_write", late)
    layout = LayoutDirectory(str(tmp_path / "l"), create=True)
    done[0].join()
    assert layout.resolve("kept").digest == desc(data).digest


@pytest.mark.parametrize("name", ["x", "index.json", "blobs", "x.tmp"])
def test_what_others_have_in_a_directory_is_left_alone(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match="not empty"):
        LayoutDirectory(str(tmp_path), create=True)
    assert os.listdir(tmp_path) == [name]
