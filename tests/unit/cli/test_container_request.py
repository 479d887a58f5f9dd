# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.cli.commands.run import COMMAND
from scow.cli.containeroptions import read_device, read_restart
from scow.cli.containerrequest import environment, request
from scow.cli.flags import CommandError, UsageError, parse
from scow.errors import ScowError


def ask(*words, detached=False):
    return request(parse(COMMAND, [*words]), detached=detached)


def test_the_smallest_request():
    body = ask("bb", "ls", "-l", "--all")
    assert (body["Image"], body["Cmd"], body["Tty"], body["OpenStdin"]) == ("bb", ["ls", "-l", "--all"], False, False)
    assert body["HostConfig"] == {"NetworkMode": "default"}
    assert "Entrypoint" not in body


def test_everyday_flags():
    body = ask(
        "-it", "--rm", "-w", "/w", "-u", "bob", "-h", "box", "-e", "A=1", "-l", "k=v", "--entrypoint", "/e", "bb"
    )
    assert (body["Tty"], body["OpenStdin"], body["AttachStdin"], body["StdinOnce"]) == (True, True, True, True)
    assert (body["WorkingDir"], body["User"], body["Hostname"]) == ("/w", "bob", "box")
    assert (body["Env"], body["Labels"], body["Entrypoint"]) == (["A=1"], {"k": "v"}, ["/e"])
    assert body["HostConfig"]["AutoRemove"] is True
    assert body["Cmd"] is None


@pytest.mark.parametrize(
    ("words", "streams"),
    [
        ([], (False, True, True)),
        (["-i"], (True, True, True)),
        (["-a", "stdout"], (False, True, False)),
        (["-a", "STDIN", "-a", "stderr"], (True, False, True)),
    ],
)
def test_streams(words, streams):
    body = ask(*words, "bb")
    assert (body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]) == streams


def test_detached_means_no_streams():
    body = ask("-d", "bb", detached=True)
    assert (body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]) == (False, False, False)


def test_volumes_of_all_kinds(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    body = ask("-v", "/anon", "-v", "named:/n", "-v", "./rel:/r:ro", "-v", "/abs:/a", "bb")
    assert body["Volumes"] == {"/anon": {}}
    assert body["HostConfig"]["Binds"] == ["named:/n", f"{tmp_path}/rel:/r:ro", "/abs:/a"]


def test_limits():
    host = ask("-m", "64m", "--memory-swap", "-1", "--cpus", "1.5", "--pids-limit", "9", "--shm-size", "1m", "bb")[
        "HostConfig"
    ]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, -1, 1_500_000_000)
    assert (host["PidsLimit"], host["ShmSize"]) == (9, 1 << 20)


def test_rarer_flags(tmp_path):
    (tmp_path / "profile.json").write_text("{}")
    body = ask(
        "-p", "8080:80", "--expose", "90", "--restart", "on-failure:3", "--ulimit", "nofile=1:2", "--tmpfs", "/t:size=1m",
        "--security-opt", f"seccomp={tmp_path}/profile.json", "--health-cmd", "x", "--health-interval", "1s",
        "--log-driver", "none", "--network", "name=n1,alias=a", "--ip", "10.0.0.9", "bb",
    )  # fmt: skip
    host = body["HostConfig"]
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert set(body["ExposedPorts"]) == {"80/tcp", "90/tcp"}
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 2, "Soft": 1}]
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert host["SecurityOpt"] == ["seccomp={}"]
    assert body["Healthcheck"] == {"Test": ["CMD-SHELL", "x"], "Interval": 10**9}
    assert host["LogConfig"] == {"Type": "none", "Config": {}}
    assert host["NetworkMode"] == "n1"
    endpoint = body["NetworkingConfig"]["EndpointsConfig"]["n1"]
    assert endpoint == {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}


def test_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HERE", "value")
    monkeypatch.delenv("ABSENT", raising=False)
    file = tmp_path / "env"
    file.write_text("# comment\n\n  B=2 with blanks \nHERE\nABSENT\nA=file\n")
    found = environment([str(file)], ["A=flag", "HERE", "GONE"])
    assert found == ["B=2 with blanks ", "HERE=value", "A=flag", "GONE"]


@pytest.mark.parametrize("content", ["=x\n", "A B=1\n"])
def test_a_file_with_a_bad_name(tmp_path, content):
    (tmp_path / "env").write_text(content)
    with pytest.raises(CommandError, match="invalid env file"):
        environment([str(tmp_path / "env")], [])


def test_a_missing_file():
    with pytest.raises(CommandError, match="open /none/x: no such file or directory"):
        environment(["/none/x"], [])


@pytest.mark.parametrize("text", ["on-failure:x", ":3"])
def test_no_restart_policies(text):
    with pytest.raises(CommandError, match="invalid restart policy"):
        read_restart(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
        ("/dev/a:/b:rw", ("/dev/a", "/b", "rw")),
    ],
)
def test_devices(text, found):
    assert tuple(read_device(text).values()) == found


