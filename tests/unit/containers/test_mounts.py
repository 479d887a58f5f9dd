# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.containers.mounts import resolve
from scow.errors import InvalidArgumentError


def one(volumes, **host):
    (mount,) = resolve({}, host, volumes)
    return mount


def test_a_bind(volumes, tmp_path):
    mount = one(volumes, Binds=[f"{tmp_path}:/data:ro,rprivate"])
    assert mount == {
        "Type": "bind",
        "Source": str(tmp_path),
        "Destination": "/data",
        "Mode": "ro,rprivate",
        "RW": False,
        "Propagation": "rprivate",
    }


def test_a_missing_source_of_v_is_made(volumes, tmp_path):
    one(volumes, Binds=[f"{tmp_path}/new/deep:/data"])
    assert os.path.isdir(tmp_path / "new" / "deep")


def test_a_named_volume(volumes):
    mount = one(volumes, Binds=["vol1:/data:nocopy"])
    assert (mount["Type"], mount["Name"], mount["RW"], mount["NoCopy"]) == ("volume", "vol1", True, True)
    assert not volumes.get("vol1").anonymous
    assert mount["Source"] == volumes.get("vol1").path


def test_an_anonymous_volume_of_the_image_gives_way_to_a_wish(volumes, tmp_path):
    config = {"Volumes": {"/data": {}, "/other/": {}}}
    found = resolve(config, {"Binds": [f"{tmp_path}:/data"]}, volumes)
    assert [(mount["Destination"], mount["Type"]) for mount in found] == [("/data", "bind"), ("/other", "volume")]
    assert volumes.get(found[1]["Name"]).anonymous


def test_mounts_of_other_containers_are_weakest(volumes, tmp_path):
    theirs = [{"Type": "volume", "Name": "n", "Source": "/s", "Destination": "/data", "RW": True}]
    found = resolve({"Volumes": {"/data": {}}}, {}, volumes, [(theirs, True)])
    assert [(mount["Name"], mount["RW"]) for mount in found] == [("n", False)]
    found = resolve({}, {"Binds": [f"{tmp_path}:/data"]}, volumes, [(theirs, False)])
    assert [mount["Type"] for mount in found] == ["bind"]


def test_memory_file_systems(volumes):
    found = resolve(
        {},
        {
            "Tmpfs": {"/a": "size=1m"},
            "Mounts": [{"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o700}}],
        },
        volumes,
    )
    assert {mount["Destination"]: mount["Options"] for mount in found} == {"/a": "size=1m", "/b": "size=4096,mode=700"}


def test_deeper_mounts_come_later(volumes):
    found = resolve({}, {"Binds": ["vol1:/a/b/c", "vol2:/a", "vol3:/a/b"]}, volumes)
    assert [mount["Destination"] for mount in found] == ["/a", "/a/b", "/a/b/c"]


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Binds": ["a:b:c:d"]}, "invalid volume specification: 'a:b:c:d'"),
        ({"Binds": ["/a:"]}, "invalid volume specification"),
        ({"Binds": ["/a:b"]}, "mount path must be absolute"),
        ({"Binds": ["/a:/"]}, "destination can't be '/'"),
        ({"Binds": ["/a:/.."]}, "destination can't be '/'"),
        ({"Binds": ["/tmp:/b:zebra"]}, "invalid mode: zebra"),
        ({"Binds": ["/tmp:/b:ro,rw"]}, "invalid mode"),
        ({"Binds": ["/tmp:/b:shared,rshared"]}, "invalid mode: shared,rshared"),
        ({"Binds": ["/tmp:/b:nocopy"]}, 'mount config for type "bind": field VolumeOptions must not be specified'),
        ({"Binds": ["vol1:/"]}, 'mount config for type "volume": invalid specification'),
        ({"Binds": ["/tmp:/b", "vol1:/b"]}, "Duplicate mount point: /b"),
        ({"Binds": ["-bad:/b"]}, "includes invalid characters for a local volume name"),
        (
            {"Mounts": [{"Type": "bind", "Source": "/none/here", "Target": "/m"}]},
            "bind source path does not exist: /none/here",
        ),
        ({"Mounts": [{"Type": "bind", "Source": "x", "Target": "/m"}]}, "mount path must be absolute"),
        ({"Mounts": [{"Type": "bind", "Target": "/m"}]}, "field Source must not be empty"),
        ({"Mounts": [{"Type": "volume"}]}, "field Target must not be empty"),
        ({"Mounts": [{"Type": "zebra", "Target": "/m"}]}, "mount type unknown"),
        ({"Tmpfs": {"/b": ""}, "Binds": ["/tmp:/b"]}, "Duplicate mount point"),
    ],
)
def test_wishes_that_make_no_sense(volumes, host, message):
    with pytest.raises(InvalidArgumentError, match=message):
        resolve({}, host, volumes)
    assert not os.path.exists("/none")
