# SPDX-License-Identifier: Apache-2.0
"""Where the entries of the guest book are kept: one JSON file, replaced as a whole."""

from __future__ import annotations

import json
import os
import threading


class Book:
    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()

    def entries(self) -> list[str]:
        try:
            with open(self._path, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return []

    def add(self, name: str) -> list[str]:
        name = " ".join(name.split())[:100]
        if not name:
            raise ValueError("a guest needs a name")
        with self._lock:
            entries = [*self.entries(), name]
            with open(self._path + ".new", "w", encoding="utf-8") as file:
                json.dump(entries, file)
            os.replace(self._path + ".new", self._path)
        return entries
