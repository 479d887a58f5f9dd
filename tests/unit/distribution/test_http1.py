# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading

import pytest

from scow.distribution.http1 import Answer, Connection, HttpError, Reader, Timeouts, head

QUICK = Timeouts(connect=1, read=0.5, headers=2)


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def said(pair, data, method="GET", *, close=True):
    """What a client makes of the bytes that a server sends."""
    here, there = pair
    there.sendall(data)
    if close:
        there.shutdown(socket.SHUT_WR)
    return Answer(Reader(here, QUICK), method)


def body(answer, size=1000):
    buffer = memoryview(bytearray(size))
    parts = []
    while count := answer.readinto(buffer):
        parts.append(bytes(buffer[:count]))
    return b"".join(parts)


def test_a_length_ends_the_body(pair):
    answer = said(pair, b"HTTP/1.1 200 All is well\r\nX-A: 1\r\nx-a:  2 \r\ncontent-length: 5\r\n\r\nhello")
    assert (answer.status, answer.reason, answer.left, answer.keep) == (200, "All is well", 5, True)
    assert answer.pairs == [("X-A", "1"), ("x-a", "2"), ("content-length", "5")]
    assert not answer.ended
    assert body(answer) == b"hello"
    assert answer.ended
    assert not answer.reader.has_rest


def test_what_follows_the_body_is_noticed(pair):
    answer = said(pair, b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 evil")
    assert body(answer) == b"ok"
    assert answer.reader.has_rest


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_chunks(pair, size):
    answer = said(
        pair,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"5;name=value\r\nhello\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    )
    assert answer.left is None
    assert body(answer, size) == b"hello0123456789"
    assert answer.ended
    assert answer.keep
    assert not answer.reader.has_rest


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"-1\r\nh", b"0x5\r\nhello\r\n", b"5_0\r\n", b" \r\n", b"1" * 17 + b"\r\n", b"3\r\nhello\r\n0\r\n\r\n"],
)
def test_chunks_that_make_no_sense(pair, chunks):
    answer = said(pair, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    with pytest.raises(HttpError, match="chunk"):
        body(answer)


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_body_that_is_cut_off_is_never_taken_for_whole(pair, cut):
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
    with pytest.raises(ConnectionResetError, match="closed"):
        body(said(pair, whole[:-cut]))


@pytest.mark.parametrize("cut", range(1, 43))
def test_a_head_that_is_cut_off_is_never_taken_for_whole(pair, cut):
    with pytest.raises(ConnectionResetError, match="closed"):
        said(pair, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n\r\n"[:-cut])


def test_a_short_body_says_how_much_is_missing(pair):
    answer = said(pair, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    with pytest.raises(ConnectionResetError, match="5 bytes early"):
        body(answer)


def test_without_a_length_the_end_of_the_connection_is_the_end(pair):
    answer = said(pair, b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert (answer.left, answer.keep) == (None, False)
    assert body(answer) == b"hello"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", b"200"), ("GET", b"204"), ("GET", b"304"), ("HEAD", b"404"), ("GET", b"101")]
)
def test_answers_without_a_body(pair, method, status):
    answer = said(pair, b"HTTP/1.1 " + status + b" X\r\nContent-Length: 10\r\n\r\n", method, close=False)
    assert (answer.ended, answer.keep, body(answer)) == (True, True, b"")


@pytest.mark.parametrize(
    ("first", "keep"),
    [
        (b"HTTP/1.1 200\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200\r\nConnection: x, CLOSE\r\n", False),
        (b"HTTP/1.0 200\r\n", False),
        (b"HTTP/1.0 200\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n", False),
    ],
)
def test_whether_the_connection_lives_on(pair, first, keep):
    assert said(pair, first + b"Content-Length: 0\r\n\r\n").keep == keep


def test_interim_answers_are_passed_over(pair):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    answer = said(pair, interim + b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.pairs) == (201, [("Content-Length", "0")])


def test_folded_headers_are_one(pair):
    answer = said(pair, b"HTTP/1.1 200 OK\r\nWWW-Authenticate: Bearer a=1,\r\n\t b=2\r\nContent-Length: 0\r\n\r\n")
    assert answer.pairs[0] == ("WWW-Authenticate", "Bearer a=1, b=2")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nna me: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: first\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 12345678901234567890\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_http(pair, data):
    here, there = pair
    sender = threading.Thread(target=lambda: _send(there, data), daemon=True)
    sender.start()
    with pytest.raises(HttpError) as caught:
        Answer(Reader(here, Timeouts()), "GET")
    assert len(str(caught.value)) < 200
    here.close()
    sender.join()


def _send(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass


def test_equal_lengths_are_one_length(pair):
    assert said(pair, b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n").left == 5


def test_silence_ends_in_an_error(pair):
    with pytest.raises(TimeoutError):
        said(pair, b"HTTP/1.1 200 OK\r\nContent-", close=False)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", []),
        ("/a\r\nX: y", []),
        ("/ä", []),
        ("/", [("X", "a\r\nY: b")]),
        ("/", [("X", "a\nb")]),
        ("/", [("X", "\0")]),
    ],
)
def test_a_request_says_nothing_else(target, headers):
    with pytest.raises(ValueError, match=r"cannot be asked for|more than one line"):
        head("GET", target, headers)


def test_a_request(pair):
    assert head("GET", "/v2/?x=1", [("Host", "r:5000")]) == b"GET /v2/?x=1 HTTP/1.1\r\nHost: r:5000\r\n\r\n"


def proxied(answer):
    """Connect through a proxy that answers so; gives what it was asked, and the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = []

        def serve():
            sock, _ = server.accept()
            asked.append(sock.recv(1000))
            sock.sendall(answer)
            asked.append(sock.recv(1000))
            sock.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        connection = Connection("::1", 443)
        connection.proxy = server.getsockname()
        connection.tunnel = {"Proxy-Authorization": "Basic x"}
        try:
            connection.connect()
            connection.sock.sendall(b"hello")
        finally:
            connection.close()
            thread.join(90)
    return asked


def test_a_tunnel():
    asked = proxied(b"HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n")
    first = b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic x\r\n\r\n"
    assert asked == [first, b"hello"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refuses: 407 Proxy Authentication Required"),
        (b"HTTP/1.1 200 OK\r\n\r\nand more", "refuses: 200"),
        (b"", "without an answer"),
    ],
)
def test_tunnels_that_lead_nowhere(answer, told):
    if answer:
        with pytest.raises(OSError, match=told):
            proxied(answer)
        return
    here, there = socket.socketpair()
    there.close()
    with here, pytest.raises(OSError, match=told):
        Answer(Reader(here, QUICK), "GET")


def test_a_closed_connection_is_closed_again():
    connection = Connection("127.0.0.1", 1)
    with pytest.raises(OSError, match="refused"):
        connection.connect()
    connection.close()
    connection.close()
    assert connection.sock is None
