# SPDX-License-Identifier: Apache-2.0
"""A network of the user's own: one namespace in which her bridges are, and one program that carries packets out of it.

An ordinary user cannot change the host's network, but may do anything in a namespace that her user namespace owns. So
the bridges, rules and links that root has on the host are in such a namespace here, and ``slirp4netns`` or ``pasta``
joins it to the outside, as an ordinary program with sockets of its own. It is shared by all containers of a run root,
is started with the first and ended with the last.

::

    <run root>/network/hold     a named pipe. The carrier reads it and ends at its end: when nobody has it open. Those
                                who watch containers on networks do; who is about to come holds a shared lock.
    <run root>/network/carrier  "PID START": the carrier; the namespace is its descriptor 9
    <run root>/network/log      what it complained of

Source: slirp4netns(1), pasta(1).
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import ExitStack

from scow.errors import DeniedError, UnavailableError, UnsupportedError
from scow.linux import process
from scow.linux.namespaces import run_in, run_new
from scow.runtime.network.addresses import Subnet
from scow.runtime.network.netlink import Netlink
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACE, _HOLD = 9, 10
_LOOPBACK = 1
TUN = "/dev/net/tun"
TUN_REMEDY = f"modprobe tun; chmod 666 {TUN}"
"""What lets users make links whose packets a program carries; udev's rules do so everywhere."""
_SECONDS = 30.0
_SLIRP_SUBNET = Subnet.parse("10.0.2.0/24")
MTU = 65520
"""Bytes of a packet: a program carries them out, which is the faster the larger they are."""
LINK = "tap0"
"""The carrier's link in the namespace."""
PASTA_SERVER, SLIRP_SERVER = "169.254.1.1", "10.0.2.3"
"""Where the carriers answer questions about names, by asking the host's name servers."""
# pasta has no descriptor to end by, so a shell waits for it; and it may close what it was not told of, so that the
# namespace is kept open by the shell.
_PASTA = 'program=$1; shift; "$program" "$@" & read -r word; kill $!'


class Uplink(NamedTuple):
    """The user's network, open.

    Attributes:
        namespace: Descriptor of the namespace.
        hold: Descriptor that keeps the carrier running while any process has it.
        lock: Descriptor that holds the lock of those who are about to come.
        carrier: The carrier's process id.
        watch: A socket into the namespace.
        server: A name server that asks the host's.
    """

    namespace: int
    hold: int
    lock: int
    carrier: int
    watch: Netlink
    server: str

    def wait(self) -> None:
        """Wait until packets are carried out of the namespace.

        Raises:
            UnavailableError: The carrier ended, or took too long.
        """
        end = time.monotonic() + _SECONDS
        while not any(prefix == 0 and first == 0 for first, prefix, _ in self.watch.routes()):
            if not process.start_time(self.carrier) or time.monotonic() > end:
                raise UnavailableError("the program that joins this user's network to the host's does not work")
            time.sleep(0.001)
        self.watch.close()

    def arrived(self) -> None:
        """Whoever leaves may end the carrier again, if no rows tell of a container; the namespace is closed."""
        os.close(self.lock)
        os.close(self.namespace)


def is_usable() -> bool:
    """Whether everything is there that networks of a user's own need."""
    carried = any(process.find_program(name) for name in ("slirp4netns", "pasta"))
    return carried and bool(process.find_program("nft")) and os.access(TUN, os.R_OK | os.W_OK)


def carrier_subnets() -> list[Subnet]:
    """The networks that the carrier's link has, or will have in a moment.

    slirp4netns gives its link an address before the length of its prefix, so that for a while there seems to be a way
    to all of 10.0.0.0/8. What pasta's link has is the host's.
    """
    return [_SLIRP_SUBNET] if process.find_program("slirp4netns") else []


def open_uplink(run_root: str, hold: int = -1) -> Uplink:
    """Find the user's network, or make it; nobody ends it before :meth:`Uplink.arrived`.

    Args:
        run_root: Directory for what a reboot may lose.
        hold: An earlier uplink's, of this process, to go on with.

    Raises:
        UnsupportedError: Neither slirp4netns nor pasta is installed.
        DeniedError: ``/dev/net/tun`` may not be used.
        UnavailableError: The kernel refused.
    """
    directory = os.path.join(run_root, "network")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with ExitStack() as undo:
            # The lock is of an open file, which others must not inherit.
            lock = _open_hold(directory)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if hold < 0:
                hold = _open_hold(directory)
                undo.callback(os.close, hold)
            with open(f"{directory}/carrier", "a+", encoding="ascii") as record:
                fcntl.flock(record, fcntl.LOCK_EX)
                found = _living(record.fileno())
                namespace = _namespace_of(found) if found else -1
                if namespace < 0:
                    namespace, found = _start(directory)
                    os.ftruncate(record.fileno(), 0)
                    os.write(record.fileno(), f"{found} {process.start_time(found)}\n".encode())
            undo.callback(os.close, namespace)
            watch = run_in(namespace, "net", lambda _home: Netlink())
            undo.pop_all()
    except OSError as error:
        raise UnavailableError(f"cannot make a network of the user's own: {error.strerror}") from error
    server = SLIRP_SERVER if process.find_program("slirp4netns") else PASTA_SERVER
    return Uplink(namespace, hold, lock, found, watch, server)


