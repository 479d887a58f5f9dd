# SPDX-License-Identifier: Apache-2.0
"""A small image of busybox, and the scow command over a store of its own, for tests that run containers."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time

import pytest

IMAGE = "localhost/test/busybox:1"
APPLETS = (
    "cat chmod chown date df echo env false find grep head hostname id kill ln ls mkdir mknod mount nc ps pwd readlink rm"
    " seq sh sleep stat stty sync test touch tr true tty umount unshare wc wget"
)


def until(true, seconds=90.0):
    """Wait for something that is about to happen, on a busy machine a little later; whether it has.

    The seconds are those that are slept here: where this process gets no processor, others get none either.
    """
    for _ in range(int(seconds / 0.05)):
        if true():
            return True
        time.sleep(0.05)
    return bool(true())


def left(find):
    """What ``find`` still finds after a while: who sees a container's end ends, or cleans up, a moment later."""
    found = []

    def nothing():
        found[:] = find()
        return not found

    until(nothing)
    return found


def layer(*extra):
    """A tar of a root with busybox; ``extra`` are ``(name, kind, data)`` with kind f, d, l or c."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("busybox-static is not installed")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:

        def add(name, kind, data=""):
            info = tarfile.TarInfo(name)
            info.mode = 0o1777 if name == "tmp" else 0o755
            content = data.encode() if isinstance(data, str) else data
            if kind == "d":
                info.type = tarfile.DIRTYPE
            elif kind == "l":
                info.type, info.linkname = tarfile.SYMTYPE, data
            elif kind == "c":
                info.type, (info.devmajor, info.devminor) = tarfile.CHRTYPE, data
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                return
            tar.addfile(info)

        names = {entry[0] for entry in extra}
        for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "data"):
            if name not in names:
                add(name, "d")
        with open(program, "rb") as file:
            add("bin/busybox", "f", file.read())
        for applet in APPLETS.split():
            add(f"bin/{applet}", "l", "/bin/busybox")
        for name, text in (
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbob:x:1234:1234::/tmp:/bin/sh\n"),
            ("etc/group", "root:x:0:\nbob:x:1234:\nstaff:x:50:bob\n"),
        ):
            if name not in names and "etc" not in names:
                add(name, "f", text)
        if "data" not in names:
            add("data/seed", "f", "from the image\n")
        for entry in extra:
            add(*entry)
    return out.getvalue()


class Scow:
    """The command, over a store of its own."""

    def __init__(self, folder):
        self.root = f"{folder}/root"
        self.run_root = f"{folder}/run"
        self.program = os.path.join(os.path.dirname(sys.executable), "scow")
        self.env = {
            **os.environ,
            "SCOW_ROOT": self.root,
            "SCOW_RUN_ROOT": self.run_root,
            "DOCKER_CONFIG": f"{folder}/config",
        }

    def run(self, *argv, **options):
        """Run a command line whatever its status."""
        return subprocess.run([self.program, *argv], env=self.env, capture_output=True, timeout=280, **options)

    def __call__(self, *argv, **options):
        """Run a command line that must work; its output without the last line break."""
        done = self.run(*argv, **options)
        assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')}"
        return done.stdout.decode(errors="replace").removesuffix("\n")

    def start(self, *argv, **options):
        """Start a command line and leave it running."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([self.program, *argv], env=self.env, **{**streams, **options})

    def clean(self):
        """Remove every container."""
        for identity in self("ps", "-aq", "--no-trunc").split():
            self.run("rm", "-fv", identity)


def open_files(pid):
    """What a process has open, as the kernel calls it; less of it when it is about to end."""
    folder = f"/proc/{pid}/fd"
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"{folder}/{name}"))
    return found


def processes(scow):
    """Processes of the store, ``(pid, command)``: by what they were called with.

    A child that has not begun its program yet is seen by its parent's environment.
    """
    needle, found = os.fsencode(scow.root), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words, open(f"/proc/{pid}/environ", "rb") as environ:
                command = words.read()
                if needle in command or (b"SCOW_ROOT=" + needle in environ.read() and b"pytest" not in command):
                    found.append((int(pid), command.replace(bytes(1), b" ").decode()))
        except OSError:
            continue
    return found


def traces(scow):
    """What containers of this store left on the machine: processes, mounts, cgroups, files."""
    found = [f"process {pid} {command}" for pid, command in processes(scow)]
    with open("/proc/mounts") as file:
        found += [f"mount {line.split()[1]}" for line in file if scow.root in line or scow.run_root in line]
    for name in ("runc", "exec", "netns"):
        path = os.path.join(scow.run_root, name)
        found += [f"state {entry}" for entry in (os.listdir(path) if os.path.isdir(path) else ())]
    path = os.path.join(scow.root, "containers")
    found += [f"directory {entry}" for entry in (os.listdir(path) if os.path.isdir(path) else ())]
    return found


def groups_of(identity):
    """Control groups that are left of a container."""
    top = "/sys/fs/cgroup"
    places = [f"{top}/scow/{identity}", *(f"{top}/{name}/scow/{identity}" for name in os.listdir(top))]
    return [place for place in places if os.path.isdir(place)]


def need(*programs):
    """Skip the test when a program is missing."""
    for program in programs:
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            pytest.skip(f"{program} is not installed")


def make_scow(folder):
    """A store with the busybox image."""
    need("runc", "conmon")
    scow = Scow(folder)
    scow("import", "-", IMAGE, input=layer())
    return scow
