# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.stages import TargetNotFoundError
from scow.cli.buildcalls import call
from scow.cli.buildflags import COMMAND, read
from scow.cli.buildlog import Kept
from scow.cli.commands.build import _emulated, _write
from scow.cli.flags import parse
from scow.errors import FlagError, InvalidArgumentError


def options(*words):
    return read(parse(COMMAND, [*words, "."]), {})


def test_the_share_of_emulated_time():
    assert _emulated(30, 40).startswith("Emulated: 30.0 s of 40.0 s (75 %)")
    assert "(100 %)" in _emulated(50, 40)  # steps side by side
    assert "(0 %)" in _emulated(0, 0)


def test_limits_have_dockers_names():
    found = dict(options("-m", "1m", "--cpu-shares", "5", "--cpuset-cpus", "0-1", "--cpu-quota", "7").resources)
    assert found == {"Memory": 1 << 20, "CpuShares": 5, "CpusetCpus": "0-1", "CpuQuota": 7}
    assert options().resources == ()


def test_hosts_and_limits_are_read_as_for_containers():
    found = options(
        "--add-host", "a=[::1]", "--add-host", "b:host-gateway", "--ulimit", "nofile=5", "--ulimit", "core=0:-1"
    )
    assert found.extra_hosts == ("a:::1", "b:host-gateway")
    assert found.ulimits == (("nofile", 5, 5), ("core", 0, -1))


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--add-host", "a:b", "invalid IP address"),
        ("--add-host", "a", "bad format"),
        ("--ulimit", "zebra=1", "invalid ulimit type"),
        ("--ulimit", "nofile=2:1", "soft limit must be less"),
    ],
)
def test_wrong_hosts_and_limits_are_refused(flag, text, message):
    with pytest.raises(FlagError, match=message):
        options(flag, text)


def test_an_ssh_source_must_be_there(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"")
    assert options("--ssh", f"x={key}").ssh == {"x": (str(key),)}
    assert read(parse(COMMAND, ["--ssh", "default", "."]), {"SSH_AUTH_SOCK": "/s"}).ssh == {"default": ()}
    with pytest.raises(InvalidArgumentError, match="no SSH agent"):
        options("--ssh", "default")
    with pytest.raises(InvalidArgumentError, match="no such file"):
        options("--ssh", f"x={tmp_path}/nothing")


def test_a_result_that_cannot_be_written_is_one_sentence(tmp_path):
    _write(str(tmp_path / "iid"), "image ID file", "sha256:1")
    assert (tmp_path / "iid").read_text() == "sha256:1"
    with pytest.raises(InvalidArgumentError, match=r"cannot write the image ID file .*nowhere/iid': No such file"):
        _write(str(tmp_path / "nowhere/iid"), "image ID file", "")


@pytest.mark.parametrize(
    ("text", "wanted"), [("bridge", "default"), ("", "default"), ("none", "none"), ("host", "host")]
)
def test_networks(text, wanted):
    assert options("--network", text).network == wanted


def test_a_network_of_another_name_is_refused():
    with pytest.raises(InvalidArgumentError, match="mine"):
        options("--network", "mine")


def test_outputs_give_names_and_archives_go_to_standard_output():
    found = options("-t", "a", "-o", "type=oci", "-o", 'type=image,"name=b,c:2"')
    assert [tag.familiar for tag in found.tags] == ["a:latest", "b:latest", "c:2"]
    assert [output.destination for output in found.outputs] == ["-", ""]


