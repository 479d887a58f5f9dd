# SPDX-License-Identifier: Apache-2.0
"""What a container's difference lists."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from scow.containers import exporting

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_700_000_000


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A tree below and a difference above it, both with directories of the same whole second."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for root in (upper, lower):
        for name in ("etc/ssl", "var/log"):
            (root / name).mkdir(parents=True)

    def in_difference(_service: Any, _container: Any, look: Any, *, frozen: bool) -> Any:
        assert not frozen
        return look(str(upper), str(lower))

    monkeypatch.setattr(exporting, "in_difference", in_difference)
    return upper, lower


def listed(trees: tuple[Path, Path], stubs: tuple[str, ...] = ()) -> list[str]:
    for root in trees:
        for path, _, _ in os.walk(root, topdown=False):
            os.utime(path, (SECOND, SECOND))
    container: Any = SimpleNamespace(stubs=stubs)
    return [f"{change.kind} {change.path}" for change in exporting.differences(container, container)]


def test_what_was_only_copied_up_is_not_listed(trees: tuple[Path, Path]) -> None:
    assert listed(trees) == []


def test_a_directory_with_a_new_entry_is_listed_though_its_time_is_the_layers(trees: tuple[Path, Path]) -> None:
    (trees[0] / "etc/ssl/note").write_text("x")
    assert listed(trees) == ["C /etc", "C /etc/ssl", "A /etc/ssl/note"]


def test_a_directory_with_only_a_place_to_mount_on_is_not_listed(trees: tuple[Path, Path]) -> None:
    (trees[0] / "etc/hosts").write_text("")
    assert listed(trees, ("/etc/hosts",)) == []
