# SPDX-License-Identifier: Apache-2.0
"""Networks for real: what containers reach, what reaches them, and that nothing of it stays behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading

import pytest

from fakes.busybox import left, until

_NEEDED = ("/usr/bin/busybox", "/usr/sbin/nft", "/usr/sbin/runc", "/usr/bin/conmon")
pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(os.path.exists(path) for path in _NEEDED), reason="needs busybox-static, nftables, runc and conmon"
    ),
]
_APPLETS = ["sh", "ip", "nc", "httpd", "sleep", "cat", "ping", "true", "echo", "mkdir", "timeout", "nslookup", "grep"]


def _image() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add("/usr/bin/busybox", "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


class Scow:
    """The command line over a store of its own."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.env = {**os.environ, "SCOW_ROOT": f"{root}/store", "SCOW_RUN_ROOT": f"{root}/run"}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "scow", *args], env=self.env, text=True)

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "scow", *args], env=self.env, text=True, capture_output=True, timeout=280
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def out(self, *args: str) -> str:
        return self.run(*args).stdout.strip()

    def json(self, name: str) -> dict:
        return json.loads(self.out("inspect", name))[0]

    def names(self) -> list[str]:
        """What this store's networks and containers are called on the host."""
        networks = self.out("network", "ls", "-q", "--no-trunc").split()
        containers = self.out("ps", "-aq", "--no-trunc").split()
        return (
            [f"scow-{i[:10]}" for i in networks]
            + [f"scow-net-{i[:12]}" for i in networks]
            + [f"scow-run-{i[:12]}" for i in containers]
        )


@pytest.fixture(scope="module")
def scow(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("net"))
    tool = Scow(root)
    subprocess.run(
        [sys.executable, "-m", "scow", "import", "-", "bb:1"], env=tool.env, input=_image(), check=True, stdout=-3
    )
    yield tool
    for identity in tool.out("ps", "-aq").split():
        tool.run("rm", "-f", identity, check=False)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def made(scow):
    """Names of containers and networks to take away after a test."""
    things: list[str] = []
    yield things
    for name in things:
        scow.run("rm", "-f", name, check=False)
    for name in things:
        scow.run("network", "rm", "-f", name, check=False)


def _host_names() -> str:
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    return links + subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


def _ask(port: int, address: str = "127.0.0.1") -> str:
    """What a server says that may be about to start."""
    answer = bytearray()

    def asked() -> bool:
        answer.clear()
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=10) as peer:
            peer.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            while part := peer.recv(4096):
                answer.extend(part)
            return bool(answer)
        return False

    assert until(asked)
    return answer.decode()


def _serve(text: str, port: int = 80) -> list[str]:
    return ["sh", "-c", f"mkdir -p /w; echo {text} >/w/index.html; exec httpd -f -p {port} -h /w"]


def _get(address: str, port: int = 80, tries: int = 300, wait: int = 30) -> list[str]:
    """Ask a server that may be about to start; after so many refusals, or so many seconds, there is none."""
    ask = f"timeout 60 nc -w {wait} {address} {port} <q >a && grep -q HTTP a"
    script = f"i=0; until {ask} || [ $i -ge {tries} ]; do i=$((i+1)); sleep 0.2; done; cat a"
    return ["sh", "-c", f"echo 'GET /index.html HTTP/1.0' >q; echo >>q; {script}"]


