# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.base.database import Database
from scow.containers.store import Container, ContainerStore
from scow.containers.volumes import Volumes


@pytest.fixture
def db(tmp_path):
    return Database(str(tmp_path / "scow.db"))


@pytest.fixture
def store(db):
    return ContainerStore(db)


@pytest.fixture
def volumes(tmp_path, db):
    return Volumes(str(tmp_path), db)


@pytest.fixture
def make():
    """Makes containers with as little as possible said."""
    count = 0

    def make(name="box", **changes):
        nonlocal count
        count += 1
        values = {
            "id": f"{count:02x}" * 32,
            "name": name,
            "image": "sha256:" + "a" * 64,
            "image_name": "bb:1",
            "created": float(count),
            "config": {"Cmd": ["sh"]},
            "host": {},
            "network": {},
            "mounts": [],
            "status": "created",
        }
        return Container(**{**values, **changes})

    return make
