# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import bz2
import gzip
import http.server
import io
import lzma
import threading

import pytest

from fakes.stores import tar_of
from scow.errors import CorruptError, InvalidArgumentError, LimitError, NotFoundError
from scow.images.importing import UrlSource, import_tar
from scow.layer.changeset import Limits
from scow.oci.digest import sha256_digest
from scow.oci.model import Platform
from scow.oci.reference import Reference

TAR = tar_of({"etc/x": b"y", "top": b"z" * 5000})


def imported(store, data, **options):
    options.setdefault("created", 1.0)
    return import_tar(store.images, store.content, store.snapshots, io.BytesIO(data), Platform(), **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_any_compression_gives_the_same_layer(any_store, pack):
    record = imported(any_store, pack(TAR), names=[Reference.parse("i:1")], message="note")
    config = any_store.images.config(record.id).value
    assert config.diff_ids == (sha256_digest(TAR),)
    assert config.created == "1970-01-01T00:00:01Z"
    assert [(step.comment, step.created) for step in config.history] == [("note", "1970-01-01T00:00:01Z")]
    assert record.size == 5001
    assert any_store.snapshots.exists(record.chain)
    assert sorted(info.digest for info in any_store.content) == sorted([sha256_digest(TAR), record.id, record.manifest])
    assert [name.familiar for name in any_store.images.names(record.id)] == ["i:1"]


def test_the_same_again_is_the_same_image(store):
    assert imported(store, TAR).id == imported(store, gzip.compress(TAR)).id
    assert len(list(store.snapshots)) == 1


def test_changes_and_platform(store):
    record = import_tar(
        store.images,
        store.content,
        store.snapshots,
        io.BytesIO(TAR),
        Platform("linux", "arm64"),
        created=0,
        changes=['CMD ["/x"]', "ENV A=1"],
    )
    assert record.architecture == "arm64"
    assert store.images.run_config(record.id) == {"Env": ["A=1"], "Cmd": ["/x"]}


def test_bad_change_is_found_before_anything_is_read(store):
    class Untouched:
        def read(self, _size=-1):
            raise AssertionError("read")

    with pytest.raises(InvalidArgumentError):
        import_tar(store.images, store.content, store.snapshots, Untouched(), Platform(), created=0, changes=["RUN x"])


@pytest.mark.parametrize(
    ("data", "limits", "kind"),
    [
        (TAR[:3000], None, CorruptError),
        (gzip.compress(TAR)[:-20], None, CorruptError),
        (b"no tar at all" * 100, None, CorruptError),
        (TAR, Limits(max_size=4000), LimitError),
        (gzip.compress(TAR), Limits(max_size=4000), LimitError),
        (TAR, Limits(max_entries=1), LimitError),
    ],
)
def test_failures_leave_the_store_unchanged(any_store, data, limits, kind):
    before = any_store.state()
    with pytest.raises(kind):
        imported(any_store, data, limits=limits)
    assert any_store.state() == before


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/tar")
                self.end_headers()
                return
            self.send_response(200 if self.path == "/tar" else 404)
            self.send_header("Content-Length", str(len(TAR)))
            self.end_headers()
            self.wfile.write(TAR)

        def log_message(self, *_args):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("path", ["/tar", "/moved"])
def test_from_a_url(store, server, path):
    source = UrlSource(server + path, {}, "test")
    try:
        record = import_tar(store.images, store.content, store.snapshots, source, Platform(), created=0)
    finally:
        source.close()
    assert store.images.config(record.id).value.diff_ids == (sha256_digest(TAR),)


def test_url_that_is_not_there(server):
    with pytest.raises(NotFoundError, match="answers with the status 404"):
        UrlSource(server + "/none", {}, "test")