def test_the_default_network_reaches_the_host_s_bridge(scow):
    shown = json.loads(scow.out("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]
    assert "1 packets received" in scow.out("run", "--rm", "bb:1", "ping", "-c", "1", "-W", "30", shown["Gateway"])


@pytest.fixture
def outside():
    """Another machine: it knows a way to this host, and none to its containers."""
    name = f"out{os.urandom(4).hex()}"
    third, fourth = random.randrange(256), random.randrange(0, 256, 4)
    here, there = (f"198.18.{third}.{fourth + at}" for at in (1, 2))
    script = f"""set -e; ip netns add {name}; ip link add {name} type veth peer name eth0 netns {name}
    ip addr add {here}/30 dev {name}; ip link set {name} up
    ip -n {name} addr add {there}/30 dev eth0; ip -n {name} link set eth0 up"""
    subprocess.run(["sh", "-c", script], check=True)
    yield there
    subprocess.run(["ip", "netns", "del", name], check=True)
    subprocess.run(["ip", "link", "del", name], check=False, stderr=-3)


@pytest.mark.host
def test_the_way_out_bears_the_host_s_address(scow, outside):
    shown = scow.out("run", "--rm", "bb:1", "ping", "-c", "1", "-W", "30", outside)
    assert "1 packets received" in shown  # it can only answer to the host


def test_containers_of_a_network_find_each_other(scow, made):
    made += ["wa", "wb", "n-a"]
    scow.run("network", "create", "n-a")
    scow.run("run", "-d", "--name", "wa", "--network", "n-a", "--network-alias", "web", "bb:1", *_serve("from-wa"))
    scow.run("run", "-d", "--name", "wb", "--network", "n-a", "bb:1", "sleep", "900")
    for name in ("wa", "web", scow.out("ps", "-q", "--filter", "name=wa")):
        assert "from-wa" in scow.out("exec", "wb", *_get(name))
    # who came first learns of who came later, and of its going
    assert scow.run("exec", "wa", "ping", "-c", "1", "-W", "30", "wb").returncode == 0
    scow.run("rm", "-f", "wb")
    assert "wb" not in scow.out("exec", "wa", "cat", "/etc/hosts")


def _addresses(shown: str) -> list[str]:
    """What busybox's nslookup found, its server left out."""
    return re.findall(r"^Address: +([0-9.]+)$", shown, re.MULTILINE)


def _find(scow, name: str, who: str = "wb") -> list[str]:
    return _addresses(scow.run("exec", who, "nslookup", name, check=False).stdout)


def _address(scow, name: str, network: str) -> str:
    return scow.json(name)["NetworkSettings"]["Networks"][network]["IPAddress"]


def _name_servers(scow) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file, open(f"/proc/{pid}/environ", "rb") as environ:
                if b"scow.cli.names" in file.read() and scow.env["SCOW_ROOT"].encode() in environ.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


def test_programs_that_ask_the_name_server_themselves(scow, made):
    made += ["wa", "wb", "wc", "n-a"]
    scow.run("network", "create", "n-a")
    scow.run("run", "-d", "--name", "wb", "--network", "n-a", "bb:1", "sleep", "900")
    scow.run("run", "-d", "--name", "wa", "--network", "n-a", "--network-alias", "web", "bb:1", "sleep", "900")
    first = _address(scow, "wa", "n-a")
    short = scow.out("ps", "-q", "--filter", "name=wa")
    assert until(lambda: _find(scow, "wa")), "the name server may be about to start"
    assert [_find(scow, name) for name in ("wa", "web", "WA", "wa.n-a", short, "wb")] == [[first]] * 5 + [
        [_address(scow, "wb", "n-a")]
    ]
    assert "name = wa.n-a" in scow.out("exec", "wb", "nslookup", first)
    other = ("run", "--rm", "--network", "n-a", "--link", "wa:al", "bb:1", "nslookup", "al")
    assert _addresses(scow.run(*other).stdout) == [first]
    scow.run("run", "-d", "--name", "wc", "--network", "n-a", "--network-alias", "web", "bb:1", "sleep", "900")
    both = {first, _address(scow, "wc", "n-a")}
    assert set(_find(scow, "web")) == both
    scow.run("rm", "-f", "wa")
    assert set(_find(scow, "web")) == both - {first}
    assert scow.out("exec", "wb", "cat", "/etc/resolv.conf").splitlines()[0] == "nameserver 127.0.0.11"
    assert until(lambda: len(_name_servers(scow)) == 1)
    scow.run("rm", "-f", "wb", "wc")
    assert until(lambda: not _name_servers(scow)), "it ends by itself"


def test_a_killed_name_server_comes_back(scow, made):
    made += ["wa", "wb", "n-a"]
    scow.run("network", "create", "n-a")
    for name in ("wa", "wb"):
        scow.run("run", "-d", "--name", name, "--network", "n-a", "bb:1", "sleep", "900")
    assert until(lambda: len(_name_servers(scow)) == 1)
    for pid in _name_servers(scow):
        os.kill(pid, signal.SIGKILL)
    assert scow.run("exec", "wb", "ping", "-c", "1", "-W", "30", "wa").returncode == 0, "/etc/hosts has it too"
    scow.run("ps")
    assert until(lambda: _find(scow, "wa") == [_address(scow, "wa", "n-a")])


def test_a_container_may_run_a_name_server_of_its_own(scow, made):
    made += ["wb", "n-a"]
    scow.run("network", "create", "n-a")
    scow.run("run", "-d", "--name", "wb", "--network", "n-a", "bb:1", "nc", "-ll", "-p", "53", "-e", "cat")
    assert scow.json("wb")["State"]["Running"]
    assert until(lambda: _find(scow, "wb") == [_address(scow, "wb", "n-a")])


def test_names_come_with_the_first_network_that_has_some(scow, made):
    made += ["wa", "wb", "n-a"]
    scow.run("network", "create", "n-a")
    scow.run("run", "-d", "--name", "wa", "--network", "n-a", "bb:1", "sleep", "900")
    scow.run("run", "-d", "--name", "wb", "bb:1", "sleep", "900")
    assert "127.0.0.11" not in scow.out("exec", "wb", "cat", "/etc/resolv.conf")
    scow.run("network", "connect", "--alias", "late", "n-a", "wb")
    assert until(lambda: _find(scow, "wa") == [_address(scow, "wa", "n-a")])
    assert until(lambda: _find(scow, "late", "wa") == [_address(scow, "wb", "n-a")])


class _Upstream:
    """A name server of the host that answers every question for an address with 192.0.2.7."""

    def __init__(self) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = ""
        while not self.address:
            address = "127." + ".".join(str(part % 254 + 1) for part in os.urandom(3))
            with contextlib.suppress(OSError):  # somebody has it
                self.udp.bind((address, 53))
                self.address = address
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                packet, sender = self.udp.recvfrom(512)
            except OSError:
                return
            self.asked.append(packet)
            end = packet.index(b"\0", 12) + 5
            is_address = packet[end - 4 : end - 2] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\x04\xc0\0\2\7" if is_address else b""
            head = packet[:2] + b"\x81\x80\0\1\0" + bytes([len(record) > 0]) + b"\0\0\0\0"
            self.udp.sendto(head + packet[12:end] + record, sender)


@pytest.mark.host
def test_other_names_are_asked_of_the_servers_that_were_given(scow, made):
    made += ["wb", "wi", "n-a", "n-in"]
    upstream = _Upstream()
    try:
        scow.run("network", "create", "n-a")
        scow.run("network", "create", "--internal", "n-in")
        words = ["--dns", upstream.address, "bb:1", "sleep", "900"]
        scow.run("run", "-d", "--name", "wb", "--network", "n-a", *words)
        assert until(lambda: _find(scow, "somewhere.example") == ["192.0.2.7"])
        assert _find(scow, "wb") == [_address(scow, "wb", "n-a")], "its own name is not asked for"
        assert any(b"somewhere" in packet for packet in upstream.asked)
        assert not any(packet[12:].startswith(b"\x02wb\0") for packet in upstream.asked)
        scow.run("run", "-d", "--name", "wi", "--network", "n-in", *words)
        assert until(lambda: _find(scow, "wi", "wi") == [_address(scow, "wi", "n-in")])
        assert _find(scow, "within.example", "wi") == []
        assert not any(b"within" in packet for packet in upstream.asked), "nothing leaves an internal network"
    finally:
        upstream.udp.close()


def test_networks_are_apart(scow, made):
    made += ["apart", "n-b"]
    scow.run("network", "create", "n-b")
    scow.run("run", "-d", "--name", "apart", "--network", "n-b", "bb:1", *_serve("secret"))
    address = scow.json("apart")["NetworkSettings"]["Networks"]["n-b"]["IPAddress"]
    assert "secret" in scow.out("run", "--rm", "--network", "n-b", "bb:1", *_get(address))
    assert "secret" not in scow.run("run", "--rm", "bb:1", *_get(address, tries=0, wait=5), check=False).stdout


def test_an_internal_network_has_no_way_out(scow, made):
    made += ["n-i"]
    scow.run("network", "create", "--internal", "n-i")
    assert "default" not in scow.out("run", "--rm", "--network", "n-i", "bb:1", "ip", "route")


@pytest.mark.host
def test_published_ports(scow, made):
    made += ["pub"]
    scow.run("run", "-d", "--name", "pub", "-p", "80", "-p", "127.0.0.1::81", "bb:1", *_serve("published"))
    ports = scow.json("pub")["NetworkSettings"]["Ports"]
    port = int(ports["80/tcp"][0]["HostPort"])
    assert ports["81/tcp"][0]["HostIp"] == "127.0.0.1"
    assert "published" in _ask(port)
    assert scow.out("port", "pub", "80") == f"0.0.0.0:{port}"
    assert f"0.0.0.0:{port}->80/tcp" in scow.out("ps", "--format", "{{.Ports}}")
    gateway = scow.json("pub")["NetworkSettings"]["Gateway"]
    assert "published" in _ask(port, gateway)
    # another container, and the container itself, by the host's address
    assert "published" in scow.out("run", "--rm", "bb:1", *_get(gateway, port))
    assert "published" in scow.out("exec", "pub", *_get(gateway, port))
    scow.run("restart", "-t", "0", "pub")
    assert scow.out("port", "pub", "80") == f"0.0.0.0:{port}"
    assert "published" in _ask(port)


def test_a_port_is_given_once(scow, made):
    made += ["one", "two"]
    scow.run("run", "-d", "--name", "one", "-p", "80", "bb:1", "sleep", "900")
    port = scow.out("port", "one", "80").rpartition(":")[2]
    refused = scow.run("run", "-d", "--name", "two", "-p", f"{port}:80", "bb:1", "sleep", "900", check=False)
    assert refused.returncode == 125
    assert "port is already allocated" in refused.stderr
    with socket.create_server(("0.0.0.0", 0)) as server:
        taken = server.getsockname()[1]
        refused = scow.run("run", "--rm", "-p", f"{taken}:80", "bb:1", "true", check=False)
    assert refused.returncode == 125
    assert "address already in use" in refused.stderr


_ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 5000))
    print("ready", flush=True)
    while True:
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
"""


@pytest.mark.host
def test_udp_and_ranges(scow, made):
    made += ["udp", "range"]
    scow.run("run", "-d", "--name", "udp", "-p", "127.0.0.1::5000/udp", "bb:1", "sleep", "900")
    port = int(scow.out("port", "udp", "5000/udp").rpartition(":")[2])
    # busybox has no udp server: one of this host's programs serves from inside the container's network
    inside = ["nsenter", "-t", str(scow.json("udp")["State"]["Pid"]), "-n", sys.executable, "-c", _ECHO]
    with subprocess.Popen(inside, stdout=-1, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(90)
            sender.sendto(b"hello", ("127.0.0.1", port))
            assert sender.recv(100) == b"hello"
        server.kill()
    first = _free_range(3)
    scow.run("run", "-d", "--name", "range", "-p", f"{first}-{first + 2}:80-82", "bb:1", *_serve("two", 82))
    assert "two" in _ask(first + 2)
    ports = [f"0.0.0.0:{first + at}->{80 + at}/tcp" for at in range(3)]
    assert scow.out("ps", "--filter", "name=range", "--format", "{{.Ports}}").split(", ") == ports


def _free_range(count: int) -> int:
    """The first of some ports that are free, and that the kernel gives to nobody who has no wish."""
    for first in random.sample(range(21000, 30000, count), 1000):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("0.0.0.0", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


def test_addresses_of_choice(scow, made):
    made += ["n-c"]
    third, fourth = random.randrange(256), random.randrange(0, 256, 64)
    subnet, gateway, address = (f"198.19.{third}.{fourth + at}" for at in (0, 9, 37))
    scow.run("network", "create", "--subnet", f"{subnet}/26", "--gateway", gateway, "n-c")
    options = ("--rm", "--network", "n-c", "--ip", address, "--mac-address", "02:aa:bb:cc:dd:ee")
    shown = scow.out("run", *options, "bb:1", "ip", "addr")
    assert f"{address}/26" in shown
    assert "02:aa:bb:cc:dd:ee" in shown
    assert f"via {gateway} " in scow.out("run", "--rm", "--network", "n-c", "bb:1", "ip", "route")
    outside = scow.run("run", "--rm", "--network", "n-c", "--ip", "10.9.9.9", "bb:1", "true", check=False)
    assert outside.returncode == 125


def test_hosts_and_name_servers(scow):
    shown = scow.out(
        "run", "--rm", "--add-host", "peer:10.1.2.3", "--dns", "192.0.2.53", "--dns-search", "corp.test",
        "--hostname", "me", "bb:1", "cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname",
    )  # fmt: skip
    assert "10.1.2.3\tpeer" in shown
    assert "nameserver 192.0.2.53" in shown
    assert "search corp.test" in shown
    assert re.search(r"\d+\tme\n", shown)


def test_connect_and_disconnect_while_it_runs(scow, made):
    made += ["moving", "n-d"]
    scow.run("network", "create", "n-d")
    scow.run("run", "-d", "--name", "moving", "bb:1", *_serve("moved"))
    scow.run("network", "connect", "--alias", "other", "n-d", "moving")
    assert "moved" in scow.out("run", "--rm", "--network", "n-d", "bb:1", *_get("other"))
    assert set(scow.json("moving")["NetworkSettings"]["Networks"]) == {"bridge", "n-d"}
    assert "active endpoints" in scow.run("network", "rm", "n-d", check=False).stderr
    scow.run("network", "disconnect", "n-d", "moving")
    assert "eth1" not in scow.out("exec", "moving", "ip", "addr")
    scow.run("network", "rm", "n-d")


def test_another_container_s_network(scow, made):
    made += ["owner"]
    scow.run("run", "-d", "--name", "owner", "bb:1", *_serve("shared"))
    assert "shared" in scow.out("run", "--rm", "--network", "container:owner", "bb:1", *_get("127.0.0.1"))


def test_many_at_once_get_addresses_of_their_own(scow, made):
    names = [f"many{at}" for at in range(12)]
    made += names
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: scow.run("run", "-d", "--name", name, "-p", "80", "bb:1", "sleep", "900"), names))
    settings = [scow.json(name)["NetworkSettings"] for name in names]
    assert len({found["IPAddress"] for found in settings}) == len(names)
    assert len({found["Ports"]["80/tcp"][0]["HostPort"] for found in settings}) == len(names)


def _wait_clean(names: list[str]) -> None:
    assert left(lambda: [name for name in names if name in _host_names()]) == []


@pytest.mark.host
def test_nothing_stays_behind(scow):
    for at in range(10):
        scow.run("run", "--rm", *(("-p", "80") if at % 2 else ()), "bb:1", "true")
    names = scow.names()
    host = _host_names()
    assert not [name for name in names if name in host]  # at once, not some time later


@pytest.mark.host
def test_nothing_stays_behind_when_the_command_is_killed(scow):
    for _ in range(5):
        process = scow.start("run", "--rm", "--name", "victim", "-p", "80", "bb:1", "sleep", "900")
        assert until(lambda: scow.out("ps", "-q", "--filter", "name=victim"))
        names = scow.names()
        process.send_signal(signal.SIGKILL)
        process.wait()
        _wait_clean(names)  # nobody runs scow: the last will does it
        assert until(lambda: not scow.out("ps", "-aq", "--filter", "name=victim"))


@pytest.mark.host
def test_nothing_stays_behind_when_container_and_monitor_are_killed(scow, made):
    for _ in range(5):
        scow.run("run", "-d", "--name", "prey", "-p", "80", "bb:1", "sleep", "900")
        found = scow.json("prey")
        names = scow.names()
        with open(f"{scow.env['SCOW_ROOT']}/containers/{found['Id']}/conmon.pid", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        os.kill(found["State"]["Pid"], signal.SIGKILL)
        assert until(lambda: not scow.out("ps", "-q", "--filter", "name=prey")), "nobody else is there to see its end"
        _wait_clean(names)
        scow.run("rm", "prey")


def test_prune_takes_unused_networks_only(scow, made):
    made += ["keeper", "n-used", "n-idle"]
    scow.run("network", "create", "n-used")
    scow.run("network", "create", "n-idle")
    scow.run("create", "--name", "keeper", "--network", "n-used", "bb:1", "true")
    shown = scow.out("network", "prune", "-f")
    assert "n-idle" in shown
    assert "n-used" not in shown
    assert "n-used" in scow.out("network", "ls", "--format", "{{.Name}}")
