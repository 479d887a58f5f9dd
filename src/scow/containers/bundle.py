# SPDX-License-Identifier: Apache-2.0
"""A container's bundle: its root mounted, its files written, its ``config.json`` for the OCI runtime.

Runs in the mount namespace the container will live in. Nothing here follows a link out of the root.
"""

from __future__ import annotations

import os

from scow import jsontext
from scow.errors import InvalidArgumentError, UnsupportedError
from scow.linux import capabilities, process, seccomp
from scow.linux.cgroups import is_unified
from scow.linux.idmaps import mapped_groups
from scow.linux.mount import mount_all
from scow.runtime import inside, netfiles, spec, users
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_INITS = ("docker-init", "tini-static", "tini", "catatonit")
_BOUND = frozenset(
    {
        "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "DeviceCgroupRules",
    }
)  # fmt: skip
_INIT_TARGET = "/sbin/docker-init"


class Addresses(NamedTuple):
    """What a container will have on its networks.

    Args:
        own: ``(address, names)`` for ``/etc/hosts``.
        gateway: The host as the container sees it, or ``""``.
        servers: Name servers that know the other containers, or nothing.
        relay: A name server inside that asks the host's, or ``""`` where containers can ask those.
        namespace: Path of the network namespace to join, or ``""`` for an empty one.
    """

    own: tuple[tuple[str, str], ...] = ()
    gateway: str = ""
    servers: tuple[str, ...] = ()
    relay: str = ""
    namespace: str = ""


def mount_root(service: Containers, container: Container) -> str:
    """Mount a container's root in the calling thread's mount namespace; returns where."""
    rootfs = os.path.join(service.directory(container.id), "rootfs")
    mount_all(service.snapshots.mounts(container.id), rootfs)
    return rootfs


def make(service: Containers, container: Container, addresses: Addresses | None = None) -> tuple[str, list[str]]:
    """Mount the root in the calling thread's mount namespace, write the files, and make the text of ``config.json``.

    Args:
        service: The room.
        container: The container.
        addresses: What it will have on its networks.

    Returns:
        The text, and the stubs that were made in the root, as ``Container.stubs`` keeps them.

    Raises:
        UserNotFoundError: The image does not know the user.
        InvalidArgumentError: Something cannot be mounted where it is wanted.
    """
    rootfs = mount_root(service, container)
    config, host = container.config, container.host
    linked: list[tuple[str, str]] = []
    if host.get("Links"):
        from scow.containers.extras import links

        linked, variables = links(service, container)
        config = {**config, "Env": [*variables, *(config.get("Env") or ())]}
    with inside.Root(rootfs) as root:
        identity = users.resolve(
            config.get("User") or "",
            root.read("/etc/passwd", users.MAX_FILE),
            root.read("/etc/group", users.MAX_FILE),
            host.get("GroupAdd") or (),
        )
        cwd = config.get("WorkingDir") or "/"
        if not cwd.startswith("/"):
            raise InvalidArgumentError(f"the working directory {cwd!r} is invalid, it needs to be an absolute path")
        if cwd != "/" and not root.is_dir(cwd):
            root.ensure(cwd, directory=True)
        addresses = addresses or Addresses()
        wanted = [*_files(service, container, addresses, linked), *_own_mounts(service, container, root)]
        stubs = root.ensure_standard()
        modes = {mount["destination"]: _mode(mount["options"]) for mount, _ in wanted if mount["type"] == "tmpfs"}
        for target, is_directory in inside.places([(mount["destination"], is_dir) for mount, is_dir in wanted]):
            # The runtime gives a memory file system the permissions of the directory it hides.
            stubs += root.ensure(target, directory=is_directory, mode=modes.get(target, 0o755))
        mounts = tuple(mount for mount, _ in wanted)
        place = _place(service, container, rootfs, identity, mounts, addresses.namespace)
        document = spec.make_spec(config, host, place)
    if host.keys() & _BOUND and document["linux"]["resources"]:
        from scow.containers.extras import bound_devices

        bound_devices(host, document["linux"]["resources"])
    if place.ids == 1:
        from scow.runtime.oneid.answerer import Answerer

        service.answerer = Answerer(document, service.run_root)
    document["annotations"] = {"org.opencontainers.image.stopSignal": config.get("StopSignal") or "SIGTERM"}
    made = [stub.path + "/" if stub.directory else stub.path for stub in stubs]
    return jsontext.dumps(document), [*container.stubs, *(path for path in made if path not in container.stubs)]