def find_namespace(run_root: str) -> int:
    """Descriptor of the namespace of the user's network; -1 when there is none."""
    try:
        fd = os.open(os.path.join(run_root, "network/carrier"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        found = _living(fd)
    finally:
        os.close(fd)
    return _namespace_of(found) if found else -1


def end_unused(run_root: str, is_unused: Callable[[], bool]) -> None:
    """End the carrier when nobody is on the network and nobody is about to come.

    Args:
        run_root: As for :func:`open_uplink`.
        is_unused: Asked while nobody can come.
    """
    directory = os.path.join(run_root, "network")
    try:
        hold = os.open(f"{directory}/hold", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_unused():
            return
        with open(f"{directory}/carrier", "r+", encoding="ascii") as record:
            pid = _living(record.fileno())
            # The kernel takes its time to take the link away; nobody has to wait, for nobody finds it from here on.
            os.ftruncate(record.fileno(), 0)
            if pid:
                os.killpg(pid, signal.SIGKILL)
    except OSError:
        return  # somebody is coming, or another one ended it
    finally:
        os.close(hold)


def _open_hold(directory: str) -> int:
    path = f"{directory}/hold"
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Out of the way of the low numbers that programs get theirs by.
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 32)
    finally:
        os.close(fd)


def _living(record: int) -> int:
    """The carrier's process id, 0 when it does not run."""
    pid, _, started = os.pread(record, 64, 0).decode("ascii", "replace").strip().partition(" ")
    alive = pid.isdigit() and started.isdigit() and process.is_alive(int(pid), int(started))
    return int(pid) if alive else 0


def _namespace_of(carrier: int) -> int:
    try:
        return os.open(f"/proc/{carrier}/fd/{_NAMESPACE}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _furnish() -> int:
    """Runs in the new namespace; returns its descriptor."""
    with Netlink() as own:
        own.set_up(_LOOPBACK)
    for name, value in (("ipv6/conf/default/disable_ipv6", b"1"), ("ipv4/ip_forward", b"1")):
        try:
            fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue  # a kernel without IPv6
        os.write(fd, value)
        os.close(fd)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _start(directory: str) -> tuple[int, int]:
    """Make the namespace and its carrier; returns the descriptor and the process id."""
    slirp, pasta = process.find_program("slirp4netns"), process.find_program("pasta")
    if not (slirp or pasta):
        raise UnsupportedError(
            "networks of an ordinary user need slirp4netns or pasta, and neither is installed",
            hint="As root: apt install slirp4netns. Without it, use --network host or --network none.",
        )
    if not os.access(TUN, os.R_OK | os.W_OK):
        raise DeniedError(
            f"{TUN} cannot be opened, and networks of an ordinary user need it",
            hint=f"As root: {TUN_REMEDY}. Without it, use --network host or --network none.",
        )
    namespace = run_new("net", _furnish)
    reader = os.open(f"{directory}/hold", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    log = os.open(f"{directory}/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if slirp:
            words = [slirp, "--configure", f"--mtu={MTU}", "--disable-host-loopback", f"--exit-fd={_HOLD}"]
            words += ["--netns-type=path", f"/proc/self/fd/{_NAMESPACE}", LINK]
            keep = {_NAMESPACE: namespace, _HOLD: reader}
            return namespace, process.spawn(words, stderr=log, keep=keep, session=True)
        return namespace, _start_pasta(pasta, directory, namespace, reader, log)
    finally:
        os.close(reader)
        os.close(log)


def _start_pasta(pasta: str, directory: str, namespace: int, reader: int, log: int) -> int:
    """Pasta gives up its rights before it looks for the namespace, and then needs a plain file that is it."""
    from scow.linux.mount import bind
    from scow.linux.namespaces import run_private

    os.set_blocking(reader, True)
    with open(f"{directory}/namespace", "w", encoding="ascii"):
        pass
    words = ["/bin/sh", "-c", _PASTA, "scow-network", pasta, "--quiet", "--foreground", "--config-net", "--netns-only"]
    words += ["--no-map-gw", "--dns-forward", PASTA_SERVER, "--ns-ifname", LINK]
    words += ["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--netns", f"{directory}/namespace"]

    def start() -> int:
        bind(f"/proc/self/fd/{namespace}", f"{directory}/namespace", options=("bind",))
        keep = {_NAMESPACE: namespace}
        return process.spawn(words, stdin=reader, stderr=log, keep=keep, session=True)

    return run_private(start)
