# SPDX-License-Identifier: Apache-2.0
"""What a container uses, read from its control groups and its network namespace."""

from __future__ import annotations

import os
import time

from scow.linux import cgroups, process
from scow.typing import NamedTuple


class Sample(NamedTuple):
    """What was counted at one moment.

    Args:
        at: Seconds, from a clock that never goes back.
        cpu: Nanoseconds of processor time used so far.
        memory: Bytes in use, without what the kernel could drop at once.
        limit: Bytes it may use; the machine's memory when there is no limit.
        received: Bytes from networks so far.
        sent: Bytes to networks so far.
        read: Bytes from disks so far.
        written: Bytes to disks so far.
        pids: Processes and threads.
    """

    at: float
    cpu: int
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    pids: int


def sample(group: str, pid: int) -> Sample:
    """Count now.

    Args:
        group: The container's control group; without one, its processes are counted that live now.
        pid: Its first process.
    """
    total = _machine_memory()
    if not group:
        return _sum(process.companions(pid), _network(pid), total)
    if cgroups.is_unified():
        top = cgroups.MOUNT + group
        memory = cgroups.read_value(f"{top}/memory.current")
        idle = cgroups.read_table(f"{top}/memory.stat").get("inactive_file", 0)
        limit = cgroups.read_value(f"{top}/memory.max")
        cpu = cgroups.read_table(f"{top}/cpu.stat").get("usage_usec", 0) * 1000
        pids = cgroups.read_value(f"{top}/pids.current")
        read, written = _io_stat(f"{top}/io.stat")
    else:
        place = cgroups.directory(group, "memory")
        memory = cgroups.read_value(f"{place}/memory.usage_in_bytes")
        idle = cgroups.read_table(f"{place}/memory.stat").get("total_inactive_file", 0)
        limit = cgroups.read_value(f"{place}/memory.limit_in_bytes")
        cpu = cgroups.read_value(f"{cgroups.directory(group, 'cpuacct')}/cpuacct.usage")
        pids = cgroups.read_value(f"{cgroups.directory(group, 'pids')}/pids.current")
        read, written = _blkio(f"{cgroups.directory(group, 'blkio')}/blkio.throttle.io_service_bytes_recursive")
    received, sent = _network(pid)
    return Sample(
        at=time.monotonic(),
        cpu=max(cpu, 0),
        memory=max(memory - idle, 0),
        limit=limit if 0 < limit < total else total,
        received=received,
        sent=sent,
        read=read,
        written=written,
        pids=max(pids, 0),
    )


def cpu_percent(before: Sample, after: Sample) -> float:
    """Processor use between two samples; 100 is one processor."""
    span = after.at - before.at
    return (after.cpu - before.cpu) / 1e7 / span if span > 0 else 0.0


def _sum(pids: list[int], network: tuple[int, int], total: int) -> Sample:
    """What processes tell of themselves. Source: proc(5), /proc/PID/stat, statm, io."""
    cpu = memory = read = written = threads = 0
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            with open(f"/proc/{pid}/statm", "rb") as file:
                shares = file.read().split()
        except OSError:
            continue
        cpu += sum(map(int, fields[11:15])) * 10**9 // ticks
        threads += int(fields[17])
        memory += (int(shares[1]) - int(shares[2])) * page
        counters = cgroups.read_table(f"/proc/{pid}/io")
        read += counters.get("read_bytes:", 0)
        written += counters.get("write_bytes:", 0)
    return Sample(time.monotonic(), cpu, memory, total, *network, read, written, threads)


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _network(pid: int) -> tuple[int, int]:
    received = sent = 0
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
            for line in file:
                name, colon, rest = line.partition(":")
                if colon and name.strip() != "lo":
                    fields = rest.split()
                    received += int(fields[0])
                    sent += int(fields[8])
    except (OSError, ValueError, IndexError):
        pass
    return received, sent


def _io_stat(path: str) -> tuple[int, int]:
    read = written = 0
    try:
        with open(path, encoding="ascii") as file:
            for word in file.read().split():
                name, _, value = word.partition("=")
                if name == "rbytes":
                    read += int(value)
                elif name == "wbytes":
                    written += int(value)
    except (OSError, ValueError):
        pass
    return read, written


def _blkio(path: str) -> tuple[int, int]:
    read = written = 0
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if len(fields) == 3 and fields[1] == "Read":
                    read += int(fields[2])
                elif len(fields) == 3 and fields[1] == "Write":
                    written += int(fields[2])
    except (OSError, ValueError):
        pass
    return read, written
