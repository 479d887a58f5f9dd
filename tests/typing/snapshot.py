# SPDX-License-Identifier: Apache-2.0
"""The snapshot room's classes keep their protocols; checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scow.snapshot.erofs import Indexes
from scow.snapshot.overlay import Snapshots
from scow.snapshot.trees import Trees

if TYPE_CHECKING:
    from scow.snapshot.forms import LayerForm
    from scow.snapshot.snapshotter import Snapshotter

snapshots: type[Snapshotter] = Snapshots
indexes: type[LayerForm] = Indexes
trees: type[LayerForm] = Trees
