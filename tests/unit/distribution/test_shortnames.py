# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.distribution.shortnames import is_short, meanings
from scow.errors import InvalidArgumentError
from scow.oci.reference import InvalidReferenceError

CONF = """
unqualified-search-registries = ["one.example", "two.example:5000"]
[aliases]
app = "real.example/team/app"
"lib/tool" = "real.example/tool"
gone = "real.example/gone"
"""


@pytest.fixture
def environ(tmp_path):
    folder = tmp_path / ".config" / "containers"
    folder.mkdir(parents=True)
    (folder / "registries.conf").write_text(CONF)
    (folder / "registries.conf.d").mkdir()
    (folder / "registries.conf.d" / "50.conf").write_text('[aliases]\ngone = ""\n')
    return {"SCOW_SHORT_NAMES": "podman", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}


def said(name, environ):
    return [meaning.canonical for meaning in meanings(name, environ)]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("app", True),
        ("app:1.0", True),
        ("team/app", True),
        ("localhost/app", False),
        ("host:5000/app", False),
        ("a.b/app", False),
        ("docker.io/app", False),
    ],
)
def test_which_names_are_short(name, short):
    assert is_short(name) == short


def test_docker_reads_names_unless_podman_is_asked_for(environ):
    for value in ("", "docker"):
        assert said("app:1", environ | {"SCOW_SHORT_NAMES": value}) == ["docker.io/library/app:1"]
    with pytest.raises(InvalidArgumentError, match="SCOW_SHORT_NAMES is 'yes'"):
        meanings("app", environ | {"SCOW_SHORT_NAMES": "yes"})


def test_aliases_keep_tag_and_digest(environ):
    digest = "sha256:" + "a" * 64
    assert said("app", environ) == ["real.example/team/app"]
    assert said("app:1", environ) == ["real.example/team/app:1"]
    assert said(f"app@{digest}", environ) == [f"real.example/team/app@{digest}"]
    assert said("lib/tool:2", environ) == ["real.example/tool:2"]
    assert said("docker.io/library/app", environ) == ["docker.io/library/app"]


def test_what_has_no_alias_is_searched_for(environ):
    everywhere = ["one.example/{0}", "two.example:5000/{0}"]
    # an empty alias takes one of an earlier file back
    for name in ("other:1", "team/app", "gone"):
        assert said(name, environ) == [place.format(name) for place in everywhere]


def test_nobody_is_there_to_be_asked(environ, tmp_path):
    conf = tmp_path / ".config" / "containers" / "registries.conf"
    conf.write_text('short-name-mode = "enforcing"\n' + CONF)
    assert said("app", environ) == ["real.example/team/app"]
    with pytest.raises(InvalidArgumentError, match=r"one\.example, two\.example:5000"):
        meanings("other", environ)
    conf.write_text('short-name-mode = "enforcing"\nunqualified-search-registries = ["one.example"]\n')
    assert said("other", environ) == ["one.example/other"]


def test_without_any_configuration_docker_hub_is_meant(tmp_path):
    conf = tmp_path / "empty.conf"
    environ = {"SCOW_SHORT_NAMES": "podman", "CONTAINERS_REGISTRIES_CONF": str(conf), "XDG_CACHE_HOME": str(tmp_path)}
    assert said("app", environ) == ["docker.io/library/app"]
    with pytest.raises(InvalidReferenceError):
        meanings("App", environ)
