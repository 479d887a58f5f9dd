# SPDX-License-Identifier: Apache-2.0
"""GET / shows the book, POST / signs it, GET /healthz answers ok."""

from __future__ import annotations

import html
import os
import signal
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hello import __version__
from hello.book import Book

MAX_BODY = 4096


def page(entries: list[str]) -> str:
    items = "".join(f"<li>{html.escape(entry)}</li>" for entry in entries)
    return f"<!doctype html><title>hello-web</title><h1>Hello from a container</h1><ol>{items}</ol>\n"


def handler(book: Book) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, text: str, kind: str = "text/plain") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self.answer(200, "ok\n")
            elif self.path == "/":
                self.answer(200, page(book.entries()), "text/html")
            else:
                self.answer(404, "not found\n")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                self.answer(413, "too long\n")
                return
            try:
                entries = book.add(self.rfile.read(length).decode("utf-8", "replace"))
            except ValueError as error:
                self.answer(400, f"{error}\n")
                return
            self.answer(201, f"you are guest number {len(entries)}\n")

    return Handler


def main() -> None:
    port = int(os.environ.get("PORT", "8000"))
    if sys.argv[1:] == ["--version"]:
        print(__version__)
        return
    if sys.argv[1:] == ["--check"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as response:
            sys.exit(response.status != 200)
    server = ThreadingHTTPServer(("0.0.0.0", port), handler(Book(os.environ.get("GUESTBOOK", "guestbook.json"))))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"hello-web {__version__} listens on port {port}")
    server.serve_forever()
    print("hello-web stops")


if __name__ == "__main__":
    main()
