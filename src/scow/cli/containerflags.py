# SPDX-License-Identifier: Apache-2.0
"""The flags that ``run`` and ``create`` share: what a container can be told to be.

The names, kinds and help lines are docker 28.2.2's.
"""

from __future__ import annotations

from scow.cli.containerrequest import ENVIRONMENT
from scow.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_STREAMS = ("stdin", "stdout", "stderr")


def _stream(value: str) -> str:
    if value.lower() not in _STREAMS:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return value.lower()


def _network(value: str) -> Any:
    return _reader("network")(value) if "=" in value else value


def _reader(name: str) -> Callable[[str], Any]:
    """The reader of :mod:`scow.cli.containervalues` with this name, loaded when the flag is used."""

    def read(value: str) -> Any:
        from scow.cli import containervalues

        return getattr(containervalues, name)(value)

    return read


FLAGS: tuple[Flag, ...] = (
    Flag("add-host", kind="list", check=_reader("extra_host"), help="Add a custom host-to-IP mapping (host:ip)"),
    Flag("annotation", kind="map", help="Add an annotation to the container (passed through to the OCI runtime)"),
    Flag("attach", "a", kind="list", check=_stream, help="Attach to STDIN, STDOUT or STDERR"),
    Flag(
        "blkio-weight",
        kind="uint",
        bits=16,
        type="uint16",
        help="Block IO (relative weight), between 10 and 1000, or 0 to disable",
    ),
    Flag(
        "blkio-weight-device",
        kind="list",
        check=_reader("device_weight"),
        help="Block IO weight (relative device weight)",
    ),
    Flag("cap-add", kind="list", help="Add Linux capabilities"),
    Flag("cap-drop", kind="list", help="Drop Linux capabilities"),
    Flag("cgroup-parent", kind="string", help="Optional parent cgroup for the container"),
    Flag("cgroupns", kind="string", help="Cgroup namespace to use (host|private)"),
    Flag("cidfile", kind="string", help="Write the container ID to the file"),
    Flag("cpu-count", kind="int", help="CPU count (Windows only)"),
    Flag("cpu-percent", kind="int", help="CPU percent (Windows only)"),
    Flag("cpu-period", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-rt-period", kind="int", help="Limit CPU real-time period in microseconds"),
    Flag("cpu-rt-runtime", kind="int", help="Limit CPU real-time runtime in microseconds"),
    Flag("cpu-shares", "c", kind="int", help="CPU shares (relative weight)"),
    Flag("cpus", kind="decimal", help="Number of CPUs"),
    Flag("cpuset-cpus", kind="string", help="CPUs in which to allow execution (0-3, 0,1)"),
    Flag("cpuset-mems", kind="string", help="MEMs in which to allow execution (0-3, 0,1)"),
    Flag("device", kind="list", help="Add a host device to the container"),
    Flag(
        "device-cgroup-rule",
        kind="list",
        check=_reader("device_rule"),
        help="Add a rule to the cgroup allowed devices list",
    ),
    Flag(
        "device-read-bps",
        kind="list",
        check=_reader("bytes_rate"),
        help="Limit read rate (bytes per second) from a device",
    ),
    Flag(
        "device-read-iops",
        kind="list",
        check=_reader("operations_rate"),
        help="Limit read rate (IO per second) from a device",
    ),
    Flag(
        "device-write-bps",
        kind="list",
        check=_reader("bytes_rate"),
        help="Limit write rate (bytes per second) to a device",
    ),
    Flag(
        "device-write-iops",
        kind="list",
        check=_reader("operations_rate"),
        help="Limit write rate (IO per second) to a device",
    ),
    Flag("disable-content-trust", default=True, help="Skip image verification"),
    Flag("dns", kind="list", check=_reader("address"), help="Set custom DNS servers"),
    Flag("dns-option", kind="list", help="Set DNS options"),
    Flag("dns-search", kind="list", check=_reader("search_domain"), help="Set custom DNS search domains"),
    Flag("domainname", kind="string", help="Container NIS domain name"),
    Flag("entrypoint", kind="string", help="Overwrite the default ENTRYPOINT of the image"),
    *ENVIRONMENT,
    Flag("expose", kind="list", help="Expose a port or a range of ports"),
    Flag(
        "gpus",
        kind="string",
        check=_reader("gpus"),
        type="gpu-request",
        help="GPU devices to add to the container ('all' to pass all GPUs)",
    ),
    Flag("group-add", kind="list", help="Add additional groups to join"),
    Flag("health-cmd", kind="string", help="Command to run to check health"),
    Flag("health-interval", kind="duration", help="Time between running the check (ms|s|m|h)"),
    Flag("health-retries", kind="int", help="Consecutive failures needed to report unhealthy"),
    Flag(
        "health-start-interval",
        kind="duration",
        help="Time between running the check during the start period (ms|s|m|h)",
    ),
    Flag(
        "health-start-period",
        kind="duration",
        help="Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)",
    ),
    Flag("health-timeout", kind="duration", help="Maximum time to allow one check to run (ms|s|m|h)"),
    Flag("hostname", "h", kind="string", help="Container host name"),
    Flag("init", help="Run an init inside the container that forwards signals and reaps processes"),
    Flag("interactive", "i", help="Keep STDIN open even if not attached"),
    Flag("io-maxbandwidth", kind="bytes", help="Maximum IO bandwidth limit for the system drive (Windows only)"),
    Flag("io-maxiops", kind="uint", help="Maximum IOps limit for the system drive (Windows only)"),
    Flag("ip", kind="string", help="IPv4 address (e.g., 172.30.100.104)"),
    Flag("ip6", kind="string", help="IPv6 address (e.g., 2001:db8::33)"),
    Flag("ipc", kind="string", help="IPC mode to use"),
    Flag("isolation", kind="string", help="Container isolation technology"),
    Flag("kernel-memory", kind="bytes", help="Kernel memory limit"),
    Flag("label", "l", kind="list", check=_reader("label"), help="Set meta data on a container"),
    Flag("label-file", kind="list", help="Read in a line delimited file of labels"),
    Flag("link", kind="list", check=_reader("link"), help="Add link to another container"),
    Flag("link-local-ip", kind="list", help="Container IPv4/IPv6 link-local addresses"),
    Flag("log-driver", kind="string", help="Logging driver for the container"),
    Flag("log-opt", kind="list", help="Log driver options"),
    Flag("mac-address", kind="string", help="Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag("memory", "m", kind="bytes", help="Memory limit"),
    Flag("memory-reservation", kind="bytes", help="Memory soft limit"),
    Flag("memory-swap", kind="swap", help="Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    Flag("memory-swappiness", kind="int", default=-1, help="Tune container memory swappiness (0 to 100)"),
    Flag("mount", kind="list", check=_reader("mount"), type="mount", help="Attach a filesystem mount to the container"),
    Flag("name", kind="string", help="Assign a name to the container"),
    Flag("network", kind="list", type="network", check=_network, help="Connect a container to a network"),
    Flag("network-alias", kind="list", help="Add network-scoped alias for the container"),
    Flag("no-healthcheck", help="Disable any container-specified HEALTHCHECK"),
    Flag("oom-kill-disable", help="Disable OOM Killer"),
    Flag("oom-score-adj", kind="int", help="Tune host's OOM preferences (-1000 to 1000)"),
    Flag("pid", kind="string", help="PID namespace to use"),
    Flag("pids-limit", kind="int", help="Tune container pids limit (set -1 for unlimited)"),
    Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
    Flag("privileged", help="Give extended privileges to this container"),
    Flag("publish", "p", kind="list", help="Publish a container's port(s) to the host"),
    Flag("publish-all", "P", help="Publish all exposed ports to random ports"),
    Flag("pull", kind="string", default="missing", help='Pull image before running ("always", "missing", "never")'),
    Flag("quiet", "q", help="Suppress the pull output"),
    Flag("read-only", help="Mount the container's root filesystem as read only"),
    Flag("restart", kind="string", default="no", help="Restart policy to apply when a container exits"),
    Flag("rm", help="Automatically remove the container and its associated anonymous volumes when it exits"),
    Flag("runtime", kind="string", help="Runtime to use for this container"),
    Flag("security-opt", kind="list", help="Security Options"),
    Flag("shm-size", kind="bytes", help="Size of /dev/shm"),
    Flag("stop-signal", kind="string", help="Signal to stop the container"),
    Flag("stop-timeout", kind="int", help="Timeout (in seconds) to stop a container"),
    Flag("storage-opt", kind="list", help="Storage driver options for the container"),
    Flag("sysctl", kind="map", check=_reader("sysctl"), help="Sysctl options"),
    Flag("tmpfs", kind="list", help="Mount a tmpfs directory"),
    Flag("tty", "t", help="Allocate a pseudo-TTY"),
    Flag("ulimit", kind="list", check=_reader("ulimit"), type="ulimit", help="Ulimit options"),
    Flag("use-api-socket", help="Bind mount Docker API socket and required auth"),
    Flag("user", "u", kind="string", help="Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag("userns", kind="string", help="User namespace to use"),
    Flag("uts", kind="string", help="UTS namespace to use"),
    Flag("volume", "v", kind="list", help="Bind mount a volume"),
    Flag("volume-driver", kind="string", help="Optional volume driver for the container"),
    Flag("volumes-from", kind="list", help="Mount volumes from the specified container(s)"),
    Flag("workdir", "w", kind="string", help="Working directory inside the container"),
    Flag("dns-opt", kind="list", hidden=True, help="Set DNS options"),
    Flag("net", kind="list", type="network", check=_network, hidden=True, help="Connect a container to a network"),
    Flag("net-alias", kind="list", hidden=True, help="Add network-scoped alias for the container"),
)

RUN_FLAGS: tuple[Flag, ...] = (
    Flag("detach", "d", help="Run container in background and print container ID"),
    Flag("detach-keys", kind="string", help="Override the key sequence for detaching a container"),
    Flag("sig-proxy", default=True, help="Proxy received signals to the process"),
)
