# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.errors import InvalidArgumentError
from scow.linux.capabilities import ALL, DEFAULT
from scow.linux.seccomp import custom_profile, default_profile


def allowed(profile):
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
        for name in rule["names"]
    }


DANGEROUS_TEXT = (
    "mount umount2 pivot_root setns unshare reboot kexec_load init_module delete_module bpf perf_event_open keyctl"
    " add_key request_key open_by_handle_at swapon userfaultfd acct iopl ioperm clock_settime io_uring_setup clone3"
)
DANGEROUS = DANGEROUS_TEXT.split()


@pytest.mark.parametrize("name", DANGEROUS)
def test_an_ordinary_container_may_not(name):
    assert name not in allowed(default_profile(DEFAULT, "x86_64"))


@pytest.mark.parametrize("name", ["read", "openat2", "execve", "clone", "futex", "statx", "faccessat2", "rseq"])
def test_every_program_may(name):
    rules = default_profile(DEFAULT, "x86_64")["syscalls"]
    assert any(name in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW" for rule in rules)


def test_capabilities_open_calls():
    everything = allowed(default_profile(ALL, "x86_64"))
    assert {"mount", "setns", "clone3", "bpf", "reboot", "syslog"} <= everything
    assert "keyctl" not in everything


def test_a_clone_that_makes_namespaces_is_refused():
    rule = next(r for r in default_profile(DEFAULT, "x86_64")["syscalls"] if r["names"] == ["clone"])
    (argument,) = rule["args"]
    assert argument["index"] == 0
    assert argument["value"] & 0x10000000  # CLONE_NEWUSER
    swapped = next(r for r in default_profile(DEFAULT, "s390x")["syscalls"] if r["names"] == ["clone"])
    assert swapped["args"][0]["index"] == 1


def test_clone3_fails_in_the_way_that_makes_programs_fall_back():
    rule = next(r for r in default_profile(DEFAULT, "x86_64")["syscalls"] if r["names"] == ["clone3"])
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_sockets_to_the_hypervisor_and_the_kernels_ciphers_are_refused():
    def may(family):
        for rule in default_profile(DEFAULT, "x86_64")["syscalls"]:
            if rule["names"] == ["socket"]:
                (argument,) = rule["args"]
                value, how = argument["value"], argument["op"]
                if (how, True) in {
                    ("SCMP_CMP_LT", family < value),
                    ("SCMP_CMP_EQ", family == value),
                    ("SCMP_CMP_GT", family > value),
                }:
                    return True
        return False

    assert [family for family in (1, 2, 10, 16, 17, 38, 39, 40, 44) if may(family)] == [1, 2, 10, 16, 17, 39, 44]


@pytest.mark.parametrize(
    ("machine", "name"), [("x86_64", "arch_prctl"), ("aarch64", "cacheflush"), ("s390x", "s390_pci_mmio_read")]
)
def test_calls_of_a_processor(machine, name):
    assert name in allowed(default_profile(DEFAULT, machine))
    others = {"x86_64", "aarch64", "s390x"} - {machine}
    assert all(name not in allowed(default_profile(DEFAULT, other)) for other in others)


def test_a_profile_file_is_settled_for_one_container():
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {
                    "names": ["chroot"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "excludes": {"caps": ["CAP_SYS_CHROOT"]},
                },
                {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
                {"name": "old", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            ],
        }
    )
    found = custom_profile(text, DEFAULT, "x86_64")
    assert [rule["names"] for rule in found["syscalls"]] == [["read"], ["old"]]
    assert "SCMP_ARCH_X86_64" in found["architectures"]
    assert all("includes" not in rule and "excludes" not in rule for rule in found["syscalls"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"defaultAction":"x","syscalls":[1]}', "no json"])
def test_a_file_that_is_no_profile(text):
    with pytest.raises(InvalidArgumentError, match="Decoding seccomp profile failed"):
        custom_profile(text, DEFAULT, "x86_64")
