# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

from scow.linux.mountinfo import place_of, unescape


def test_the_mount_of_a_path(tmp_path):
    point, _, _ = place_of(str(tmp_path))
    assert os.path.ismount(point)
    assert str(tmp_path).startswith(point)


def test_proc_is_a_mount_of_its_own():
    assert place_of("/proc/self/status")[0] == "/proc"


def test_escapes():
    assert unescape(r"/a\040b\134c") == "/a b\\c"
