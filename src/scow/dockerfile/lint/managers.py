# SPDX-License-Identifier: Apache-2.0
"""Package managers as data: how each installs, answers yes, cleans up and pins."""

from __future__ import annotations

import re

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.commands import Command
    from scow.dockerfile.lint.subject import RunCommands, Subject


class Manager(NamedTuple):
    """What the rules must know of one package manager.

    Attributes:
        programs: Names of its program.
        verbs: Words that install.
        pinned: A package word that names a version, or is no name of a package (a path, a URL, a variable).
        valued: Flags that take the next word.
        yes: Flags that answer its questions.
        clean: Pattern of a command line that removes its caches.
        cache: Folder whose cache mount makes cleaning needless.
    """

    programs: tuple[str, ...]
    verbs: tuple[str, ...]
    pinned: str
    valued: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    clean: str = ""
    cache: str = ""


_NO_NAME: Final = r"[$./~].*|.*[/*].*|https?:.*|.*\$.*"
APT: Final = Manager(
    ("apt-get", "apt"),
    ("install",),
    rf".+=.+|.+\.deb|.+/.+|{_NO_NAME}",
    ("-t", "--target-release", "-o", "--option", "-c", "--config-file"),
    ("-y", "--yes", "--assume-yes", "-qq"),
    r"rm\b.*/var/lib/apt(?:/lists)?\b.*",
    "/var/lib/apt",
)
APK: Final = Manager(
    ("apk",),
    ("add",),
    rf".+[=<>~@].+|\..+|.+\.apk|{_NO_NAME}",
    ("-t", "--virtual", "-X", "--repository", "-p", "--root", "--wait", "--keys-dir", "--repositories-file"),
    clean=r"rm\b.*/var/cache/apk\b.*",
    cache="/var/cache/apk",
)
DNF: Final = Manager(
    ("dnf", "microdnf"),
    ("install", "groupinstall", "localinstall", "reinstall"),
    rf".+-[0-9~].*|.+\.rpm|@.+|{_NO_NAME}",
    ("-c", "--config", "-d", "-e", "-x", "--exclude", "--installroot", "--enablerepo", "--disablerepo", "--setopt"),
    ("-y", "--assumeyes", "--nobest-y"),
    r"(?:dnf|microdnf)\b.*\bclean all|rm\b.*/var/cache/(?:lib)?dnf\b.*|rm\b.*/var/cache/yum\b.*",
    "/var/cache/libdnf5",
)
YUM: Final = Manager(
    ("yum",),
    ("install", "groupinstall", "localinstall", "reinstall"),
    DNF.pinned,
    DNF.valued,
    ("-y", "--assumeyes"),
    r"yum\b.*\bclean all|rm\b.*/var/cache/yum\b.*",
    "/var/cache/yum",
)
ZYPPER: Final = Manager(
    ("zypper",),
    ("install", "in"),
    rf".+[=<>~].+|.+-[0-9~].*|.+\.rpm|{_NO_NAME}",
    ("-r", "--repo", "--from", "-t", "--type", "-R", "--root", "-D", "-C"),
    ("-y", "--no-confirm", "-n", "--non-interactive"),
    r"zypper\b.*\b(?:clean|cc)\b.*|rm\b.*/var/cache/zypp\b.*",
    "/var/cache/zypp",
)
PIP: Final = Manager(
    ("pip", "pip3", "pip2"),
    ("install",),
    rf".+(?:===|==|>=|<=|~=|!=|>|<|@).+|.+\.(?:whl|tar\.gz|zip)|git\+.*|\.|.+:.*|{_NO_NAME}",
    ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-i", "--index-url", "--extra-index-url",
     "-t", "--target", "-d", "--root", "--prefix", "-f", "--find-links", "--trusted-host", "--platform", "--timeout",
     "--cache-dir", "--python-version", "--proxy", "--retries", "--progress-bar", "--only-binary", "--no-binary", "-b"),
    cache="/root/.cache/pip",
)  # fmt: skip
NPM: Final = Manager(
    ("npm",),
    ("install", "i", "add"),
    rf"(?:@[^/@]+/)?[^@]+@.+|git.*|.+\.(?:tgz|tar\.gz)|{_NO_NAME.replace('|.*[/*].*', '')}",
    ("--prefix", "--registry", "-C", "--cache", "--loglevel", "--omit", "--workspace", "-w"),
)
GEM: Final = Manager(
    ("gem",),
    ("install", "i"),
    rf".+:[0-9].*|.+\.gem|{_NO_NAME}",
    ("-i", "--install-dir", "-n", "--bindir", "--source", "-s", "-P", "--platform"),
)
GO: Final = Manager(("go",), ("install",), r"[^@]+@(?!latest$).+|\..*|.*\$.*|std|cmd", ("-ldflags", "-tags", "-mod"))
ALL: Final = (APT, APK, DNF, YUM, ZYPPER, PIP, NPM, GEM, GO)


class Install(NamedTuple):
    """One command that installs: the RUN, the command, and its package words."""

    run: RunCommands
    command: Command
    packages: tuple[str, ...]


def installs(subject: Subject, manager: Manager, program: str = "") -> Iterator[Install]:
    """The commands that install with a manager."""
    for run in subject.runs:
        for command in run.commands:
            known = (program,) if program else manager.programs
            args = command.args
            if manager is PIP and command.name.startswith("python") and args[:2] in (("-m", "pip"), ("-m", "pip3")):
                args = args[2:]
            elif command.name not in known:
                continue
            if manager is APT and command.has_flag("-s", "--simulate", "--dry-run", "--just-print"):
                continue
            words = _operands(args, manager)
            if words and words[0] in manager.verbs:
                yield Install(run, command._replace(args=args), tuple(words[1:]))


def unpinned(manager: Manager, packages: tuple[str, ...]) -> list[str]:
    """The packages that are named without a version."""
    return [package for package in packages if package and not re.fullmatch(manager.pinned, package)]


def cleans(run: RunCommands, manager: Manager) -> bool:
    """Whether the RUN removes the manager's caches, or keeps them in a mount."""
    lines = (" ".join((command.name, *command.args)) for command in run.commands)
    return any(re.fullmatch(manager.clean, line) for line in lines) or mounted(run, manager.cache)


def mounted(run: RunCommands, folder: str) -> bool:
    """Whether a cache or tmpfs is mounted at a folder or above it."""
    for mount in run.node.mounts:
        match = re.search(r"(?:^|,)(?:target|dst|destination)=([^,]+)", mount)
        if match and re.search(r"(?:^|,)type=(?:cache|tmpfs)", mount):
            target = match[1].rstrip("/")
            if folder == target or folder.startswith(target + "/") or target.startswith(folder):
                return True
    return False


def _operands(args: tuple[str, ...], manager: Manager) -> list[str]:
    out: list[str] = []
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg.startswith("-"):
            skip = arg in manager.valued
        else:
            out.append(arg)
    return out
