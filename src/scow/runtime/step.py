# SPDX-License-Identifier: Apache-2.0
"""One command of a build, run to its end in a mounted snapshot.

A step has no record, no name and no log of its own: its caller gives the tree, the command and a callback for the
output, and gets the exit status. The tree is mounted in a mount namespace that only the step lives in, so nothing
is left mounted whatever is killed; when the calling process dies, the step is killed too. Empty files and
directories that had to be made to mount something on (``/etc/resolv.conf`` in an image without one, the target of
a ``RUN --mount``) are taken away again afterwards, so that they never show in the layer.
"""

from __future__ import annotations

import os
from contextlib import nullcontext

from scow.errors import CancelledError, NotFoundError
from scow.linux import capabilities, cgroups, process, seccomp
from scow.linux.idmaps import mapped_groups
from scow.runtime import inside, netfiles, users
from scow.runtime.confined import borrowed_here
from scow.runtime.deadman import Deadman
from scow.runtime.oci import FAILED, logged_error, start_error
from scow.runtime.spec import Place, make_spec
from scow.runtime.spec import bind as make_bind
from scow.runtime.spec import tmpfs as make_tmpfs
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from scow.linux.mount import Mount
    from scow.runtime.oci import OciRuntime

DEFAULT_HOSTNAME = "buildkitsandbox"
_ASK_MILLISECONDS = 100


class StepMount(NamedTuple):
    """Something mounted for the time of one step (``RUN --mount``).

    Args:
        target: Absolute path inside the step's root.
        type: ``bind`` or ``tmpfs``.
        source: For ``bind``: an absolute path on the host, or, when ``tree`` is given, a path inside that tree
            (links are resolved inside it and can never leave it).
        options: Mount options, such as ``ro``, ``size=64m``, ``mode=1777``.
        tree: Mounts of a snapshot that ``source`` is taken from (``from=stage``); mounted privately first.
    """

    target: str
    type: str = "bind"
    source: str = ""
    options: tuple[str, ...] = ()
    tree: tuple[Mount, ...] = ()


