# SPDX-License-Identifier: Apache-2.0
"""Mounting, with the new interface and with mount(2)."""

from __future__ import annotations

import errno
import os

import pytest

from scow.errors import ConflictError, DeniedError, NotFoundError, UnsupportedError
from scow.linux import kernel
from scow.linux import mount as mounting
from scow.linux.mount import (
    Mount,
    MountError,
    bind,
    mount_all,
    mount_error,
    set_propagation,
    umount,
)
from scow.linux.mountinfo import mount_points
from scow.linux.namespaces import run_private

root = pytest.mark.root


@pytest.mark.parametrize(
    ("number", "explanation", "kind", "words"),
    [
        (errno.EPERM, "", DeniedError, "Operation not permitted"),
        (errno.ENODEV, "", UnsupportedError, "no thing file system"),
        (errno.ENOENT, "", NotFoundError, "No such file"),
        (errno.EBUSY, "", ConflictError, "in use"),
        (errno.EINVAL, "thing: bad option", MountError, "thing: bad option"),
    ],
)
def test_errors_are_sentences(number, explanation, kind, words) -> None:
    error = mount_error(OSError(number, "x"), Mount("thing", "/src", "/dst"), explanation)
    assert type(error) is kind
    assert str(error).startswith("cannot mount thing '/src' on '/dst': ")
    assert words in str(error)


def layers(top, count: int = 3) -> tuple[Mount, ...]:
    options = []
    for number in range(count):
        path = top / f"a rather long name for a layer, with a comma {number}"
        path.mkdir()
        (path / f"f{number}").touch()
        options.append(f"lowerdir+={path}")
    for name in ("upper", "work"):
        (top / name).mkdir()
    options += [f"upperdir={top}/upper", f"workdir={top}/work", "index=off"]
    return (Mount("overlay", "scow", "", tuple(options)),)


@pytest.fixture
def at(tmp_path) -> str:
    (tmp_path / "at").mkdir()
    return str(tmp_path / "at")


@root
@pytest.mark.parametrize("classic", [False, True], ids=["fsopen", "mount2"])
@pytest.mark.parametrize("count", [2, 60])
def test_overlays(tmp_path, at, monkeypatch, classic, count) -> None:
    if classic:
        monkeypatch.setattr(mounting, "_detached", lambda *_: None)
    stack = layers(tmp_path, count)

    def work() -> list[str]:
        mount_all(stack, at)
        assert mount_points(str(tmp_path)) == [at]
        open(f"{at}/new", "w").close()
        found = os.listdir(at)
        umount(at)
        return found

    assert sorted(run_private(work)) == sorted([*(f"f{number}" for number in range(count)), "new"])
    assert os.listdir(tmp_path / "upper") == ["new"]
    assert mount_points(str(tmp_path)) == []


@pytest.fixture
def old_kernel(monkeypatch) -> None:
    """Overlayfs as before 6.5: it takes any word up to a page of them, no descriptor, and then fails mutely."""
    real = kernel.call
    explain = mounting._explanation
    stacks: dict[object, int] = {}
    full = "VFS: Legacy: Cumulative options too large"

    def call(number: int, *arguments: object) -> int:
        if number == kernel.FSCONFIG:
            context, command, key, value, _ = arguments
            if key == b"lowerdir+" and command == mounting._SET_FD:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            if key == b"lowerdir+" or context in stacks:
                stacks[context] = stacks.get(context, 0) + len(key or b"") + len(value or b"") + 2
                if command == mounting._CREATE or stacks[context] > 4096:
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                return 0
        return real(number, *arguments)

    monkeypatch.setattr(kernel, "call", call)
    monkeypatch.setattr(mounting, "_explanation", lambda at: full if stacks.get(at, 0) > 4096 else explain(at))


@root
@pytest.mark.usefixtures("old_kernel")
@pytest.mark.parametrize("count", [3, 0, 60], ids=["few", "a page of layers and no room for the rest", "many"])
@pytest.mark.parametrize("mounted", [False, True], ids=["directories", "mounts"])
def test_layers_on_an_old_kernel(tmp_path, at, mounted, count) -> None:
    if not count:
        count = 4096 // len(f"lowerdir+={tmp_path}/a rather long name for a layer, with a comma 10,")
    stack = layers(tmp_path, count)
    if mounted:
        (tmp_path / "layer").mkdir()
        tmpfs = Mount("tmpfs", "t", str(tmp_path / "layer"), ("ro", "size=1m"))
        stack = (tmpfs, stack[0]._replace(options=(f"lowerdir+={tmp_path}/layer", *stack[0].options)))

    def work() -> tuple[list[str], list[str]]:
        mount_all(stack, at)
        return mount_points(str(tmp_path)), sorted(os.listdir(at))

    assert run_private(work) == ([at], sorted(f"f{number}" for number in range(count)))


