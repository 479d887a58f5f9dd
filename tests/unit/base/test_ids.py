# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

from scow.base.ids import friendly_name, random_id, short


def test_random_ids():
    found = {random_id() for _ in range(200)}
    assert len(found) == 200
    assert all(re.fullmatch("[0-9a-f]{64}", each) and not each[:12].isdecimal() for each in found)


def test_short():
    assert short("sha256:" + "ab" * 32) == "ab" * 6
    assert short("ab" * 32) == "ab" * 6


def test_friendly_names():
    assert all(re.fullmatch("[a-z]+_[a-z]+", friendly_name()) for _ in range(50))
    assert re.fullmatch("[a-z]+_[a-z]+[0-9]", friendly_name(1))