class Step(NamedTuple):
    """What one step runs, and in what surroundings.

    Args:
        args: The command and its arguments; the shell form is already spelled out by the caller.
        rootfs: The mounts of the active snapshot, as the snapshotter gave them.
        env: ``NAME=value`` strings; ``PATH`` and ``HOME`` are added when absent.
        cwd: Working directory inside the root; it must exist or is made.
        user: As in Dockerfile ``USER``: name or id, optionally ``:group``; looked up inside the root.
        mounts: In the order in which they are mounted.
        network: ``default`` (bridge), ``none`` or ``host``.
        hostname: Name of the machine inside, ``buildkitsandbox``-like when empty.
        extra_hosts: ``name:address`` pairs for ``/etc/hosts``.
        insecure: All capabilities and no seccomp profile (``RUN --security=insecure``).
        shm_size: Bytes of ``/dev/shm``.
        ulimits: ``(name, soft, hard)``.
        resources: Limits, by the names of Docker's ``HostConfig``: ``Memory`` (bytes), ``CpuQuota`` ...
        cgroup_parent: A cgroup path, or ``""`` for scow's own.
        proxies: Environment added for the process only, not seen in ``env`` (predefined proxy arguments).
    """

    args: tuple[str, ...]
    rootfs: tuple[Mount, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[StepMount, ...] = ()
    network: str = "default"
    hostname: str = ""
    extra_hosts: tuple[str, ...] = ()
    insecure: bool = False
    shm_size: int = 64 << 20
    ulimits: tuple[tuple[str, int, int], ...] = ()
    resources: tuple[tuple[str, int | str], ...] = ()
    cgroup_parent: str = ""
    proxies: tuple[str, ...] = ()


class StepPlace(NamedTuple):
    """A step's place on a network.

    Args:
        namespace: Path of the network namespace to join.
        address: Its address there.
        gateway: The host as it sees it.
        relay: A name server that asks the host's, or ``""`` where it can ask those.
    """

    namespace: str
    address: str
    gateway: str
    relay: str = ""


class StepRunner(Protocol):
    """Runs steps; any number at a time, from any thread (``scow.runtime.step.Steps`` is the real one).

    ``run`` blocks until the process has ended. ``output`` gets ``(stream, data)`` with stream 1 or 2, from one
    thread, in the order of writing; ``cancelled`` is asked about every 100 ms and a true answer kills the step;
    ``meanwhile`` is called once, when the step has been silent for 100 ms, for short work that can be done beside it.

    Raises:
        CancelledError: ``cancelled`` said so.
        StepStartError: The command could not be started; ``.status`` is 127 (not found) or 126 (not executable).
        UnsupportedError: No usable OCI runtime on this host; the hint names the package.
    """

    def run(
        self,
        step: Step,
        *,
        output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> int:
        """Run one step; returns its exit status (128 + signal when it was killed)."""
        ...


class _Watch(NamedTuple):
    """Who is told of a step, and asked about it; see :class:`StepRunner`."""

    output: Callable[[int, bytes], None]
    cancelled: Callable[[], bool] | None
    meanwhile: Callable[[], None] | None


class Steps:
    """Runs build steps with the host's OCI runtime; the real :class:`StepRunner`.

    Args:
        runtime: The runtime.
        scratch: Directory for the bundles of running steps, made when missing.
        network: Gives a step, by its id, a place on the default network for the length of a block; without it the
            default is the host's network.
    """

    def __init__(
        self,
        runtime: OciRuntime,
        scratch: str,
        network: Callable[[str], AbstractContextManager[StepPlace]] | None = None,
    ) -> None:
        self._runtime = runtime
        self._scratch = scratch
        self._network = network

    def run(
        self,
        step: Step,
        *,
        output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> int:
        """Run one step to its end; see :class:`StepRunner`."""
        from scow.linux.namespaces import run_private

        identity = f"scow-step-{os.urandom(8).hex()}"
        bundle = os.path.join(self._scratch, identity)
        os.makedirs(os.path.join(bundle, "rootfs"), mode=0o711)
        watch = _Watch(output, cancelled, meanwhile)
        try:
            if self._network is None or step.network != "default":
                return run_private(lambda: self._run_mounted(step, identity, bundle, None, watch))
            with self._network(identity) as place:
                return run_private(lambda: self._run_mounted(step, identity, bundle, place, watch))
        finally:
            _remove_bundle(bundle)

    def _run_mounted(
        self,
        step: Step,
        identity: str,
        bundle: str,
        place: StepPlace | None,
        watch: _Watch,
    ) -> int:
        from scow.linux.mount import mount_all, umount

        rootfs = os.path.join(bundle, "rootfs")
        mount_all(step.rootfs, rootfs)
        try:
            with inside.Root(rootfs) as root:
                mounts = _step_mounts(step, bundle, root, place)
                stubs = root.ensure_standard()
                try:
                    for target, directory in inside.places([(m["destination"], d) for m, d in mounts]):
                        stubs += root.ensure(target, directory=directory)
                    spec = _step_spec(step, identity, rootfs, root, tuple(mount for mount, _ in mounts), place)
                    with self._answering(spec):
                        _write_json(os.path.join(bundle, "config.json"), spec)
                        return self._supervise(identity, bundle, watch)
                finally:
                    root.remove_stubs(stubs)
        finally:
            umount(rootfs, detach=True)

    def _answering(self, spec: dict[str, Any]) -> AbstractContextManager[object]:
        """Answers the step's calls about owners and users where there is one id, about devices where there are more."""
        ids = mapped_groups()
        if not ids:
            return nullcontext()
        run_root = os.path.dirname(self._runtime.state)
        if ids == 1:
            from scow.runtime.oneid.answerer import Answerer

            return Answerer(spec, run_root)
        from scow.runtime.oneid.devices import Devices

        return Devices(spec, run_root)

    def _supervise(self, identity: str, bundle: str, watch: _Watch) -> int:
        cgroups.hasten()
        log = os.path.join(bundle, "log.json")
        words = self._runtime.words("run", "--bundle", bundle, identity, log=log)
        readers: list[int] = []
        writers: list[int] = []
        try:
            for _ in (1, 2):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                readers.append(reader)
                writers.append(writer)
            with Deadman(self._runtime.words("delete", "--force", identity)):
                pid = process.spawn(words, stdout=writers[0], stderr=writers[1], session=True)
                while writers:
                    os.close(writers.pop())
                stopped = _pump(readers, watch)
                if stopped:
                    self._runtime.delete(identity)
                status = process.wait_status(pid)
                if stopped:
                    raise CancelledError("the build step was cancelled")
        finally:
            for fd in (*readers, *writers):
                os.close(fd)
        if status:
            complaint = logged_error(log)
            if complaint:
                error = start_error(complaint)
                if error.status == FAILED and "exit status" in complaint:
                    return status
                raise error
        return status


def _pump(readers: list[int], watch: _Watch) -> bool:
    """Hand over what comes until both streams end; true when ``cancelled`` said so."""
    import select

    poll = select.poll()
    streams = {readers[0]: 1, readers[1]: 2}
    for fd in readers:
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    meanwhile = watch.meanwhile
    while streams:
        ready = poll.poll(_ASK_MILLISECONDS)
        if watch.cancelled is not None and watch.cancelled():
            return True
        if not ready and meanwhile is not None:
            meanwhile()
            meanwhile = None
        # Both are read, the output first: what was written to it before a complaint is there when the complaint is.
        for fd in list(streams) if ready else ():
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                continue
            if data:
                watch.output(streams[fd], data)
            else:
                poll.unregister(fd)
                del streams[fd]
    return False


def _step_mounts(
    step: Step, bundle: str, root: inside.Root, place: StepPlace | None
) -> list[tuple[dict[str, Any], bool]]:
    """Everything to mount in the step, with whether a directory is needed to mount on."""
    host_resolv = ""
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            host_resolv = file.read(1 << 16)
    except OSError:
        pass
    name = step.hostname or DEFAULT_HOSTNAME
    texts = (
        (
            "resolv.conf",
            netfiles.resolv_conf(
                host_resolv,
                own_network=step.network == "none" or place is not None,
                relay=place.relay if place else "",
            ),
        ),
        (
            "hosts",
            netfiles.hosts(
                step.extra_hosts, [(place.address if place else "127.0.0.1", name)], place.gateway if place else ""
            ),
        ),
    )
    out: list[tuple[dict[str, Any], bool]] = []
    for file_name, text in texts:
        path = os.path.join(bundle, file_name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        out.append((make_bind(f"/etc/{file_name}", path, readonly=True), False))
    for index, mount in enumerate(step.mounts):
        target = root.resolve(mount.target)
        if mount.type == "tmpfs":
            out.append((_memory(mount, target, os.path.join(bundle, f"memory{index}")), True))
            continue
        source = _source(mount, os.path.join(bundle, f"from{index}"))
        out.append((make_bind(target, source, readonly="ro" in mount.options), os.path.isdir(source)))
    return out


def _memory(mount: StepMount, target: str, place: str) -> dict[str, Any]:
    """A memory file system, made here where that is allowed: runtimes give theirs the mode of the directory below."""
    from scow.linux.capabilities import may_mount
    from scow.linux.mount import Mount, mount_all

    if not may_mount():
        return make_tmpfs(target, ["exec", *(option for option in mount.options if option != "rw")])
    os.mkdir(place)
    options = [option for option in mount.options if option not in ("rw", "ro", "dev")]
    mount_all((Mount("tmpfs", "tmpfs", "", ("nosuid", *options)),), place)
    return make_bind(target, place, readonly="ro" in mount.options)


def _source(mount: StepMount, place: str) -> str:
    """The host path behind a bind; a snapshot is mounted for it first."""
    if not mount.tree:
        if not os.path.exists(mount.source):
            raise NotFoundError(f"{mount.source!r} is not there to be mounted on {mount.target!r}")
        return mount.source
    from scow.linux.capabilities import may_mount
    from scow.linux.mount import mount_all

    os.makedirs(place, mode=0o700)
    if mount.tree[-1].type == "overlay" and not may_mount():
        _copy_overlay(mount.tree[-1], place)
    else:
        mount_all(mount.tree, place)
    with inside.Root(place) as tree:
        path = tree.resolve(mount.source or "/")
        if not tree.exists(path):
            raise NotFoundError(f"{mount.source!r} is not there to be mounted on {mount.target!r}")
    return place + path


def _copy_overlay(mount: Mount, place: str) -> None:
    """What an overlay would show, as copies."""
    from scow.layer.flatten import flatten

    upper = [option.removeprefix("upperdir=") for option in mount.options if option.startswith("upperdir=")]
    lowers = [option.removeprefix("lowerdir+=") for option in mount.options if option.startswith("lowerdir+=")]
    flatten([*upper, *lowers], place)


def _step_spec(
    step: Step,
    identity: str,
    rootfs: str,
    root: inside.Root,
    mounts: tuple[dict[str, Any], ...],
    place: StepPlace | None,
) -> dict[str, Any]:
    names = capabilities.resolve(privileged=step.insecure, last=capabilities.last_known())
    machine = os.uname().machine
    user = users.resolve(step.user, root.read("/etc/passwd", users.MAX_FILE), root.read("/etc/group", users.MAX_FILE))
    cwd = step.cwd or "/"
    if not root.is_dir(cwd):
        root.ensure(cwd, directory=True, owner=(user.uid, user.gid))
    network = place.namespace if place else "none" if step.network == "none" else "host"
    home = cgroups.home()
    ids = mapped_groups()
    whole = Place(
        rootfs=rootfs,
        hostname=step.hostname or DEFAULT_HOSTNAME,
        identity=user,
        args=step.args,
        mounts=mounts,
        network=network,
        cgroup=f"{step.cgroup_parent.rstrip('/') or home}/{identity}" if home else "",
        unified=cgroups.is_unified(),
        capabilities=names,
        seccomp=None if step.insecure else seccomp.default_profile(names, machine),
        nofile=process.most_files(),
        ids=ids,
        borrowed=borrowed_here() if ids else frozenset(),
    )
    config = {"Env": [*step.proxies, *step.env], "WorkingDir": cwd}
    host = {
        "Privileged": step.insecure,
        "ShmSize": step.shm_size,
        **dict(step.resources),
        "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in step.ulimits],
    }
    spec = make_spec(config, host, whole)
    # A build step has no HOSTNAME variable: it would differ from build to build.
    spec["process"]["env"] = [entry for entry in spec["process"]["env"] if not entry.startswith("HOSTNAME=")]
    return spec


def _write_json(path: str, value: dict[str, Any]) -> None:
    from scow import jsontext

    with open(path, "w", encoding="utf-8") as file:
        file.write(jsontext.dumps(value))


def _remove_bundle(bundle: str) -> None:
    """Remove the step's files; what was mounted here was mounted in another namespace, so only stubs are left."""
    from scow.base.files import remove_tree

    remove_tree(bundle)
