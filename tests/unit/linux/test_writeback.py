# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

from scow.linux import writeback
from scow.linux.writeback import Writeback


def test_asks_once_for_each_stretch(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writeback, "_STEP", 100)
    calls = []
    with open(tmp_path / "f", "wb") as file:
        behind = Writeback(file.fileno(), 50)
        behind._call = lambda fd, start, length, flags: calls.append((fd, start.value, length.value, flags)) or 0
        for size in (60, 149, 150, 200, 249, 400):
            behind.reached(size)
        assert calls == [(file.fileno(), 50, 100, 2), (file.fileno(), 150, 250, 2)]


def test_the_kernel_takes_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writeback, "_STEP", 1)
    with open(tmp_path / "f", "wb", buffering=0) as file:
        behind = Writeback(file.fileno())
        file.write(b"x" * 10000)
        behind.reached(10000)
        assert behind._call is not None


def test_what_cannot_be_written_back_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(writeback, "_STEP", 1)
    reading, writing = os.pipe()
    try:
        behind = Writeback(writing)
        behind.reached(10)
        behind.reached(20)
        assert behind._call is None
    finally:
        os.close(reading)
        os.close(writing)
