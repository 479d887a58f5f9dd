# SPDX-License-Identifier: Apache-2.0
"""From ``-v``, ``--mount``, ``--tmpfs`` and ``VOLUME`` to the mounts of one container.

Source: docker's rules: a later, more explicit wish wins at its destination: ``--volumes-from`` < ``VOLUME`` <
``-v`` < ``--mount``.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from scow.base.files import make_dir
from scow.errors import InvalidArgumentError
from scow.runtime.spec import PROPAGATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.volumes import Volumes

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
        target = _destination(path)
        if target in explicit:
            raise InvalidArgumentError(f"Duplicate mount point: {target}")
        explicit.add(target)
        chosen[target] = _tmpfs(target, options)
    for path in config.get("Volumes") or ():
        target = _destination(path)
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
    fault = InvalidArgumentError(f"invalid volume specification: '{text}'")
    if len(parts) not in {2, 3} or not parts[0] or not parts[1]:
        raise fault
    source, target = parts[0], parts[1]
    mode = parts[2] if len(parts) == 3 else ""
    words = [word for word in mode.split(",") if word]
    if any(word not in _MODES and word not in PROPAGATIONS for word in words) or ("ro" in words and "rw" in words):
        raise InvalidArgumentError(f"invalid mode: {mode}")
    destination = _destination(target, text)
    writable = "ro" not in words
    if source.startswith("/"):
        clean = posixpath.normpath(source)
        if not os.path.lexists(clean):
            make_dir(clean, 0o755)
        propagation = next((word for word in words if word in PROPAGATIONS), "rprivate")
        return _bind(clean, destination, mode, propagation, writable=writable)
    volume = volumes.create(source)
    mount = _volume(volume.name, volume.path, destination, mode or "z", writable=writable)
    if "nocopy" in words:
        mount["NoCopy"] = True
    return mount


def _from_mount(wish: Mapping[str, Any], volumes: Volumes) -> dict[str, Any]:
    kind = wish.get("Type", "volume")
    target = wish.get("Target") or ""
    if not target:
        raise InvalidArgumentError(f'invalid mount config for type "{kind}": field Target must not be empty')
    destination = _destination(target)
    writable = not wish.get("ReadOnly")
    source = wish.get("Source") or ""
    if kind == "bind":
        if not source:
            raise InvalidArgumentError('invalid mount config for type "bind": field Source must not be empty')
        if not source.startswith("/"):
            raise InvalidArgumentError(
                f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
            )
        options = wish.get("BindOptions") or {}
        if not os.path.lexists(source):
            if not options.get("CreateMountpoint"):
                raise InvalidArgumentError(
                    f'invalid mount config for type "bind": bind source path does not exist: {source}'
                )
            make_dir(source, 0o755)
        return _bind(source, destination, "", options.get("Propagation") or "rprivate", writable=writable)
    if kind == "volume":
        options = wish.get("VolumeOptions") or {}
        volume = volumes.create(source, labels=options.get("Labels"), anonymous=not source)
        mount = _volume(volume.name, volume.path, destination, "z", writable=writable)
        if options.get("NoCopy"):
            mount["NoCopy"] = True
        if options.get("Subpath"):
            mount["Subpath"] = options["Subpath"]
        return mount
    if kind == "tmpfs":
        options = wish.get("TmpfsOptions") or {}
        words = [f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []
        if options.get("Mode"):
            words.append(f"mode={options['Mode']:o}")
        if not writable:
            words.append("ro")
        return _tmpfs(destination, ",".join(words))
    if kind == "image":
        return {"Type": "image", "Source": source, "Destination": destination, "Mode": "", "RW": False}
    raise InvalidArgumentError(f'invalid mount config for type "{kind}": mount type unknown')


def _destination(path: str, text: str = "") -> str:
    if not path.startswith("/"):
        raise InvalidArgumentError(
            f"invalid volume specification: '{text or path}': invalid mount config for type \"bind\": invalid mount"
            f" path: '{path}' mount path must be absolute"
        )
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise InvalidArgumentError(
            f"invalid volume specification: '{text or path}': invalid specification: destination can't be '/'"
        )
    return clean


def _bind(source: str, target: str, mode: str, propagation: str, *, writable: bool) -> dict[str, Any]:
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
