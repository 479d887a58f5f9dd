# SPDX-License-Identifier: Apache-2.0
"""Base images from a distribution's packages, by mmdebstrap or debootstrap.

The result is meant to be the same each time, as long as the archive is: what a run leaves behind (logs, caches,
identities, the host's name and resolver) is taken away, and times are those of the archive's release at the latest,
or of ``SOURCE_DATE_EPOCH``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from scow.base.clock import now
from scow.base.files import remove_tree, temporary_directory
from scow.base.progress import Event, silent
from scow.errors import InvalidArgumentError, NotFoundError, ScowError, UnsupportedError
from scow.linux.idmaps import in_user_namespace
from scow.linux.process import find_program
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scow.base.leases import Lease
    from scow.base.progress import Progress
    from scow.content.local import LocalContentStore
    from scow.images.aptsources import AptSource
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import DiffID
    from scow.oci.reference import Reference

_WORD = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9-]+)?")
_VARIANTS = ("minbase", "buildd", "")
_KEYRINGS = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}
_NUMBERS = {
    "debian": {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "latest": "stable"},
    "ubuntu": {"20.04": "focal", "22.04": "jammy", "24.04": "noble", "26.04": "resolute"},
}
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_NO_SERVICES = (
    "#!/bin/sh\n# There is no init in a container: services are not started when they are installed.\nexit 101\n"
)
_APT_HABITS = 'Acquire::Languages "none";\nAPT::Keep-Downloaded-Packages "false";\n'
_DPKG_HABITS = "force-unsafe-io\n"
_EMPTIED = ("dev", "run", "tmp", "var/tmp", "var/lib/apt/lists", "var/cache/apt", "var/cache/ldconfig")
_DROPPED = (
    "etc/hostname",
    "etc/resolv.conf",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/passwords.dat-old",
    "var/cache/debconf/templates.dat-old",
)


class BootstrapError(ScowError):
    """The packages could not be fetched or installed."""

    code = "bootstrap-failed"


@dataclass(frozen=True, slots=True)
class BaseRequest:
    """What base image is wanted.

    Attributes:
        distribution: ``debian`` or ``ubuntu``.
        suite: Such as ``bookworm``.
        include: Further packages.
        variant: ``minbase``, ``buildd``, or ``""`` for the bootstrap program's usual set.
        mirror: Where from; ``""`` takes the host's own.
        epoch: No time in the image is later, seconds since the epoch; ``None`` takes the archive's release.
        environ: For proxies.
    """

    distribution: str
    suite: str
    include: tuple[str, ...] = ()
    variant: str = "minbase"
    mirror: str = ""
    epoch: int | None = None
    environ: Mapping[str, str] | None = None

    @classmethod
    def parse(
        cls,
        base: str,
        include: Sequence[str] = (),
        *,
        variant: str = "minbase",
        mirror: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> BaseRequest:
        """Understand a request.

        Args:
            base: Such as ``debian:bookworm`` or ``ubuntu:22.04``.
            include: Packages; each may be a list separated by commas.
            variant: ``minbase``, ``buildd`` or ``""``.
            mirror: Where from.
            environ: For ``SOURCE_DATE_EPOCH`` and proxies.

        Raises:
            InvalidArgumentError: It cannot be understood.
        """
        environ = environ or {}
        distribution, _, suite = base.partition(":")
        if distribution not in _KEYRINGS or not _WORD.fullmatch(suite or "latest"):
            raise InvalidArgumentError(
                f"{base!r} is not a base that can be made", hint="Name it as debian:bookworm or ubuntu:jammy."
            )
        packages = tuple(name for text in include for name in text.split(",") if name)
        for name in packages:
            if not _PACKAGE.fullmatch(name):
                raise InvalidArgumentError(f"{name!r} is not the name of a package")
        if variant not in _VARIANTS:
            raise InvalidArgumentError(f"there is no variant {variant!r}", hint="It is minbase or buildd.")
        if mirror and not re.fullmatch(r"(https?|file|copy):[^\s]+", mirror):
            raise InvalidArgumentError(f"{mirror!r} is not the address of a mirror", hint="It begins with http://.")
        stamp = environ.get("SOURCE_DATE_EPOCH", "")
        if stamp and not stamp.isdigit():
            raise InvalidArgumentError(f"SOURCE_DATE_EPOCH is {stamp!r}, which is not a number of seconds")
        named = _NUMBERS[distribution].get(suite or "latest", suite)
        if not named:
            raise InvalidArgumentError(f"{base!r} needs a suite", hint="Name it as ubuntu:jammy.")
        return cls(distribution, named, packages, variant, mirror, int(stamp) if stamp else None, environ)

    @property
    def command(self) -> str:
        """How the request would be typed, for the image's history."""
        words = ["scow", "base", "create", f"{self.distribution}:{self.suite}"]
        if self.include:
            words += ["--include", ",".join(self.include)]
        if self.variant != "minbase":
            words += ["--variant", self.variant]
        return " ".join(words)


