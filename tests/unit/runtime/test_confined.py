# SPDX-License-Identifier: Apache-2.0
"""Configurations for a container inside a user namespace."""

from __future__ import annotations

import pytest

from scow.linux import capabilities
from scow.runtime import confined, spec
from scow.runtime.users import Identity

IDS = 65537


def make(host=None, **changes):
    values = {
        "rootfs": "/r",
        "hostname": "box",
        "identity": Identity(0, 0, (), "/root"),
        "args": ("true",),
        "capabilities": capabilities.DEFAULT,
        "ids": IDS,
    }
    return spec.make_spec({}, host or {}, spec.Place(**{**values, **changes}))


def mount(document, target):
    return next((mount for mount in document["mounts"] if mount["destination"] == target), None)


def test_namespaces_of_its_own_have_file_systems_of_their_own():
    document = make()
    assert mount(document, "/proc")["type"] == "proc"
    assert mount(document, "/sys")["type"] == "sysfs"


def test_the_hosts_network_shows_the_hosts_sysfs_and_keeps_it_readonly():
    found = mount(make(network="host"), "/sys")
    assert (found["type"], found["source"]) == ("bind", "/sys")
    assert {"rbind", "ro", "nosuid", "nodev", "noexec"} <= set(found["options"])


def test_the_hosts_processes_are_shown_by_the_hosts_proc():
    found = mount(make(pid="host"), "/proc")
    assert (found["type"], found["source"]) == ("bind", "/proc")


def test_what_is_covered_in_the_container_around_is_borrowed():
    docker = ["/proc", "/proc/kcore", "/proc/sys", "/sys", "/sys/fs/cgroup", "/sys/firmware"]
    assert confined.covered(docker) == {"/proc", "/sys"}
    host = ["/proc", "/proc/sys/fs/binfmt_misc", "/sys", "/sys/fs/cgroup", "/sys/kernel/debug"]
    assert confined.covered(host) == frozenset()
    document = make(borrowed=frozenset({"/proc", "/sys"}))
    assert [mount(document, path)["type"] for path in ("/proc", "/sys")] == ["bind", "bind"]
    assert {"type": "pid"} in document["linux"]["namespaces"]


def test_ids_of_mounts_that_do_not_exist_are_left_out():
    assert "gid=5" in mount(make(), "/dev/pts")["options"]
    assert "gid=5" not in mount(make(ids=1), "/dev/pts")["options"]


def test_without_a_control_group_there_are_no_limits_and_no_mount():
    document = make({"Memory": 64 << 20})
    assert "cgroupsPath" not in document["linux"]
    assert document["linux"]["resources"] == {}
    assert mount(document, "/sys/fs/cgroup") is None


def test_a_delegated_group_keeps_its_limits():
    document = make({"Memory": 64 << 20}, cgroup="/user.slice/x/box")
    assert document["linux"]["cgroupsPath"] == "/user.slice/x/box"
    assert document["linux"]["resources"]["memory"]["limit"] == 64 << 20
    assert mount(document, "/sys/fs/cgroup") is not None


@pytest.mark.parametrize(("ids", "last"), [(IDS, IDS - 1), (1, 0)])
def test_only_groups_that_exist_may_ping(ids, last):
    assert make(ids=ids)["linux"]["sysctl"]["net.ipv4.ping_group_range"] == f"0 {last}"


def test_nothing_changes_outside_of_user_namespaces():
    document = make(ids=0, cgroup="/scow/x", network="host")
    assert document["linux"]["cgroupsPath"] == "/scow/x"
    assert mount(document, "/sys")["type"] == "sysfs"


def test_the_domain_name_is_left_out():
    document = spec.make_spec(
        {"Domainname": "d.e"}, {}, spec.Place("/r", "box", Identity(0, 0, (), "/root"), ("true",))
    )
    assert document["linux"]["sysctl"]["kernel.domainname"] == "d.e"
    place = spec.Place("/r", "box", Identity(0, 0, (), "/root"), ("true",), ids=IDS)
    assert "kernel.domainname" not in spec.make_spec({"Domainname": "d.e"}, {}, place)["linux"]["sysctl"]
