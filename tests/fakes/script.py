# SPDX-License-Identifier: Apache-2.0
"""A server that knows nothing but a table of requests and answers, for behaviour that only some registries have."""

from __future__ import annotations

import http.server
import threading
import urllib.parse


class Answer:
    def __init__(self, status, headers=None, body=b"", *, needs=None, refuses=()):
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.needs = needs or {}
        self.refuses = refuses


class Script:
    """``table`` maps "METHOD /path" to one answer or a list of them, given in turn, the last one for ever.

    ``needs`` are headers (or ``?name`` query parameters) that the request must have, with their values (``None`` for
    any); ``refuses`` are headers that it must not have. ``{here}`` in headers becomes the server's URL.
    """

    def __init__(self, table):
        self.table = {key: list(value) if isinstance(value, list) else [value] for key, value in table.items()}
        self.log = []
        self.complaints = []
        script = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def every(self):
                script.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = every  # noqa: N815

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.server.shutdown()
        self.server.server_close()
        if kind is None:
            assert not self.complaints, self.complaints

    def answer(self, handler):
        split = urllib.parse.urlsplit(handler.path)
        query = urllib.parse.parse_qs(split.query, keep_blank_values=True)
        left = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(left)
        key = f"{handler.command} {urllib.parse.unquote(split.path)}"
        with self.lock:
            self.log.append((key, query, dict(handler.headers.items()), body))
            answers = self.table.get(key)
            if not answers:
                if key != "GET /v2/":
                    self.complaints.append(f"unexpected {key}")
                answers = [Answer(404 if key != "GET /v2/" else 401)]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            for name, wanted in answer.needs.items():
                found = query.get(name[1:], [None])[0] if name.startswith("?") else handler.headers.get(name)
                if found is None or (wanted is not None and found != wanted):
                    self.complaints.append(f"{key}: {name} is {found!r} instead of {wanted!r}")
            self.complaints += [f"{key}: sent {name}" for name in answer.refuses if handler.headers.get(name)]
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value.replace("{here}", f"http://{self.address}"))
        if not any(name.lower() == "content-length" for name in answer.headers):
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)

    def asked(self, key):
        return [entry for entry in self.log if entry[0] == key]