def create_base(
    images: ImageStore,
    content: LocalContentStore,
    request: BaseRequest,
    names: Sequence[Reference],
    *,
    progress: Progress = silent,
    run_root: str = "",
) -> ImageRecord:
    """Make a base image and name it. Needs root, in a user namespace at least.

    Args:
        images: Where it is entered.
        content: Where its layer goes.
        request: What is wanted.
        names: Tags for it.
        progress: Told every line the bootstrap program writes.
        run_root: Where state lives that a reboot may lose; needed in a user namespace.

    Raises:
        UnsupportedError: No bootstrap program, keys or root.
        NotFoundError: The bootstrap program does not know the suite.
        BootstrapError: Fetching or installing failed.
    """
    from scow.layer.diff import tar_tree

    if os.geteuid() != 0:
        raise UnsupportedError("making a base image needs root", hint="run it with sudo")
    leases = images.leases
    with leases.hold(request.command) as lease, temporary_directory(os.path.join(content.root, "tmp"), "base-") as top:
        os.chmod(top, 0o755)  # noqa: S103 (apt works as a user of its own)
        tree = os.path.join(top, "rootfs")
        run_bootstrap(bootstrap_command(request, tree), request, top, progress, run_root)
        epoch = tidy(tree, request.epoch)
        progress(Event("", "Packing"))
        with content.ingest() as ingest:
            applied = tar_tree(tree, ingest, epoch=epoch)
            ingest.commit(applied.diff_id, applied.size, lease=lease)
        return _enter(images, content, request, names, (applied.diff_id, applied.size, applied.usage), epoch, lease)


def _enter(
    images: ImageStore,
    content: LocalContentStore,
    request: BaseRequest,
    names: Sequence[Reference],
    layer: tuple[DiffID, int, int],
    epoch: int,
    lease: Lease,
) -> ImageRecord:
    from scow.base.clock import rfc3339
    from scow.images.mutate import new_image
    from scow.oci.digest import ChainID
    from scow.oci.model import ContainerConfig, History, ImageConfig
    from scow.oci.platform import host_platform

    diff_id, size, usage = layer
    created = rfc3339(epoch)
    config = ImageConfig(
        platform=host_platform(os.uname().machine),
        diff_ids=(diff_id,),
        created=created,
        config=ContainerConfig(
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",), cmd=("bash",)
        ),
        history=(History(created=created, created_by=request.command),),
    )
    sizes = {ChainID(diff_id): usage}
    return new_image(images, content, None, config, [(diff_id, size)], lease, names, sizes=sizes)


def bootstrap_command(
    request: BaseRequest, target: str, sources: Sequence[AptSource] | None = None, *, usr: str = "/usr"
) -> list[str]:
    """Decide what to run.

    Args:
        request: What is wanted.
        target: Directory to make.
        sources: The host's archives; ``None`` reads them.
        usr: Where programs, keys and scripts are.

    Raises:
        UnsupportedError: No bootstrap program, or no keys for the distribution.
        NotFoundError: debootstrap has no script for the suite.
    """
    from scow.images.aptsources import find_source, read_sources

    program = _program(usr)
    found = find_source(list(sources) if sources is not None else read_sources(), request.distribution, request.suite)
    mirror = request.mirror or (found.uri if found else "")
    keyring = f"{usr}/share/keyrings/{request.distribution}-archive-keyring.gpg"
    if not os.path.exists(keyring):
        keyring = found.signed_by if found and os.path.exists(found.signed_by) else ""
    if not keyring:
        raise UnsupportedError(
            f"the keys of {request.distribution}'s package archive are not installed",
            hint=f"Install them: apt install {_KEYRINGS[request.distribution]}",
        )
    words = [program, f"--keyring={keyring}"]
    if program.endswith("mmdebstrap"):
        words += ["--mode=root", "--format=directory", f"--variant={request.variant or 'important'}"]
        words.append("--skip=cleanup/apt/lists")  # they tell when the archive was released; tidy() removes them
    else:
        if not os.path.exists(f"{usr}/share/debootstrap/scripts/{request.suite}"):
            raise NotFoundError(
                f"debootstrap does not know {request.distribution}'s suite {request.suite!r}",
                hint="A newer debootstrap may; its suites are the files in /usr/share/debootstrap/scripts.",
            )
        if request.variant:
            words.append(f"--variant={request.variant}")
        if not mirror and request.distribution != "debian":
            raise InvalidArgumentError(
                f"this host has no mirror of {request.distribution}", hint="Name one with --mirror URL."
            )
    if request.include:
        words.append(f"--include={','.join(request.include)}")
    return [*words, request.suite, target, mirror] if mirror else [*words, request.suite, target]


