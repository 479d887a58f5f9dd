# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import pytest

from scow.containers import logbook


def container(**wanted):
    return SimpleNamespace(id="c1", host={"LogConfig": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("wanted", "bounds"),
    [
        ({}, (0, 1)),
        ({"Type": "json-file", "Config": {}}, (0, 1)),
        ({"Type": "json-file", "Config": {"max-size": "10k"}}, (10 << 10, 1)),
        ({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}}, (1 << 20, 3)),
        ({"Type": "json-file", "Config": {"max-file": "3"}}, (0, 3)),
        ({"Type": "local", "Config": None}, (20 << 20, 5)),
        ({"Type": "local", "Config": {"max-file": "2"}}, (20 << 20, 2)),
    ],
)
def test_bounds(wanted, bounds):
    assert logbook.bounds(container(**wanted)) == bounds


def test_where_a_monitor_writes(tmp_path):
    service = SimpleNamespace(directory=lambda identity: f"{tmp_path}/{identity}")
    assert logbook.open_log(service, container()).path == f"{tmp_path}/c1/log"
    none = logbook.open_log(service, container(Type="none"))
    assert none.path == ""
    none.close()
    assert logbook.is_kept(container())
    assert not logbook.is_kept(container(Type="none"))