def _mode(options: Iterable[str]) -> int:
    """Permissions of a memory file system."""
    given = [option[5:] for option in options if option.startswith("mode=")]
    return int(given[-1], 8) if given else 0o1777


def _files(
    service: Containers, container: Container, addresses: Addresses, linked: list[tuple[str, str]]
) -> list[tuple[dict[str, Any], bool]]:
    """``hosts``, ``hostname`` and ``resolv.conf``, unless the user mounts there."""
    directory = service.directory(container.id)
    config, host = container.config, container.host
    readonly = bool(host.get("ReadonlyRootfs"))
    taken = {mount["Destination"] for mount in container.mounts}
    mode = host.get("NetworkMode") or ""
    if mode.startswith("container:"):
        # One network has one set of names: the very files of the other container.
        theirs = service.directory(service.find(mode.removeprefix("container:")).id)
        return [
            (spec.bind(f"/etc/{name}", f"{theirs}/{name}", readonly=readonly), False)
            for name in ("resolv.conf", "hostname", "hosts")
            if f"/etc/{name}" not in taken and os.path.exists(f"{theirs}/{name}")
        ]
    on_host = host.get("NetworkMode") == "host"
    name = container.hostname
    full = f"{name}.{config['Domainname']}" if config.get("Domainname") else name
    if "." in full:
        full += f" {name.partition('.')[0]}"
    own = [(address, names or full) for address, names in addresses.own]
    if on_host:
        hosts = netfiles.read_host("/etc/hosts") + "".join(
            f"{address}\t{entry}\n" for entry, address in map(netfiles.split_host, host.get("ExtraHosts") or ())
        )
    else:
        hosts = netfiles.hosts(host.get("ExtraHosts") or (), [*linked, *own], addresses.gateway)
    texts = {
        "resolv.conf": netfiles.resolv_conf(
            netfiles.read_host("/etc/resolv.conf"),
            servers=addresses.servers or host.get("Dns") or (),
            search=host.get("DnsSearch") or (),
            options=host.get("DnsOptions") or (),
            own_network=not on_host,
            relay=addresses.relay,
            names=bool(addresses.servers),
        ),
        "hostname": name + "\n",
        "hosts": hosts,
    }
    out: list[tuple[dict[str, Any], bool]] = []
    for file_name, text in texts.items():
        target = f"/etc/{file_name}"
        if target in taken:
            continue
        path = os.path.join(directory, file_name)
        # The file may be mounted in a running container already: written in place, not replaced.
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(path, 0o644)
        out.append((spec.bind(target, path, readonly=readonly), False))
    return out


def _own_mounts(service: Containers, container: Container, root: inside.Root) -> list[tuple[dict[str, Any], bool]]:
    out: list[tuple[dict[str, Any], bool]] = []
    for mount in container.mounts:
        target, kind = mount["Destination"], mount["Type"]
        if kind == "tmpfs":
            out.append((spec.tmpfs(target, (mount.get("Options") or "").split(",")), True))
            continue
        source = mount["Source"]
        if kind == "volume":
            source = _volume_source(service, container, mount, root)
        elif kind == "image":
            from scow.containers.extras import image_mount

            source = image_mount(service, container, mount)
        if not os.path.exists(source):
            raise InvalidArgumentError(
                f'invalid mount config for type "{kind}": bind source path does not exist: {source}'
            )
        propagation = mount.get("Propagation") or "rprivate"
        bound = spec.bind(target, source, readonly=not mount["RW"], propagation=propagation)
        if mount.get("NonRecursive"):
            bound["options"][0] = "bind"
        out.append((bound, os.path.isdir(source)))
    mode = container.host.get("IpcMode") or ""
    if mode.startswith("container:"):
        from scow.containers.extras import shared_memory

        place = shared_memory(service, container, service.find(mode.removeprefix("container:")))
        out.append((spec.bind("/dev/shm", place), True))
    return out


