# SPDX-License-Identifier: Apache-2.0
"""Messages are dockerd's own, taken down from it."""

from __future__ import annotations

import pytest

from scow.containers.checking import check
from scow.errors import InvalidArgumentError, ScowError


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Memory": 4 << 20}, "Minimum memory limit allowed is 6MB"),
        (
            {"Memory": 100 << 20, "MemoryReservation": 200 << 20},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            {"MemorySwap": 50 << 20},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        ({"NanoCpus": 10**9, "CpuQuota": 50000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        (
            {"CpuPeriod": 50},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"CpuQuota": 50}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"OomScoreAdj": 5000}, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
        ({"CpusetCpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
        ({"CapAdd": ["foo"]}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"CapDrop": ["cap_foo"]}, 'invalid CapDrop: unknown capability: "CAP_FOO"'),
        ({"RestartPolicy": {"Name": "zebra"}}, "invalid restart policy 'zebra'"),
        (
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
            "maximum retry count cannot be negative",
        ),
        (
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
            "maximum retry count cannot be used with restart policy 'always'",
        ),
        ({"LogConfig": {"Type": "zebra"}}, 'error looking up logging plugin zebra: plugin "zebra" not found'),
        ({"LogConfig": {"Config": {"zebra": "1"}}}, "unknown log opt 'zebra' for json-file log driver"),
        (
            {"LogConfig": {"Config": {"max-size": "x"}}},
            "failed to initialize logging driver: invalid size: 'x'",
        ),
        ({"VolumeDriver": "zebra"}, 'error looking up volume plugin zebra: plugin "zebra" not found'),
        ({"LogConfig": {"Config": {"mode": "zebra"}}}, "logger: logging mode not supported: zebra"),
        ({"IpcMode": "zebra"}, "Invalid IPC mode: zebra"),
        ({"Runtime": "zebra"}, "Unknown runtime specified zebra"),
        ({"Isolation": "zebra"}, "Invalid isolation: \"zebra\" - linux only supports 'default'"),
        ({"SecurityOpt": ["no-new-privileges=maybe"]}, 'invalid --security-opt 2: "no-new-privileges=maybe"'),
        ({"SecurityOpt": ["zebra=1"]}, 'invalid --security-opt 2: "zebra=1"'),
        ({"NetworkMode": "container:"}, "Invalid network mode: invalid container format container:<name|id>"),
        ({"NetworkMode": "container:a", "Dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ({"StorageOpt": {"zebra": "1"}}, "Unknown option zebra"),
    ],
)
def test_what_is_refused(host, message):
    with pytest.raises(ScowError) as caught:
        check({}, host)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"StopSignal": "FOO"}, "Invalid signal: FOO"),
        ({"Healthcheck": {"Interval": 1000}}, "Interval in Healthcheck cannot be less than 1ms"),
    ],
)
def test_what_is_refused_of_a_config(config, message):
    with pytest.raises(InvalidArgumentError) as caught:
        check(config, {})
    assert caught.value.message == message


def test_what_is_fine():
    check(
        {"StopSignal": "SIGUSR1", "Healthcheck": {"Interval": 10**9}},
        {
            "Memory": 64 << 20,
            "MemorySwap": -1,
            "NanoCpus": 10**9 // 2,
            "CpusetCpus": "0",
            "CapAdd": ["ALL", "net_admin"],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
            "IpcMode": "container:x",
        },
    )