@pytest.mark.parametrize(
    "words",
    [
        ("--provenance=false", "--sbom=false"),
        ("--provenance=0",),
        ("--provenance", "false", "--sbom", "false"),
        ("--provenance=disabled=true",),
        ("--attest", "type=provenance,disabled=true", "--attest=type=sbom,disabled=true"),
        ("--attest=type=provenance,mode=max", "--provenance=false"),
    ],
)
def test_no_attestation_may_be_asked_for(words):
    assert options(*words) == options()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--provenance", "true"), "a provenance attestation"),
        (("--provenance=true",), "a provenance attestation"),
        (("--provenance=mode=max",), "a provenance attestation"),
        (("--provenance=mode=min,version=v1",), "a provenance attestation"),
        (("--sbom", "true"), "an SBOM attestation"),
        (("--sbom=generator=docker/scout",), "an SBOM attestation"),
        (("--attest=type=provenance",), "a provenance attestation"),
        (("--attest=type=other",), "unknown attestation type 'other'"),
        (("--attest=mode=max",), "type required"),
        (("--provenance=perhaps",), "invalid value 'perhaps'"),
    ],
)
def test_attestations_are_refused_and_never_left_out_in_silence(words, message):
    with pytest.raises(InvalidArgumentError, match=message):
        options(*words)


def test_limits_of_steps_in_one_flag():
    one = options("--resource", "memory=64m,cpu-quota=50000", "--resource", "cpuset-cpus=0-1")
    assert one == options("--memory", "64m", "--cpu-quota", "50000", "--cpuset-cpus", "0-1")
    assert dict(one.resources) == {"Memory": 64 << 20, "CpuQuota": 50000, "CpusetCpus": "0-1"}


@pytest.mark.parametrize("text", ["memory", "memory=x", "cpu-quota=1.5", "disk=1g", "=1"])
def test_limits_that_mean_nothing(text):
    with pytest.raises(InvalidArgumentError, match="invalid resource"):
        options("--resource", text)


def test_output_is_kept_whole_however_much_it_is():
    kept = Kept()
    for number in range(3):
        kept.add(f"{number}{'x' * 600_000}\n".encode())
        assert [line[:2] for line in kept.lines()] == [f"{earlier}x" for earlier in range(number + 1)]


@pytest.fixture
def asked(tmp_path, capsys):
    def ask(kind, text, **more):
        (tmp_path / "Dockerfile").write_text(text)
        flags = parse(COMMAND, [str(tmp_path)])
        assert call(kind, flags, read(flags, {})._replace(**more)) == 0
        return capsys.readouterr().out

    return ask


def test_targets_are_laid_out_as_buildkit_does(asked):
    text = "# a is it\nFROM scratch AS a\nFROM a\n# b text\nFROM a AS b\n"
    assert asked("targets", text) == "TARGET      DESCRIPTION\na           is it\n            \nb (default) text\n"
    assert asked("targets", "FROM a\n") == "TARGET    DESCRIPTION\n(default) \n"


OUTLINED = """# A desc
ARG A=1
ARG U=unused
ARG V=2
ARG I=busy$V
FROM other AS apart
ARG N=1
FROM $I AS b
ARG Z=$A
# t about
FROM b AS t
ARG A
# C see
ARG C=x
ARG C
ARG TARGETARCH
RUN --mount=type=secret,id=s x
RUN --mount=type=secret,id=s,required --mount=type=ssh y
"""


def test_an_outline_tells_what_the_target_needs(asked):
    assert asked("outline", OUTLINED) == (
        "TARGET:      t\nDESCRIPTION: about\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "A           1       desc\n"
        "V           2       \n"
        "I           busy2   \n"
        "Z                   \n"
        "C                   \n\n"
        "SECRET   REQUIRED\ns        \n\n"
        "SSH       REQUIRED\ndefault   \n\n"
    )
    assert "N           5       \n" in asked("outline", OUTLINED, target="apart", build_args={"N": "5"})
    assert "given" not in asked("outline", OUTLINED, target="apart", build_args={"A": "given"})


@pytest.mark.parametrize(("text", "target"), [("ARG A\n", ""), ("FROM a AS b\n", "c")])
def test_an_outline_of_nothing_is_refused(asked, text, target):
    with pytest.raises(TargetNotFoundError):
        asked("outline", text, target=target)
