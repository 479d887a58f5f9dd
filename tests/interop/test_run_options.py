# SPDX-License-Identifier: Apache-2.0
"""Options of ``run`` that few containers use, seen from inside them."""

from __future__ import annotations

import os

import pytest

from fakes.busybox import IMAGE, layer

pytestmark = [pytest.mark.interop, pytest.mark.root]


@pytest.fixture(autouse=True)
def nothing_left(scow):
    yield
    scow.clean()


def inside(scow, *words):
    return scow("run", "--rm", "--network", "none", *words)


def test_an_image_as_a_mount(scow):
    scow("import", "-", "localhost/test/files:1", input=layer(("note", "f", "from the other image\n")))
    mount = "type=image,src=localhost/test/files:1,dst=/other"
    assert inside(scow, "--mount", mount, IMAGE, "cat", "/other/note") == "from the other image"
    assert inside(scow, "--mount", f"{mount},image-subpath=etc", IMAGE, "ls", "/other") == "group\npasswd"
    done = scow.run("run", "--rm", "--network", "none", "--mount", mount, IMAGE, "touch", "/other/x")
    assert b"Read-only file system" in done.stderr
    scow("create", "--name", "holds", "--mount", mount, IMAGE, "true")
    refused = scow.run("rmi", "localhost/test/files:1")
    assert refused.returncode == 1, "a container has it"
    scow("rm", "holds")
    scow("rmi", "localhost/test/files:1")


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (["--tmpfs", "/new"], "1777"),
        (["--tmpfs", "/new:mode=700,size=1m"], "700"),
        (["--mount", "type=tmpfs,dst=/new,tmpfs-mode=750"], "750"),
        (["--tmpfs", "/data"], "755"),
    ],
)
def test_permissions_of_memory_file_systems(scow, words, mode):
    path = "/data" if "/data" in words else "/new"
    assert inside(scow, *words, IMAGE, "stat", "-c", "%a", path) == mode


def test_volumes_with_options(scow, tmp_path):
    (tmp_path / "f").write_text("bound\n")
    scow("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={tmp_path}", "vbind")
    scow("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m", "vtmp")
    assert inside(scow, "-v", "vbind:/a", IMAGE, "sh", "-c", "cat /a/f; echo out > /a/g") == "bound"
    assert (tmp_path / "g").read_text() == "out\n"
    assert inside(scow, "-v", "vtmp:/a", IMAGE, "sh", "-c", "df -k /a | tail -1").split()[:2] == ["tmpfs", "1024"]
    scow("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/none/there", "vbad")
    done = scow.run("run", "--rm", "--network", "none", "-v", "vbad:/a", IMAGE, "true")
    assert done.returncode == 127
    assert b"failed to mount local volume" in done.stderr
    scow("volume", "rm", "vbind", "vtmp", "vbad")
    assert (tmp_path / "f").exists(), "what was only bound stays"


def test_shared_memory_of_another_container(scow):
    scow("run", "-d", "--name", "donor", "--network", "none", "--ipc", "shareable", IMAGE, "sleep", "600")
    scow("exec", "donor", "sh", "-c", "echo shared > /dev/shm/x")
    assert inside(scow, "--ipc", "container:donor", IMAGE, "cat", "/dev/shm/x") == "shared"
    scow("run", "-d", "--name", "keeper", "--network", "none", IMAGE, "sleep", "600")
    done = scow.run("run", "--rm", "--network", "none", "--ipc", "container:keeper", IMAGE, "true")
    assert b"non-shareable IPC" in done.stderr
    assert (
        "No such file"
        in scow.run("run", "--rm", "--network", "none", "--ipc", "none", IMAGE, "ls", "/dev/shm").stderr.decode()
    )


def test_links(scow):
    scow("run", "-d", "--name", "db1", "-e", "PGDATA=/x", "--expose", "5432", IMAGE, "sleep", "600")
    address = scow("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db1")
    said = scow("run", "--rm", "--link", "db1:db", IMAGE, "sh", "-c", "grep db /etc/hosts; env | grep ^DB_")
    lines = said.splitlines()
    assert lines[0].split()[:2] == [address, "db"]
    assert f"DB_PORT_5432_TCP=tcp://{address}:5432" in lines
    assert "DB_ENV_PGDATA=/x" in lines
    done = scow.run("run", "--rm", "--link", "nosuch:db", IMAGE, "true")
    assert b"could not get container for nosuch" in done.stderr


@pytest.mark.host
def test_names_of_the_machine(scow):
    words = ["--hostname", "foo.bar", "--domainname", "d.e"]
    said = inside(scow, *words, IMAGE, "sh", "-c", "hostname; cat /proc/sys/kernel/domainname")
    assert said == "foo.bar\nd.e"


@pytest.mark.skipif(not os.path.isdir("/sys/fs/cgroup/blkio"), reason="needs the blkio controller of version 1")
@pytest.mark.host
def test_rates_of_devices(scow):
    disk = next(
        f"/dev/{name}"
        for name in sorted(os.listdir("/sys/block"))
        if os.path.exists(f"/dev/{name}") and name[0] in "vsn"
    )
    words = ["--device-read-bps", f"{disk}:1mb", IMAGE, "cat", "/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device"]
    assert inside(scow, *words).split()[1] == "1048576"


@pytest.mark.host
def test_rules_for_devices(scow):
    made = [IMAGE, "sh", "-c", "mknod /made c 42 7; cat /made"]
    allowed = scow.run("run", "--rm", "--network", "none", "--device-cgroup-rule", "c 42:* rwm", *made)
    assert b"No such device" in allowed.stderr, "nobody drives number 42"
    refused = scow.run("run", "--rm", "--network", "none", *made)
    assert b"Operation not permitted" in refused.stderr


def test_a_device_with_fewer_rights_does_not_take_the_standard_ones_away(scow):
    assert inside(scow, "--device", "/dev/null:r", IMAGE, "sh", "-c", "echo x > /dev/null && echo fine") == "fine"


def test_another_platform_is_another_image(scow):
    done = scow.run("run", "--rm", "--network", "none", "--pull", "never", "--platform", "linux/s390x", IMAGE, "true")
    assert done.returncode == 125
    done = scow.run("run", "--rm", "--network", "none", "--platform", "a/b/c/d", IMAGE, "true")
    assert (done.returncode, b"cannot parse platform specifier" in done.stderr) == (125, True)


def test_masked_paths_can_be_opened(scow):
    count = ["sh", "-c", "mount | grep -c ' /proc/'"]
    assert inside(scow, "--security-opt", "systempaths=unconfined", IMAGE, *count[:2], f"{count[2]}; true") == "0"
    assert int(inside(scow, IMAGE, *count)) > 5


def test_what_a_container_does_not_get_is_said(scow):
    done = scow.run("run", "--rm", "--network", "host", "-p", "80:80", IMAGE, "true")
    assert done.stderr == b"WARNING: Published ports are discarded when using host network mode\n"


def test_a_detached_container_that_cannot_start_has_an_id(scow):
    done = scow.run("run", "-d", "--network", "none", IMAGE, "nosuch")
    assert (done.returncode, len(done.stdout)) == (127, 65)
