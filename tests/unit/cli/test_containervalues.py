# SPDX-License-Identifier: Apache-2.0
"""Messages are docker 28.2.2's own, taken down from it."""

from __future__ import annotations

import pytest

from scow.cli import containervalues


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("type=bind,source=/a,target=/b,readonly", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("src=v,dst=/b,ro=false", {"Type": "volume", "Source": "v", "Target": "/b", "ReadOnly": False}),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rslave",
            {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rslave"}},
        ),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=disabled",
            {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"NonRecursive": True}},
        ),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770}},
        ),
        (
            'type=volume,dst=/b,volume-nocopy,"volume-label=k=a,b"',
            {"Type": "volume", "Target": "/b", "VolumeOptions": {"NoCopy": True, "Labels": {"k": "a,b"}}},
        ),
        (
            "dst=/b,volume-driver=local,volume-opt=type=tmpfs",
            {
                "Type": "volume",
                "Target": "/b",
                "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}}},
            },
        ),
        (
            "type=image,src=i:1,dst=/b,image-subpath=etc",
            {"Type": "image", "Source": "i:1", "Target": "/b", "ImageOptions": {"Subpath": "etc"}},
        ),
    ],
)
def test_mounts(text, found):
    assert containervalues.mount(text) == found


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("mount", "", "EOF"),
        ("mount", "type=", "type is required"),
        ("mount", "type=bind,source=/a", "target is required"),
        ("mount", "zebra=1,target=/a", "unexpected key 'zebra' in 'zebra=1'"),
        ("mount", " type=bind,dst=/a", "unexpected key ' type' in ' type=bind'"),
        ("mount", "target", "invalid field 'target' must be a key=value pair"),
        ("mount", "type=bind,src=/a,dst=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
        ("mount", "src=/a,dst=/b,bind-propagation=x", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("mount", "type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("mount", "type=bind,dst=/b,ro=maybe", "invalid value for ro: maybe"),
        (
            "mount",
            "type=bind,dst=/b,bind-recursive=x",
            'invalid value for bind-recursive: x (must be "enabled", "disabled", "writable", or "readonly")',
        ),
        ("ulimit", "nofile", "invalid ulimit argument: nofile"),
        ("ulimit", "zebra=1", "invalid ulimit type: zebra"),
        ("ulimit", "nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("ulimit", "nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        (
            "ulimit",
            "nofile=-1:5",
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 5",
        ),
        (
            "ulimit",
            "nofile=1:2:3",
            "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
        ),
        ("label", "=x", "invalid label '=x': empty name"),
        ("extra_host", "a", 'bad format for add-host: "a"'),
        ("extra_host", "=x", 'bad format for add-host: "=x"'),
        ("extra_host", "a:x", 'invalid IP address in add-host: "x"'),
        ("extra_host", "a=", 'invalid IP address in add-host: ""'),
        ("address", "foo", "IP address is not correctly formatted: foo"),
        ("search_domain", "a b", "a b is not a valid domain"),
        ("sysctl", "vm.swappiness=1", "sysctl 'vm.swappiness=1' is not allowed"),
        ("sysctl", "net.x", "sysctl 'net.x' is not allowed"),
        ("device_rule", "foo", "invalid device cgroup format 'foo'"),
        ("link", "", "empty string specified for links"),
        ("link", "a:b:c", "bad format for links: a:b:c"),
        ("bytes_rate", "foo", "bad format: foo"),
        ("bytes_rate", "x:1mb", "bad format for device path: x:1mb"),
        (
            "bytes_rate",
            "/dev/x:1zb",
            (
                "invalid rate for device: /dev/x:1zb. The correct format is <device-path>:<number>[<unit>]. Number must"
                " be a positive integer. Unit is optional and can be kb, mb, or gb"
            ),
        ),
        (
            "operations_rate",
            "/dev/x:1mb",
            (
                "invalid rate for device: /dev/x:1mb. The correct format is <device-path>:<number>. Number must be a"
                " positive integer"
            ),
        ),
        ("device_weight", "/dev/x:5", "invalid weight for device: /dev/x:5"),
    ],
)
def test_what_is_refused(kind, text, message):
    with pytest.raises(ValueError) as caught:
        getattr(containervalues, kind)(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("ulimit", "nofile=1:2", {"Name": "nofile", "Soft": 1, "Hard": 2}),
        ("ulimit", "core=-1", {"Name": "core", "Soft": -1, "Hard": -1}),
        ("extra_host", "a=[::1]", "a:::1"),
        ("extra_host", "a:host-gateway", "a:host-gateway"),
        ("address", " 1.2.3.4 ", "1.2.3.4"),
        ("search_domain", ".", "."),
        ("search_domain", "example.test", "example.test"),
        ("sysctl", "kernel.shmmax=1", "kernel.shmmax=1"),
        ("device_rule", "c 42:* rmw", "c 42:* rmw"),
        ("link", "a:b", "a:b"),
        ("bytes_rate", "/dev/x:1mb", {"Path": "/dev/x", "Rate": 1 << 20}),
        ("operations_rate", "/dev/x:10", {"Path": "/dev/x", "Rate": 10}),
        ("device_weight", "/dev/x:10", {"Path": "/dev/x", "Weight": 10}),
    ],
)
def test_what_is_read(kind, text, found):
    assert getattr(containervalues, kind)(text) == found
