# SPDX-License-Identifier: Apache-2.0
"""From the flags of ``run`` and ``create`` to docker's body of a create request.

What every day needs is here; ports, mounts, health checks and limits of other kinds are read by
``scow.cli.containeroptions`` when they are used.
"""

from __future__ import annotations

import os

from scow.cli.clientconfig import with_proxies
from scow.cli.flags import CommandError, Flag
from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed


def variable(value: str) -> str:
    """Check one ``--env``."""
    if value[:1] in {"", "="}:
        raise ValueError(f"invalid environment variable: {value}")
    return value


ENVIRONMENT: tuple[Flag, ...] = (
    Flag("env", "e", kind="list", check=variable, help="Set environment variables"),
    Flag("env-file", kind="list", help="Read in a file of environment variables"),
)
# Flag -> member of HostConfig, taken as it is when given.
_PLAIN = (
    ("cap-add", "CapAdd"),
    ("cap-drop", "CapDrop"),
    ("cgroup-parent", "CgroupParent"),
    ("cgroupns", "CgroupnsMode"),
    ("cidfile", "ContainerIDFile"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-rt-period", "CpuRealtimePeriod"),
    ("cpu-rt-runtime", "CpuRealtimeRuntime"),
    ("cpu-shares", "CpuShares"),
    ("cpus", "NanoCpus"),
    ("cpuset-cpus", "CpusetCpus"),
    ("cpuset-mems", "CpusetMems"),
    ("add-host", "ExtraHosts"),
    ("annotation", "Annotations"),
    ("blkio-weight", "BlkioWeight"),
    ("device-cgroup-rule", "DeviceCgroupRules"),
    ("dns", "Dns"),
    ("dns-search", "DnsSearch"),
    ("group-add", "GroupAdd"),
    ("init", "Init"),
    ("ipc", "IpcMode"),
    ("isolation", "Isolation"),
    ("kernel-memory", "KernelMemory"),
    ("link", "Links"),
    ("memory", "Memory"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swap", "MemorySwap"),
    ("memory-swappiness", "MemorySwappiness"),
    ("oom-kill-disable", "OomKillDisable"),
    ("oom-score-adj", "OomScoreAdj"),
    ("pid", "PidMode"),
    ("pids-limit", "PidsLimit"),
    ("privileged", "Privileged"),
    ("publish-all", "PublishAllPorts"),
    ("read-only", "ReadonlyRootfs"),
    ("rm", "AutoRemove"),
    ("runtime", "Runtime"),
    ("shm-size", "ShmSize"),
    ("sysctl", "Sysctls"),
    ("userns", "UsernsMode"),
    ("uts", "UTSMode"),
    ("volumes-from", "VolumesFrom"),
    ("volume-driver", "VolumeDriver"),
)
# Flags whose reading is worth a module of its own.
_RARE = frozenset(
    {
        "device",
        "device-read-bps",
        "device-read-iops",
        "device-write-bps",
        "device-write-iops",
        "blkio-weight-device",
        "expose",
        "gpus",
        "health-cmd",
        "health-interval",
        "health-retries",
        "health-start-interval",
        "health-start-period",
        "health-timeout",
        "ip",
        "ip6",
        "label-file",
        "link",
        "link-local-ip",
        "log-driver",
        "log-opt",
        "mac-address",
        "mount",
        "net-alias",
        "network-alias",
        "no-healthcheck",
        "publish",
        "restart",
        "security-opt",
        "storage-opt",
        "tmpfs",
        "ulimit",
    }
)


def request(options: Parsed, *, detached: bool = False) -> dict[str, Any]:
    """Read the flags.

    Args:
        options: The command line; ``args`` is the image and its command.
        detached: Whether nobody is attached (``run -d``).

    Returns:
        Docker's body of a create request.

    Raises:
        CommandError: Flags contradict each other or name what is not there.
    """
    changed = options.changed
    image, *command = options.args
    body: dict[str, Any] = {"Image": image, "Cmd": command or None, "Tty": options.tty}
    host: dict[str, Any] = {name: options[flag] for flag, name in _PLAIN if changed(flag)}
    body["HostConfig"] = host
    _streams(options, body, detached=detached)
    for flag, name in (("user", "User"), ("workdir", "WorkingDir"), ("domainname", "Domainname")):
        if changed(flag):
            body[name] = options[flag]
    if changed("hostname"):
        body["Hostname"] = options.hostname
    if changed("entrypoint"):
        body["Entrypoint"] = [options.entrypoint]
    if changed("stop-signal"):
        body["StopSignal"] = options.stop_signal
    if changed("stop-timeout"):
        body["StopTimeout"] = options.stop_timeout
    body["Env"] = environment(options["env-file"], with_proxies(options.env))
    body["Labels"] = labels(options.label)
    _volumes(options.volume, body, host)
    dns = [*options["dns-option"], *options["dns-opt"]]
    if dns:
        host["DnsOptions"] = dns
    networks = [*options.network, *options.net]
    host["NetworkMode"] = networks[0] if networks else "default"
    if "" in networks:
        raise CommandError("no name set for network")
    if len(networks) > 1 or (networks and not isinstance(networks[0], str)) or any(changed(flag) for flag in _RARE):
        from scow.cli.containeroptions import apply_rare

        apply_rare(options, body, host, networks)
    _check_modes(host)
    if options.rm and host.get("RestartPolicy", {}).get("Name") not in {None, "", "no"}:
        raise CommandError("conflicting options: cannot specify both --restart and --rm")
    return body


def _check_modes(host: dict[str, Any]) -> None:
    """Refuse what docker refuses before it asks its daemon."""
    for member, flag, kind in (("PidMode", "pid", "PID"), ("UTSMode", "uts", "UTS"), ("UsernsMode", "userns", "USER")):
        mode = host.get(member)
        joins = kind == "PID" and mode and mode.startswith("container:") and mode != "container:"
        if mode and mode != "host" and not joins:
            raise CommandError(f"--{flag}: invalid {kind} mode")
    if host.get("CgroupnsMode") not in {None, "", "host", "private"}:
        raise CommandError("--cgroupns: invalid CGROUP mode")
    swappiness = host.get("MemorySwappiness", -1)
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise CommandError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")


def _streams(options: Parsed, body: dict[str, Any], *, detached: bool) -> None:
    """Which streams are attached: those of ``-a``, else output, and input with ``-i``."""
    attached = list(options.attach)
    if not attached and not detached:
        attached = ["stdout", "stderr", *(["stdin"] if options.interactive else [])]
    if attached and detached:
        raise ScowError("conflicting options: cannot specify both --attach and --detach")
    body["AttachStdin"] = "stdin" in attached
    body["AttachStdout"] = "stdout" in attached
    body["AttachStderr"] = "stderr" in attached
    body["OpenStdin"] = options.interactive
    body["StdinOnce"] = options.interactive and not detached


def environment(files: list[str], given: list[str]) -> list[str]:
    """Variables from ``--env-file`` and ``--env``; a name alone takes the value it has here, if it has one.

    Raises:
        CommandError: A file cannot be read, or a line names nothing.
    """
    entries: list[str] = []
    for path in files:
        entries += read_lines(path)
    entries += given
    values: dict[str, str | None] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
        elif entry in given:
            values[name] = None
    # A name without a value here takes away what the image sets; docker does so for --env.
    return [name if value is None else f"{name}={value}" for name, value in values.items()]


def read_lines(path: str) -> list[str]:
    """The entries of an env or label file: blank lines and comments left out.

    Raises:
        CommandError: It cannot be read, or a name has blanks in it.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read().removeprefix(b"\xef\xbb\xbf").splitlines()
    except IsADirectoryError:
        raise CommandError(f"invalid env file ({path}): read {path}: is a directory") from None
    except OSError as error:
        raise CommandError(f"open {path}: {(error.strerror or '').lower()}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode().lstrip()
        except UnicodeDecodeError:
            shown = " ".join(map(str, line))
            raise CommandError(f"invalid env file ({path}): invalid utf8 bytes at line {number}: [{shown}]") from None
        if not text or text.startswith("#"):
            continue
        name = text.partition("=")[0]
        if not name:
            raise CommandError(f"invalid env file ({path}): no variable name on line '{text}'")
        if name != name.strip() or any(char in " \t" for char in name):
            raise CommandError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        found.append(text)
    return found


def labels(given: list[str]) -> dict[str, str]:
    """Labels from ``name=value`` texts."""
    found = {}
    for entry in given:
        name, _, value = entry.partition("=")
        found[name] = value
    return found


def _volumes(given: list[str], body: dict[str, Any], host: dict[str, Any]) -> None:
    """Split ``-v``: a path alone is an anonymous volume, anything else a bind or a named volume."""
    binds = []
    for text in dict.fromkeys(given):
        source, colon, rest = text.partition(":")
        if not text:
            raise CommandError("invalid empty volume spec")
        if not colon:
            body.setdefault("Volumes", {})[text] = {}
            continue
        if not all(text.split(":")):
            raise CommandError(f"invalid spec: {text}: empty section between colons")
        if source.startswith("."):
            source = os.path.abspath(source)
        elif source.startswith("~"):
            source = os.path.expanduser(source)
        binds.append(f"{source}:{rest}")
    if binds:
        host["Binds"] = binds
