# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that counts bytes and breaks connections after so many of them."""

from __future__ import annotations

import socket
import threading


class CuttingProxy:
    """Forwards to ``target``; ``cuts`` has, for each connection in turn, after how many bytes of the answer it breaks.

    ``upload_cuts`` does the same for what the client sends; a missing or ``None`` entry breaks nothing.
    """

    def __init__(self, target, cuts=(), upload_cuts=()):
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.cuts, self.upload_cuts = list(cuts), list(upload_cuts)
        self.downstream = self.upstream = self.connections = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # closing alone does not wake the thread that accepts
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                number = self.connections
                self.connections += 1
            server = socket.create_connection(self.target)
            down = self.cuts[number] if number < len(self.cuts) else None
            up = self.upload_cuts[number] if number < len(self.upload_cuts) else None
            threading.Thread(target=self._pump, args=(server, client, down, "downstream"), daemon=True).start()
            threading.Thread(target=self._pump, args=(client, server, up, "upstream"), daemon=True).start()

    def _pump(self, source, sink, left, counter):
        try:
            while left is None or left > 0:
                data = source.recv(65536 if left is None else min(left, 65536))
                if not data:
                    break
                sink.sendall(data)
                with self.lock:
                    setattr(self, counter, getattr(self, counter) + len(data))
                if left is not None:
                    left -= len(data)
        except OSError:
            pass
        finally:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()
