# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.distribution.registriesconf import config_files, documents, read_bytes, read_toml
from scow.errors import InvalidArgumentError

SYSTEM = "/etc/containers/registries.conf"


def test_a_users_own_file_replaces_the_machines(tmp_path):
    own = tmp_path / ".config" / "containers" / "registries.conf"
    assert config_files({"HOME": str(tmp_path)}) == [SYSTEM, f"{SYSTEM}.d", f"{own}.d"]
    own.parent.mkdir(parents=True)
    own.touch()
    assert config_files({"HOME": str(tmp_path)}) == [str(own), f"{own}.d"]
    assert config_files({}) == [SYSTEM, f"{SYSTEM}.d"]
    assert config_files({"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": "/x"}) == ["/x"]


def test_files_are_read_in_order(tmp_path):
    (tmp_path / "d").mkdir()
    for name, text in (("20.conf", "a = 3"), ("10.conf", "a = 2"), ("readme", "a = 9")):
        (tmp_path / "d" / name).write_text(text)
    (tmp_path / "first").write_text("a = 1")
    paths = [str(tmp_path / "first"), str(tmp_path / "none"), str(tmp_path / "d")]
    assert [document.get("a") for document in documents(paths)] == [1, None, 2, 3]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("# [[registry]]\n  # registry = 5\nunqualified-search-registries = []\n", False),
        ('[aliases]\n"registry" = "docker.io/library/registry"\n', False),
        ("a = 1\n [[ registry ]]\nlocation = 'x'\n", True),
        ("registry = [{location = 'x'}]", True),
        ("[[registry.mirror]]", True),
    ],
)
def test_files_that_say_nothing_of_it_are_not_read(tmp_path, text, read):
    path = tmp_path / "x.conf"
    path.write_text(text)
    assert len(list(documents([str(path)], "registry"))) == read
    assert len(list(documents([str(path)]))) == 1


def test_what_is_not_toml_is_named(tmp_path):
    path = tmp_path / "x.conf"
    path.write_bytes(b"\xff = [")
    assert read_bytes(str(path)) == b"\xff = ["
    with pytest.raises(InvalidArgumentError, match=r"x\.conf"):
        read_toml(str(path))
    assert read_toml(str(tmp_path)) == {}
