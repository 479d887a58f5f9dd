# SPDX-License-Identifier: Apache-2.0
"""What ``RUN --mount`` asks for: files of contexts and stages, caches, memory, secrets, agents."""

from __future__ import annotations

import hashlib
import json
import os

from scow.build.context import ContextTree
from scow.build.secrets import forward_agent, secret_name, secret_value
from scow.build.sources import clean, parent_of
from scow.errors import NotFoundError
from scow.layer.whiteout import make_whiteout
from scow.linux import owners
from scow.linux.mount import Mount
from scow.record import replace
from scow.runtime.step import StepMount
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from scow.build.ops.values import RunMount
    from scow.build.sources import SourceTree
    from scow.build.workshop import Workshop
    from scow.dockerfile.mounts import Mount as Wanted


class Mounting:
    """Collects what one step mounts; what it makes goes when the stack is left.

    Args:
        shop: What to work with.
        stack: Left when the step has ended.
        reads: Snapshots of the trees that mounts show.
    """

    def __init__(self, shop: Workshop, stack: ExitStack, reads: Sequence[str | None]) -> None:
        self._shop = shop
        self._stack = stack
        self._reads = reads
        self._agents = 0
        self.mounts: list[StepMount] = []
        self.env: list[str] = []

    def add(self, wanted: RunMount, index: int) -> None:
        """Prepare one mount.

        Raises:
            NotFoundError: A secret, agent or source is missing.
        """
        mount = wanted.mount
        if mount.type == "tmpfs":
            size = (f"size={mount.size}",) if mount.size else ()
            options = ("dev", "mode=1777", *size, *(("ro",) if mount.readonly else ()))
            self.mounts.append(StepMount(wanted.target, "tmpfs", "", options))
        elif mount.type == "secret":
            self._secret(mount)
        elif mount.type == "ssh":
            self._agent(mount)
        elif mount.type == "cache":
            self._cache(wanted)
        else:
            self._bind(wanted, index)

    def add_files(self, files: Sequence[tuple[str, str]]) -> None:
        """Show here-documents as files."""
        if not files:
            return
        place = self._directory(self._shop.scratch)
        for path, text in files:
            name = os.path.join(place, path.rpartition("/")[2])
            _write(name, text.encode("utf-8", "surrogateescape"), 0o755, 0, 0)
        self.mounts.append(StepMount(files[0][0].rpartition("/")[0], "bind", place, ("ro",)))

    def _directory(self, above: str, mode: int = 0o755) -> str:
        from scow.base.files import remove_tree

        os.makedirs(above, mode=0o700, exist_ok=True)
        path = os.path.join(above, f"mount-{os.urandom(8).hex()}")
        os.mkdir(path, mode)
        self._stack.callback(remove_tree, path)
        return path

    # ------------------------------------------------------------------ binds

    def _bind(self, wanted: RunMount, index: int) -> None:
        mount = wanted.mount
        options = ("ro",) if mount.readonly else ()
        if wanted.read >= 0:
            name = self._reads[wanted.read]
            if name is not None:
                tree = self._snapshot(name, readonly=mount.readonly)
                self.mounts.append(StepMount(wanted.target, "bind", mount.source or "/", options, tree))
                return
        tree_of = wanted.origin.tree() if wanted.origin is not None else None
        if isinstance(tree_of, ContextTree):
            path = tree_of.host_path(b"")
            if path is None or not mount.readonly:
                layers = self._hide(tree_of, index)
                self.mounts.append(StepMount(wanted.target, "bind", mount.source or "/", options, layers))
            else:
                bind = (Mount("bind", path, "", ("bind",)),)
                self.mounts.append(StepMount(wanted.target, "bind", mount.source or "/", options, bind))
            return
        place = self._directory(self._shop.scratch)
        if tree_of is not None:
            _materialise(tree_of, place)
        bind = (Mount("bind", place, "", ("bind",)),)
        self.mounts.append(StepMount(wanted.target, "bind", mount.source or "/", options, bind))

    def _snapshot(self, name: str, *, readonly: bool) -> tuple[Mount, ...]:
        snapshots = self._shop.snapshots
        key = f"build-mount-{os.urandom(8).hex()}"
        self._stack.callback(snapshots.remove, key, force=True)
        if readonly:
            return snapshots.view(key, name, lease=self._shop.lease)
        return snapshots.prepare(key, name, volatile=True, lease=self._shop.lease)

    def _hide(self, tree: ContextTree, index: int) -> tuple[Mount, ...]:
        """An overlay over the context that has no ignored files, and whose changes nobody keeps."""
        place = self._directory(self._shop.scratch)
        upper, work = os.path.join(place, f"upper{index}"), os.path.join(place, f"work{index}")
        os.mkdir(upper, 0o755)
        os.mkdir(work, 0o700)
        for path in _ignored(tree):
            above = os.fsencode(upper)
            for part in parent_of(path).split(b"/") if parent_of(path) else ():
                above += b"/" + part
                if not os.path.isdir(above):
                    os.mkdir(above, 0o755)
            make_whiteout(os.fsencode(upper) + b"/" + path)
        options = (f"lowerdir+={os.fsdecode(tree.root)}", f"upperdir={upper}", f"workdir={work}", "volatile")
        return (Mount("overlay", "scow", "", options),)

    # ------------------------------------------------------------------ caches

    def _cache(self, wanted: RunMount) -> None:
        mount = wanted.mount
        seed = self._reads[wanted.read] if wanted.read >= 0 else None
        source = clean(os.fsencode(mount.source))
        # Without a beginning, source is a directory of the cache itself, which other steps may see whole.
        inner = source if seed is None else b""
        begins: list[object] = [seed, os.fsdecode(source), mount.uid, mount.gid, mount.mode]
        identity = json.dumps([mount.id, *([None, "", None, None, None] if inner else begins)])
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        from scow.base.files import atomic_write
        from scow.base.locks import FileLock

        top = os.path.join(self._shop.root, "cache-mounts")
        os.makedirs(top, mode=0o711, exist_ok=True)
        path = self._lock_cache(top, name, mount)
        place = os.path.join(path, "data")
        if not os.path.isdir(place):
            # One at a time: what comes later must not take the place of what an earlier step has mounted already.
            with FileLock(os.path.join(path, "making")).exclusive():
                if not os.path.isdir(place):
                    name_file = os.path.join(path, "id")
                    atomic_write(name_file, mount.id.encode("utf-8", "surrogateescape"), 0o600, fsync=False)
                    self._seed(place, replace(mount, uid=None, gid=None, mode=None) if inner else mount, seed, source)
        os.utime(path)
        options = ("ro",) if mount.readonly else ()
        if inner:
            whole = (Mount("bind", place, "", ("bind",)),)
            self.mounts.append(StepMount(wanted.target, "bind", "/" + os.fsdecode(inner), options, whole))
        else:
            self.mounts.append(StepMount(wanted.target, "bind", place, options))

    def _lock_cache(self, top: str, name: str, mount: Wanted) -> str:
        """A directory that may be used now: alone when the mount says so."""
        from scow.base.locks import FileLock, HeldError

        number = 0
        while True:
            path = os.path.join(top, name if not number else f"{name}-{number}")
            os.makedirs(path, mode=0o700, exist_ok=True)
            lock = FileLock(os.path.join(path, "lock"))
            if mount.sharing == "locked":
                self._stack.enter_context(lock.exclusive())
                return path
            if mount.sharing != "private":
                self._stack.enter_context(lock.shared())
                return path
            try:
                self._stack.enter_context(lock.exclusive(timeout=0))
            except HeldError:
                number += 1
                continue
            return path

    def _seed(self, place: str, mount: Wanted, seed: str | None, source: bytes) -> None:
        """Make a new cache, with the files it begins with."""
        from scow.base.files import remove_tree

        temporary = f"{place}.new"
        if os.path.lexists(temporary):  # of a build that was killed
            remove_tree(temporary)
        os.mkdir(temporary, 0o755)
        os.chmod(temporary, mount.mode if mount.mode is not None else 0o755)
        owners.here().own_entry(temporary, mount.uid or 0, mount.gid or 0)
        if seed is not None:
            from scow.build.seeding import copy_tree

            self._shop.with_trees([seed], lambda places: copy_tree(places[0], source, temporary, self._shop.scratch))
        os.rename(temporary, place)

    # ------------------------------------------------------------------ secrets and agents

    def _secret(self, mount: Wanted) -> None:
        identity = secret_name(mount)
        value = secret_value(self._shop.options, identity)
        if value is None:
            if mount.required:
                raise NotFoundError(
                    f"secret {identity}: not found", hint=f"give the build --secret id={identity},src=FILE"
                )
            if mount.env is not None:
                self.env.append(f"{mount.env or identity}=")
            return
        if mount.env is not None:
            text = value.decode("utf-8", "surrogateescape")
            self.env.append(f"{mount.env or identity}={text}")
            if not mount.target:
                return
        target = mount.target or f"/run/secrets/{identity.rpartition('/')[2]}"
        place = self._directory(self._shop.memory, 0o700)
        os.chmod(place, 0o711)  # noqa: S103 - the step's user must get to the file, which has its own mode
        path = os.path.join(place, "secret")
        mode = mount.mode if mount.mode is not None else 0o400
        _write(path, value, mode, mount.uid or 0, mount.gid or 0)
        self.mounts.append(StepMount(target, "bind", path, ("ro",)))

    def _agent(self, mount: Wanted) -> None:
        identity = mount.id or "default"
        sources = self._shop.options.ssh.get(identity)
        target = mount.target or f"/run/buildkit/ssh_agent.{self._agents}"
        self._agents += 1
        self.env.append(f"SSH_AUTH_SOCK={target}")
        if sources is None:
            if mount.required:
                raise NotFoundError(f"unset ssh forward key {identity}", hint=f"give the build --ssh {identity}")
            return
        place = self._directory(self._shop.memory, 0o711)
        path = os.path.join(place, "agent")
        self._stack.enter_context(forward_agent(path, sources, self._shop.options.environ))
        owners.here().own_entry(path, mount.uid or 0, mount.gid or 0)
        os.chmod(path, mount.mode if mount.mode is not None else 0o600)
        self.mounts.append(StepMount(target, "bind", path))


def _write(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        owners.here().own(fd, uid, gid)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _ignored(tree: ContextTree) -> list[bytes]:
    """The topmost paths of a context that its ignore file leaves out."""
    out: list[bytes] = []
    stack = [b""]
    while stack:
        here = stack.pop()
        kept = set(tree.names(here))
        base = tree.root + b"/" + here if here else tree.root
        for name in sorted(os.listdir(base)):
            path = here + b"/" + name if here else name
            if name not in kept:
                out.append(path)
            elif os.path.isdir(tree.root + b"/" + path) and not os.path.islink(tree.root + b"/" + path):
                stack.append(path)
    return out


def _materialise(tree: SourceTree, place: str) -> None:
    """Write the files at the top of a small tree into a directory."""
    for name in tree.names(b""):
        fd = tree.open(name)
        try:
            with os.fdopen(os.dup(fd), "rb") as file:
                _write(os.path.join(place, os.fsdecode(name)), file.read(), 0o644, 0, 0)
        finally:
            os.close(fd)
