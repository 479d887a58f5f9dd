# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.linux import capabilities, seccomp
from scow.runtime import spec
from scow.runtime.users import Identity


def place(**changes):
    values = {
        "rootfs": "/r",
        "hostname": "box",
        "identity": Identity(0, 0, (4,), "/root"),
        "args": ("true",),
        "cgroup": "/scow/x",
        "capabilities": capabilities.DEFAULT,
        "seccomp": seccomp.default_profile(capabilities.DEFAULT, "x86_64"),
    }
    return spec.Place(**{**values, **changes})


def make(config=None, host=None, **changes):
    document = spec.make_spec(config or {}, host or {}, place(**changes))
    json.dumps(document)
    return document


def targets(document):
    return [mount["destination"] for mount in document["mounts"]]


def test_an_ordinary_container_is_isolated():
    document = make()
    kinds = {space["type"] for space in document["linux"]["namespaces"]}
    assert kinds == {"mount", "pid", "ipc", "uts", "network"}
    assert document["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert "/proc/kcore" in document["linux"]["maskedPaths"]
    assert "/proc/sys" in document["linux"]["readonlyPaths"]
    assert document["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert document["process"]["capabilities"]["inheritable"] == []
    sys = next(mount for mount in document["mounts"] if mount["destination"] == "/sys")
    assert "ro" in sys["options"]


def test_a_privileged_container_is_not_masked():
    document = make(host={"Privileged": True}, seccomp=None, capabilities=capabilities.ALL)
    assert "maskedPaths" not in document["linux"]
    assert "seccomp" not in document["linux"]
    assert document["linux"]["resources"]["devices"][0]["allow"] is True


def test_a_user_other_than_root_holds_no_capability_by_itself():
    process = make(identity=Identity(1000, 1000))["process"]
    assert process["capabilities"]["effective"] == []
    assert process["capabilities"]["permitted"] == []
    assert process["capabilities"]["bounding"] == list(capabilities.DEFAULT)


@pytest.mark.parametrize(
    ("mode", "has"), [("none", {"type": "network"}), ("/proc/7/ns/net", {"type": "network", "path": "/proc/7/ns/net"})]
)
def test_the_network_namespace(mode, has):
    assert has in make(network=mode)["linux"]["namespaces"]


def test_the_hosts_network_has_no_namespace_and_no_sysctls():
    document = make(network="host")
    assert all(space["type"] != "network" for space in document["linux"]["namespaces"])
    assert document["linux"]["sysctl"] == {}


def test_ones_own_mount_replaces_the_standard_one_and_parents_come_first():
    mounts = (spec.bind("/a/b", "/x"), spec.tmpfs("/a"), spec.bind("/dev/shm", "/y"))
    document = make(mounts=mounts)
    assert targets(document).count("/dev/shm") == 1
    assert targets(document).index("/a") < targets(document).index("/a/b")


@pytest.mark.parametrize("ipc", ["host", "/proc/3/ns/ipc"])
def test_a_shared_ipc_namespace_has_no_memory_of_its_own(ipc):
    document = make(ipc=ipc)
    shm = [mount for mount in document["mounts"] if mount["destination"] == "/dev/shm"]
    assert [mount["type"] for mount in shm] == (["bind"] if ipc == "host" else [])


def test_limits_as_the_runtime_wants_them():
    found = spec.resources({"Memory": 1 << 26, "NanoCpus": 1_500_000_000, "PidsLimit": 7, "CpusetCpus": "0"})
    assert found["memory"] == {"limit": 1 << 26, "swap": 1 << 27}
    assert found["cpu"] == {"period": 100_000, "quota": 150_000, "cpus": "0"}
    assert found["pids"] == {"limit": 7}


def test_an_unlimited_limit_is_the_largest_number():
    process = make(host={"Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}]}, nofile=1024)["process"]
    limits = {limit["type"]: (limit["soft"], limit["hard"]) for limit in process["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (1024, 1024), "RLIMIT_MEMLOCK": ((1 << 64) - 1, (1 << 64) - 1)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], False),
        (["no-new-privileges"], True),
        (["no-new-privileges:true"], True),
        (["no-new-privileges=false"], False),
    ],
)
def test_no_new_privileges(options, expected):
    assert make(host={"SecurityOpt": options})["process"]["noNewPrivileges"] is expected


def test_the_environment_in_dockers_order():
    found = spec.environment({"Env": ["A=1", "PATH=/x", "HOSTNAME"], "Tty": True}, "box")
    assert found == ["PATH=/x", "TERM=xterm", "A=1"]


def test_home_comes_from_the_identity_unless_given():
    assert "HOME=/root" in make()["process"]["env"]
    assert "HOME=/else" in make({"Env": ["HOME=/else"]})["process"]["env"]


def test_a_tmpfs_is_harmless_unless_told_otherwise():
    assert spec.tmpfs("/t", ["size=1m"])["options"] == ["noexec", "nosuid", "nodev", "size=1m"]
    assert spec.tmpfs("/t", ["exec", "dev"])["options"] == ["nosuid", "exec", "dev"]


@pytest.mark.parametrize(("wanted", "root"), [("rshared", "shared"), ("rslave", "rslave"), ("rprivate", None)])
def test_a_mount_that_follows_needs_a_root_that_follows(wanted, root):
    document = make(mounts=(spec.bind("/a", "/x", propagation=wanted),))
    assert document["linux"].get("rootfsPropagation") == root


def test_the_size_of_a_terminal():
    process = make({"Tty": True}, {"ConsoleSize": [24, 80]})["process"]
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 24, "width": 80}