@root
def test_old_kernels_have_a_limit_that_is_told(tmp_path, at, monkeypatch) -> None:
    monkeypatch.setattr(mounting, "_detached", lambda *_: None)
    with pytest.raises(UnsupportedError, match="300 layers are too many"):
        run_private(lambda: mount_all(layers(tmp_path, 300), at))


@root
@pytest.mark.parametrize("by_path", [False, True], ids=["by descriptor", "by path"])
def test_layers_that_are_mounts_leave_no_mount(tmp_path, at, monkeypatch, by_path) -> None:
    (tmp_path / "layer").mkdir()
    (lower,) = layers(tmp_path)
    tmpfs = Mount("tmpfs", "t", str(tmp_path / "layer"), ("ro", "size=1m"))
    stack = (tmpfs, lower._replace(options=(f"lowerdir+={tmp_path}/layer", *lower.options)))
    if by_path:
        real = mounting._set_option

        def refuses(context: int, option: str, held: dict[str, int]) -> None:
            if option.partition("=")[2] in held:
                raise mounting._NeedsPathsError
            real(context, option, held)

        monkeypatch.setattr(mounting, "_set_option", refuses)

    def work() -> tuple[list[str], int]:
        before = len(os.listdir("/proc/self/fd"))
        mount_all(stack, at)
        assert len(os.listdir("/proc/self/fd")) == before
        return mount_points(str(tmp_path)), len(os.listdir(at))

    assert run_private(work) == ([at], 3)


@root
def test_a_failure_leaves_nothing_mounted(tmp_path, at) -> None:
    stack = (Mount("tmpfs", "t", ""), Mount("bind", str(tmp_path), ""), Mount("overlay", "s", "", ("nonsense=1",)))

    def work() -> list[str]:
        with pytest.raises(MountError, match=r"nonsense|Invalid argument"):  # kernels before 6.5 say no more
            mount_all(stack, at)
        return mount_points(str(tmp_path))

    assert run_private(work) == []


@root
def test_clear_words_for_usual_mistakes(tmp_path, at) -> None:
    def work() -> None:
        with pytest.raises(UnsupportedError, match="no nonsensefs file system"):
            mount_all([Mount("nonsensefs", "x")], at)
        with pytest.raises(NotFoundError):
            mount_all([Mount("erofs", str(tmp_path / "missing"))], at)
        with pytest.raises(NotFoundError, match="on '/nowhere'"):
            mount_all([Mount("tmpfs", "x")], "/nowhere")
        with pytest.raises(NotFoundError, match="nothing is mounted"):
            umount(at)
        with pytest.raises(UnsupportedError, match="'size=1' is not an option"):
            bind(at, at, options=["size=1"])

    run_private(work)


@root
def test_busy_mounts_are_refused_or_detached(tmp_path, at) -> None:
    def work() -> list[str]:
        mount_all([Mount("tmpfs", "x")], at)
        with open(f"{at}/f", "w"), pytest.raises(ConflictError, match="in use"):
            umount(at)
        with open(f"{at}/f", "w"):
            umount(at, detach=True)
        return mount_points(str(tmp_path))

    assert run_private(work) == []


@root
@pytest.mark.parametrize("old", [False, True])
def test_read_only_binds(tmp_path, at, monkeypatch, old) -> None:
    if old:

        def missing(*_args: object, **_named: object) -> None:
            raise OSError(errno.ENOSYS, "")

        monkeypatch.setattr(mounting.kernel, "mount_setattr", missing)
    (tmp_path / "source").mkdir()

    def work() -> None:
        bind(str(tmp_path / "source"), at, options=["ro", "nosuid", "rslave"])
        with pytest.raises(OSError, match="Read-only"):
            open(f"{at}/x", "w").close()
        open(tmp_path / "source" / "y", "w").close()
        assert os.listdir(at) == ["y"]
        set_propagation(at, "private")
        umount(at)

    run_private(work)


@root
def test_erofs_over_loop_devices(tmp_path, at, monkeypatch) -> None:
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this kernel has no loop devices")
    from conformance.snapshotter import Entry, layer
    from scow.layer.erofs import Source, write_index
    from scow.layer.toc import scan

    tar = layer(Entry("file", b"through a loop" * 100))
    (tmp_path / "tar").write_bytes(tar)
    with open(tmp_path / "tar", "rb") as stream, open(tmp_path / "table", "wb") as table:
        scan(stream, table)
    write_index([Source(str(tmp_path / "tar"), str(tmp_path / "table"))], str(tmp_path / "index"))
    mount = Mount("erofs", str(tmp_path / "index"), "", ("ro", f"device={tmp_path}/tar"))
    real = mounting._detached

    def needs_devices(wanted: Mount, held: dict[str, int]) -> int | None:
        if not wanted.source.startswith("/dev/"):
            return mounting._through_loops(wanted, lambda looped: real(looped, held))
        return real(wanted, held)

    monkeypatch.setattr(mounting, "_detached", needs_devices)

    def work() -> bytes:
        mount_all([mount], at)
        with open(f"{at}/file", "rb") as file:
            return file.read()

    assert run_private(work) == b"through a loop" * 100