def _program(usr: str) -> str:
    if usr != "/usr":
        candidates = [f"{usr}/bin/mmdebstrap", f"{usr}/sbin/debootstrap"]
        found = next((path for path in candidates if os.access(path, os.X_OK)), "")
    else:
        found = find_program("mmdebstrap") or find_program("debootstrap")
    if not found:
        raise UnsupportedError(
            "base images are made by mmdebstrap or debootstrap, and neither is installed",
            hint="Install one: apt install debootstrap",
        )
    return found


def run_bootstrap(
    words: Sequence[str], request: BaseRequest, scratch: str, progress: Progress, run_root: str = ""
) -> None:
    """Run the bootstrap program, its mounts seen by nobody else.

    Args:
        words: Its command line.
        request: What is wanted, for times and proxies.
        scratch: Directory for its temporary files; the tree is ``rootfs`` in it.
        progress: Told every line it writes.
        run_root: Where state lives that a reboot may lose; needed in a user namespace.

    Raises:
        BootstrapError: It failed; the message is its own.
    """
    from scow.linux.namespaces import run_private
    from scow.linux.process import spawn, wait_status

    environ = request.environ or {}
    proxies = {key: environ[key] for name in _PROXIES for key in (name, name.upper()) if key in environ}
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "TMPDIR": scratch,
        "HOME": "/root",
        **proxies,
    }
    if request.epoch is not None:
        env["SOURCE_DATE_EPOCH"] = str(request.epoch)

    tail: list[str] = []

    def line(text: str) -> None:
        text = text.strip()
        if text:
            tail.append(text)
            del tail[:-40]
            progress(Event("", text.removeprefix("I: ")))

    def work() -> int:
        read, write = os.pipe()
        try:
            pid = spawn(words, stdout=write, stderr=write, env=env)
        finally:
            os.close(write)
        with open(read, encoding="utf-8", errors="replace") as lines:
            for text in lines:
                line(text)
        return wait_status(pid)

    if run_root and in_user_namespace():
        from scow.images.bootstrapping import run_as_step

        status = run_as_step(words, env, os.path.join(scratch, "rootfs"), scratch, run_root, line)
    else:
        status = run_private(work)
    if status != 0:
        complaint = next((line for line in reversed(tail) if line.startswith("E:")), tail[-1] if tail else "no output")
        name = os.path.basename(words[0])
        raise BootstrapError(
            f"{name} failed with status {status}: {complaint.removeprefix('E:').strip()}",
            hint="Is the mirror reachable, and do all packages exist in the suite?",
        )


def tidy(tree: str, epoch: int | None) -> int:
    """Take away what this run left in a tree, and give it the habits of a container.

    Args:
        tree: The root file system.
        epoch: Seconds since the epoch, or ``None`` to take the archive's release.

    Returns:
        The time nothing in the image may be later than.
    """
    if epoch is None:
        epoch = release_time(os.path.join(tree, "var/lib/apt/lists")) or int(now())
    for name in _EMPTIED:
        _empty(os.path.join(tree, name))
    for name in _DROPPED:
        remove_tree(os.path.join(tree, name))
    for directory, _, files in os.walk(os.path.join(tree, "var/log")):
        for name in files:
            os.unlink(os.path.join(directory, name))
    for name in ("proc", "sys"):  # only who may mount there has changed them
        if os.path.isdir(os.path.join(tree, name)):
            os.utime(os.path.join(tree, name), (epoch, epoch))
    _clamp_shadow(os.path.join(tree, "etc/shadow"), epoch)
    _write(tree, "etc/machine-id", "", 0o444)
    _write(tree, "usr/sbin/policy-rc.d", _NO_SERVICES, 0o755)
    _write(tree, "etc/apt/apt.conf.d/90container", _APT_HABITS, 0o644)
    _write(tree, "etc/dpkg/dpkg.cfg.d/90container", _DPKG_HABITS, 0o644)
    return epoch


def release_time(lists: str) -> int:
    """When the archive was released, from the newest release file that was used.

    Args:
        lists: apt's directory of lists.

    Returns:
        Seconds since the epoch; 0 when there is no release file.
    """
    from email.utils import parsedate_to_datetime

    newest = 0
    try:
        names = os.listdir(lists)
    except OSError:
        return 0
    for name in names:
        if name.endswith(("_Release", "_InRelease")):
            with open(os.path.join(lists, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith("Date:"):
                        newest = max(newest, int(parsedate_to_datetime(line[5:].strip()).timestamp()))
                        break
    return newest


def _empty(path: str) -> None:
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        remove_tree(os.path.join(path, name))


def _clamp_shadow(path: str, epoch: int) -> None:
    """Passwords were last changed when the archive was released, not today."""
    day = epoch // 86400
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for number, line in enumerate(lines):
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdigit() and int(fields[2]) > day:
            fields[2] = str(day)
            lines[number] = ":".join(fields)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _write(tree: str, name: str, text: str, mode: int) -> None:
    path = os.path.join(tree, name)
    if not os.path.isdir(os.path.dirname(path)):
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
