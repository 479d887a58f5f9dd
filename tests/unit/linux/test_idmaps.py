# SPDX-License-Identifier: Apache-2.0
"""Maps of user ids."""

from __future__ import annotations

import os

import pytest

from scow.linux.idmaps import EVERY_ID, IdMap, read_map, write_id_maps
from scow.linux.namespaces import unshare


def test_a_map_is_read(tmp_path) -> None:
    path = tmp_path / "uid_map"
    path.write_text("         0       1001          1\n         1     100000      65536\n")
    assert read_map(str(path)) == (IdMap(0, 1001, 1), IdMap(1, 100000, 65536))
    path.write_text("         0          0 4294967295\n")
    assert read_map(str(path)) == (IdMap(0, 0, EVERY_ID),)


@pytest.mark.parametrize("text", ["", "one\n", "1 2\n"])
def test_what_is_no_map_is_empty(tmp_path, text) -> None:
    path = tmp_path / "uid_map"
    path.write_text(text)
    assert read_map(str(path)) == ()
    assert read_map(str(tmp_path / "absent")) == ()


@pytest.mark.root
def test_user_ids_are_mapped(tmp_path) -> None:
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            unshare("user")
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            status = 0 if (os.getuid(), os.getgid()) == (5, 6) else 2
        finally:
            os._exit(status)
    os.read(ready[0], 1)
    write_id_maps(pid, [IdMap(5, 0, 1)], [IdMap(6, 0, 1)])
    os.write(go[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
