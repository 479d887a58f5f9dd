# SPDX-License-Identifier: Apache-2.0
"""From ``-v``, ``--mount``, ``--tmpfs`` and ``VOLUME`` to the mounts of one container.

Source: docker's rules: a later, more explicit wish wins at its destination: ``--volumes-from`` < ``VOLUME`` <
``-v`` < ``--mount``.
"""

from __future__ import annotations

import os
import posixpath

from scow.base.files import make_dir
from scow.errors import InvalidArgumentError, NotFoundError
from scow.runtime.spec import PROPAGATIONS
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.volumes import Volumes

_TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
_TMPFS_FLAGS = frozenset(
    {
        "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "atime", "noatime", "diratime",
        "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "remount", "mand", "nomand", "bind",
        "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "defaults",
    }
)  # fmt: skip
_WRITABLE = frozenset({"ro", "rw"})
_MODES = frozenset({"rw", "ro", "z", "Z", "nocopy", "consistent", "cached", "delegated", "volume-nocopy"})


def resolve(
    config: Mapping[str, Any],
    host: Mapping[str, Any],
    volumes: Volumes,
    others: list[tuple[list[dict[str, Any]], bool]] | None = None,
) -> list[dict[str, Any]]:
    """Work out the mounts of a new container, making the volumes it needs.

    Args:
        config: Docker's ``Config``.
        host: Docker's ``HostConfig``.
        volumes: Where volumes are made.
        others: From ``--volumes-from``: mounts of another container, and whether to make them read-only.

    Returns:
        Docker's ``Mounts``, sorted by destination depth.

    Raises:
        InvalidArgumentError: A specification is malformed, a source is missing or a destination named twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for mounts, readonly in others or ():
        for mount in mounts:
            found[mount["Destination"]] = {**mount, "RW": mount["RW"] and not readonly}
    explicit: set[str] = set()
    chosen: dict[str, dict[str, Any]] = {}
    for text in host.get("Binds") or ():
        _add(chosen, explicit, _from_bind(text, volumes))
    for wish in host.get("Mounts") or ():
        _add(chosen, explicit, _from_mount(wish, volumes))
    for path, options in (host.get("Tmpfs") or {}).items():
        _add(chosen, explicit, _tmpfs_wish(path, options))
    for path in config.get("Volumes") or ():
        target = _destination(
            path if path.startswith("/") else f"/{path}", f"invalid volume specification: '{path}': ", "volume"
        )
        if target not in chosen and target not in found:
            volume = volumes.create(anonymous=True)
            found[target] = _volume(volume.name, volume.path, target, "", writable=True)
    found.update(chosen)
    return [found[target] for target in sorted(found, key=lambda path: (path.count("/"), path))]


def _add(chosen: dict[str, dict[str, Any]], explicit: set[str], mount: dict[str, Any]) -> None:
    target = mount["Destination"]
    if target in explicit:
        raise InvalidArgumentError(f"Duplicate mount point: {target}")
    explicit.add(target)
    chosen[target] = mount


def _from_bind(text: str, volumes: Volumes) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) not in {2, 3} or not parts[0] or not parts[1]:
        raise InvalidArgumentError(f"invalid volume specification: '{text}'")
    source, target = parts[0], parts[1]
    mode = parts[2] if len(parts) == 3 else ""
    words = [word for word in mode.split(",") if word]
    if any(word not in _MODES and word not in PROPAGATIONS for word in words) or any(
        len(group.intersection(words)) > 1 for group in (PROPAGATIONS, _WRITABLE)
    ):
        raise InvalidArgumentError(f"invalid mode: {mode}")
    fault = f"invalid volume specification: '{text}': "
    destination = _destination(target, fault, "bind" if source.startswith("/") else "volume")
    writable = "ro" not in words
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    if source.startswith("/"):
        if "nocopy" in words:
            raise InvalidArgumentError(
                f'{fault}invalid mount config for type "bind": field VolumeOptions must not be specified'
            )
        clean = posixpath.normpath(source)
        if not os.path.lexists(clean):
            make_dir(clean, 0o755)
        return _bind(clean, destination, mode, propagation or "rprivate", writable=writable)
    if propagation:
        raise InvalidArgumentError(
            f'{fault}invalid mount config for type "volume": field BindOptions must not be specified'
        )
    volume = volumes.create(source)
    mount = _volume(volume.name, volume.path, destination, mode or "z", writable=writable)
    if "nocopy" in words:
        mount["NoCopy"] = True
    return mount


def _from_mount(wish: Mapping[str, Any], volumes: Volumes) -> dict[str, Any]:
    kind = wish.get("Type", "volume")
    target = wish.get("Target") or ""
    fault = f'invalid mount config for type "{kind}": '
    if kind not in {"bind", "volume", "tmpfs", "image"}:
        raise InvalidArgumentError(f"{fault}mount type unknown")
    if not target:
        raise InvalidArgumentError(f"{fault}field Target must not be empty")
    destination = _destination(target, "", kind)
    writable = not wish.get("ReadOnly")
    source = wish.get("Source") or ""
    if kind == "bind":
        return _bind_wish(source, destination, wish.get("BindOptions") or {}, fault, writable=writable)
    if kind == "volume":
        return _volume_wish(source, destination, wish.get("VolumeOptions") or {}, volumes, writable=writable)
    if kind == "tmpfs":
        if source:
            raise InvalidArgumentError(f"{fault}field Source must not be specified")
        options = wish.get("TmpfsOptions") or {}
        words = [f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []
        if options.get("Mode"):
            words.append(f"mode={options['Mode']:o}")
        if not writable:
            words.append("ro")
        return _tmpfs(destination, ",".join(words))
    if not source:
        raise InvalidArgumentError(f"{fault}field Source must not be empty")
    subpath = (wish.get("ImageOptions") or {}).get("Subpath") or ""
    return {
        "Type": "image",
        "Source": source,
        "Destination": destination,
        "Mode": "",
        "RW": False,
        "Propagation": "rprivate",
        "Subpath": subpath,
    }


def _bind_wish(
    source: str, destination: str, options: Mapping[str, Any], fault: str, *, writable: bool
) -> dict[str, Any]:
    if not source:
        raise InvalidArgumentError(f"{fault}field Source must not be empty")
    if not source.startswith("/"):
        raise InvalidArgumentError(f"{fault}invalid mount path: '{source}' mount path must be absolute")
    propagation = options.get("Propagation") or "rprivate"
    if propagation not in PROPAGATIONS:
        raise InvalidArgumentError(f"{fault}invalid propagation mode: {propagation}")
    if not os.path.lexists(source):
        if not options.get("CreateMountpoint"):
            raise InvalidArgumentError(f"{fault}bind source path does not exist: {source}")
        make_dir(source, 0o755)
    mount = _bind(source, destination, "", propagation, writable=writable)
    if options.get("NonRecursive"):
        mount["NonRecursive"] = True
    return mount


def _volume_wish(
    source: str, destination: str, options: Mapping[str, Any], volumes: Volumes, *, writable: bool
) -> dict[str, Any]:
    driver = options.get("DriverConfig") or {}
    name = driver.get("Name") or "local"
    if name != "local":
        raise NotFoundError(f'error looking up volume plugin {name}: plugin "{name}" not found')
    volume = volumes.create(source, labels=options.get("Labels"), options=driver.get("Options"), anonymous=not source)
    mount = _volume(volume.name, volume.path, destination, "z", writable=writable)
    if options.get("NoCopy"):
        mount["NoCopy"] = True
    if options.get("Subpath"):
        mount["Subpath"] = options["Subpath"]
    return mount


def _destination(path: str, fault: str, kind: str) -> str:
    kind_fault = f'invalid mount config for type "{kind}": '
    if not path.startswith("/"):
        raise InvalidArgumentError(f"{fault}{kind_fault}invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise InvalidArgumentError(f"{fault}{kind_fault}invalid specification: destination can't be '/'")
    return clean


def _check_propagation(source: str, propagation: str) -> None:
    """A mount can only be shared with, or follow, one that is shared itself.

    Raises:
        InvalidArgumentError: It is not.
    """
    if propagation in {"private", "rprivate"}:
        return
    from scow.linux.mountinfo import place_of

    place, shared, follows = place_of(source)
    if propagation in {"shared", "rshared"} and not shared:
        raise InvalidArgumentError(f"path {source} is mounted on {place} but it is not a shared mount")
    if not shared and not follows:
        raise InvalidArgumentError(f"path {source} is mounted on {place} but it is not a shared or slave mount")


def _bind(source: str, target: str, mode: str, propagation: str, *, writable: bool) -> dict[str, Any]:
    _check_propagation(source, propagation)
    return {
        "Type": "bind",
        "Source": source,
        "Destination": target,
        "Mode": mode,
        "RW": writable,
        "Propagation": propagation,
    }


def _volume(name: str, path: str, target: str, mode: str, *, writable: bool) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Name": name,
        "Source": path,
        "Destination": target,
        "Driver": "local",
        "Mode": mode,
        "RW": writable,
        "Propagation": "",
    }


def _tmpfs_wish(path: str, options: str) -> dict[str, Any]:
    """Read one ``--tmpfs path:options``."""
    if not path.startswith("/"):
        raise InvalidArgumentError(f"invalid mount path: '{path}' mount path must be absolute")
    for option in options.split(","):
        name, equals, value = option.partition("=")
        if name not in (_TMPFS_VALUES if equals else _TMPFS_FLAGS) and option:
            shown = f'"{name}" "{value}"' if equals else f'"{name}"'
            raise InvalidArgumentError(f"invalid tmpfs option [{shown}]")
    return _tmpfs(_destination(path, "", "tmpfs"), options)


def _tmpfs(target: str, options: str) -> dict[str, Any]:
    return {
        "Type": "tmpfs",
        "Source": "",
        "Destination": target,
        "Mode": "",
        "RW": True,
        "Propagation": "",
        "Options": options,
    }
