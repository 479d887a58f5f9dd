# SPDX-License-Identifier: Apache-2.0
"""Files from the network for ADD, and servers that do not give them whole."""

from __future__ import annotations

import socket
import threading

import pytest

from fakes.stores import Store
from scow.build.fetch import UrlStore
from scow.errors import UnavailableError

DATA = b"0123456789" * 100


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def serve():
    """Answers one connection with some bytes."""
    listeners = []

    def serve(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def work():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"

    yield serve
    for listener in listeners:
        listener.close()


def fetch(store, url):
    with store.leases.hold("t") as lease:
        urls = UrlStore(store.db, store.content, lease, 1 << 20, lambda: None)
        tree = urls.tree(url, "")
        with open(tree.path, "rb") as file:
            return file.read(), tree.look(b"file").mtime_ns


def head(*lines):
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def test_a_file_comes_whole(store, serve):
    when = "Last-Modified: Thu, 01 Jan 1970 00:00:07 GMT"
    assert fetch(store, serve(head(f"Content-Length: {len(DATA)}", when) + DATA)) == (DATA, 7_000_000_000)
    chunks = b"a\r\n0123456789\r\n0\r\n\r\n"
    assert fetch(store, serve(head("Transfer-Encoding: chunked") + chunks))[0] == b"0123456789"


@pytest.mark.parametrize(
    "answer",
    [
        head(f"Content-Length: {len(DATA)}") + DATA[:-1],
        head(f"Content-Length: {len(DATA)}"),
        head("Transfer-Encoding: chunked") + b"a\r\n01234",
        head("Transfer-Encoding: chunked") + b"zz\r\n01234",
        head("Transfer-Encoding: chunked") + b"-5\r\n01234",
        head("X: " + "y" * 70_000),
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_what_is_cut_off_is_not_taken_for_the_whole(store, serve, answer):
    url = serve(answer)
    with pytest.raises(UnavailableError, match="cannot fetch"):
        fetch(store, url)
    assert list(store.content) == []
    with store.db.read() as connection:
        assert connection.execute("SELECT * FROM build_urls").fetchall() == []


@pytest.mark.parametrize("when", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "x", "\u00b2"])
def test_a_time_that_makes_no_sense_is_none(store, serve, when):
    answer = head(f"Content-Length: {len(DATA)}", f"Last-Modified: {when}") + DATA
    assert fetch(store, serve(answer)) == (DATA, 0)