def _volume_source(service: Containers, container: Container, mount: Mapping[str, Any], root: inside.Root) -> str:
    """The directory behind a volume; filled from the image when nothing used it before."""
    volume = service.volumes.get(mount["Name"])
    os.makedirs(volume.path, mode=0o755, exist_ok=True)
    if not volume.filled and not volume.options:
        if not mount.get("NoCopy") and not os.listdir(volume.path):
            from scow.containers.fill import fill

            fill(root, mount["Destination"], volume.path)
        service.volumes.mark_filled(volume.name)
    path = volume.path
    if volume.options:
        from scow.containers.volumes_mounted import mount_volume

        path = mount_volume(volume, os.path.join(service.directory(container.id), "volumes", volume.name))
    if mount.get("Subpath"):
        with inside.Root(path) as top:
            return path + top.resolve(mount["Subpath"])
    return path


def _place(
    service: Containers,
    container: Container,
    rootfs: str,
    identity: users.Identity,
    mounts: tuple[dict[str, Any], ...],
    joined: str,
) -> spec.Place:
    host = container.host
    privileged = bool(host.get("Privileged"))
    names = capabilities.resolve(
        tuple(host.get("CapAdd") or ()),
        tuple(host.get("CapDrop") or ()),
        privileged=privileged,
        last=capabilities.last_known(),
    )
    devices: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    if privileged or host.get("Devices"):
        from scow.containers.devices import find_devices

        devices, rules = find_devices(host.get("Devices") or (), everything=privileged)
    init = ""
    args = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
    if host.get("Init"):
        init = _init_program()
        args = [_INIT_TARGET, "--", *args]
    network = host.get("NetworkMode") or "default"
    if network.startswith("container:"):
        network = _namespace(service, network, "net")
    elif network != "host":
        network = joined or "none"
    ids, borrowed = mapped_groups(), frozenset[str]()
    if ids:
        from scow.runtime.confined import borrowed_here

        borrowed = borrowed_here()
    return spec.Place(
        rootfs=rootfs,
        hostname="" if host.get("UTSMode") == "host" else container.hostname,
        identity=identity,
        args=tuple(args),
        mounts=mounts,
        network=network,
        cgroup=service.choose_cgroup(container),
        pid=_namespace(service, host.get("PidMode") or "", "pid"),
        ipc=_namespace(service, host.get("IpcMode") or "", "ipc"),
        uts="host" if host.get("UTSMode") == "host" else "",
        unified=is_unified() and host.get("CgroupnsMode") != "host",
        capabilities=names,
        seccomp=None if privileged else _seccomp(host.get("SecurityOpt") or (), names),
        devices=tuple(devices),
        device_rules=tuple(rules),
        init_mount=init,
        nofile=process.most_files(),
        ids=ids,
        borrowed=borrowed,
    )


def _namespace(service: Containers, mode: str, kind: str) -> str:
    """``host``, the path of another container's namespace, or ``""``."""
    if mode == "host":
        return "host"
    if mode.startswith("container:"):
        other = service.find(mode.removeprefix("container:"))
        if not other.is_alive:
            raise InvalidArgumentError(
                f"cannot join {'network' if kind == 'net' else kind} of a non running container: {other.id}"
            )
        return f"/proc/{other.pid}/ns/{kind}"
    return ""


def _seccomp(options: Iterable[str], names: tuple[str, ...]) -> dict[str, Any] | None:
    machine = os.uname().machine
    for option in options:
        name, mark, value = option.partition("=") if "=" in option else option.partition(":")
        if name == "seccomp" and mark:
            if value == "unconfined":
                return None
            if value != "builtin":
                return seccomp.custom_profile(value, names, machine)
    return seccomp.default_profile(names, machine)


def _init_program() -> str:
    for name in _INITS:
        path = process.find_program(name, ("/usr/libexec/docker", "/usr/lib/podman", "/usr/libexec/podman"))
        if path:
            return path
    raise UnsupportedError("no init program found for --init", hint="Install one: apt install tini")
