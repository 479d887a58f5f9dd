# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import tempfile
import unittest

from hello.book import Book
from hello.server import page


class BookTest(unittest.TestCase):
    def test_entries_are_kept(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "book.json")
            Book(path).add("  Ada   Lovelace ")
            self.assertEqual(Book(path).add("Grace"), ["Ada Lovelace", "Grace"])

    def test_nobody_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(ValueError):
            Book(os.path.join(folder, "book.json")).add(" \n")

    def test_names_are_escaped(self) -> None:
        self.assertIn("&lt;b&gt;", page(["<b>"]))


if __name__ == "__main__":
    unittest.main()