@pytest.mark.parametrize("text", ["a:b:c:d", "/dev/a:/b:x", "", "dev/a"])
def test_no_devices(text):
    with pytest.raises(CommandError):
        read_device(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rm", "--restart", "always"], "cannot specify both --restart and --rm"),
        (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts"),
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--pid", "zebra"], "--pid: invalid PID mode"),
        (["--uts", "zebra"], "--uts: invalid UTS mode"),
        (["--cgroupns", "zebra"], "--cgroupns: invalid CGROUP mode"),
        (["--memory-swappiness", "101"], "Valid memory swappiness range is 0-100"),
        (["-v", ":/a"], "invalid spec: :/a: empty section between colons"),
        (["-v", ""], "invalid empty volume spec"),
        (["--network-alias", "a"], "network-scoped aliases are only supported for user-defined networks"),
        (["--mac-address", "zebra"], "zebra is not a valid mac address"),
        (["--storage-opt", "size"], "invalid storage option"),
        (["--security-opt", "seccomp=/none/x"], "opening seccomp profile"),
        (["--security-opt", "zebra"], "Invalid --security-opt"),
        (["--health-interval", "-1s"], "cannot be negative"),
        (["--network", ""], "no name set for network"),
        (["--network", "n1", "--network", "n1"], 'network "n1" is specified multiple times'),
        (["--network", "n1", "--network", "bridge"], "cannot attach both user-defined and non-user-defined"),
        (["--network", "host", "--network", "none"], "cannot be connected to network endpoints: host, none"),
        (["--network", "name=n1,alias=a", "--network-alias", "b"], "both --network-alias and per-network alias"),
        (["--network", "name=n1,ip=10.0.0.2", "--ip", "10.0.0.3"], "both --ip and per-network IPv4 address"),
        (["--pid", "container:"], "--pid: invalid PID mode"),
        (["--env-file", "/"], r"invalid env file \(/\): read /: is a directory"),
        (["--expose", ""], "error: empty string specified for ports"),
        (["--expose", "99999"], 'error: strconv.ParseUint: parsing "99999": value out of range'),
    ],
)
def test_flags_that_contradict(words, message):
    with pytest.raises(CommandError, match=message):
        ask(*words, "bb")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "alias=x"], "network name/id is not specified"),
        (["--network", "name=n1,zebra=x"], "invalid field key zebra"),
        (["--network", "name=n1,alias"], "invalid field alias"),
        (["--network", "name=n1,driver-opt=a"], "invalid key value pair format in driver options"),
        (["--network", "name=n1,gw-priority=a"], r"invalid gw-priority \(a\)"),
        (["--gpus", "zebra"], r'invalid count \(zebra\): value must be either "all" or an integer'),
        (["--gpus", "zebra=1"], "unexpected key 'zebra' in 'zebra=1'"),
    ],
)
def test_flags_that_cannot_be_read(words, message):
    with pytest.raises(UsageError, match=message):
        ask(*words, "bb")


def test_all_of_a_network():
    text = "name=n1,link-local-ip=169.254.1.2,mac-address=02:00:00:00:00:01,driver-opt=a=b,gw-priority=2,ip6=::2"
    assert ask("--network", text, "bb")["NetworkingConfig"]["EndpointsConfig"]["n1"] == {
        "MacAddress": "02:00:00:00:00:01",
        "DriverOpts": {"a": "b"},
        "GwPriority": 2,
        "IPAMConfig": {"LinkLocalIPs": ["169.254.1.2"], "IPv6Address": "::2"},
    }


def test_links_belong_to_the_network_that_a_user_made():
    body = ask("--network", "n1", "--link", "a:b", "bb")
    assert body["NetworkingConfig"]["EndpointsConfig"]["n1"] == {"Links": ["a:b"]}
    assert "Links" not in body["HostConfig"]
    body = ask("--link", "a:b", "bb")
    assert body["NetworkingConfig"]["EndpointsConfig"] == {"default": {}}
    assert body["HostConfig"]["Links"] == ["a:b"]


@pytest.mark.parametrize(("text", "count"), [("all", -1), ("2", 2), ("count=3,driver=x", 3), ("device=0", -1)])
def test_gpus(text, count):
    assert ask("--gpus", text, "bb")["HostConfig"]["DeviceRequests"][0]["Count"] == count


def test_rm_goes_with_a_policy_that_restarts_nothing():
    for policy in ("", "no"):
        assert ask("--rm", "--restart", policy, "bb")["HostConfig"]["AutoRemove"] is True


def test_label_files_pass_over_names_alone(tmp_path):
    (tmp_path / "labels").write_text("a=b\nc\nd=\n")
    assert ask("--label-file", f"{tmp_path}/labels", "bb")["Labels"] == {"a": "b", "d": ""}


def test_variables_are_text(tmp_path):
    (tmp_path / "env").write_bytes(b"A=1\n\xff=1\n")
    with pytest.raises(CommandError, match=r"invalid utf8 bytes at line 2: \[255 61 49\]"):
        environment([f"{tmp_path}/env"], [])
    (tmp_path / "env").write_bytes(b"\xef\xbb\xbfA=1\r\nB=2\n")
    assert environment([f"{tmp_path}/env"], []) == ["A=1", "B=2"]


def test_streams_have_names():
    with pytest.raises(UsageError, match="valid streams are STDIN, STDOUT and STDERR"):
        ask("-a", "zebra", "bb")


def test_attached_and_detached():
    with pytest.raises(ScowError, match="cannot specify both --attach and --detach"):
        ask("-d", "-a", "stdout", "bb", detached=True)
