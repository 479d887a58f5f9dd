# SPDX-License-Identifier: Apache-2.0
"""Rules about installing packages: versions, questions, caches, the right manager."""

from __future__ import annotations

import re

from scow.dockerfile.lint import managers
from scow.dockerfile.lint.managers import APK, APT, DNF, GEM, GO, NPM, PIP, YUM, ZYPPER
from scow.dockerfile.lint.rule import Edit, Rule, finding
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from scow.dockerfile import ast
    from scow.dockerfile.lint.managers import Manager
    from scow.dockerfile.lint.rule import Finding, Level
    from scow.dockerfile.lint.subject import Subject


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _pins(manager: Manager, form: str) -> Callable[[Subject], Iterator[Finding]]:
    def check(subject: Subject) -> Iterator[Finding]:
        for install in managers.installs(subject, manager):
            if manager is PIP and install.command.has_flag("-c", "--constraint"):
                continue
            if names := managers.unpinned(manager, install.packages):
                yield finding(install.run.node, f"no version is given for {_listed(names)}; write {form}")

    return check


def _yes(manager: Manager) -> Callable[[Subject], Iterator[Finding]]:
    def check(subject: Subject) -> Iterator[Finding]:
        for install in managers.installs(subject, manager):
            program = install.command.name
            if install.command.has_flag(*manager.yes) or install.command.args.count("-q") > 1:
                continue
            if manager is APT and "DEBCONF" in " ".join(install.command.assigned):
                continue
            verb = next(arg for arg in install.command.args if arg in manager.verbs)
            edits = _insert(subject, install.run.node, program, verb, "-y")
            yield finding(install.run.node, f"{program} {verb} without -y waits for an answer", *edits)

    return check


def _clean(manager: Manager, form: str) -> Callable[[Subject], Iterator[Finding]]:
    def check(subject: Subject) -> Iterator[Finding]:
        seen: list[ast.Run] = []
        for install in managers.installs(subject, manager):
            node = install.run.node
            if not managers.cleans(install.run, manager) and not any(node is other for other in seen):
                seen.append(node)
                yield finding(node, f"the cache of {install.command.name} stays in the image; end with {form}")

    return check


def _insert(subject: Subject, node: ast.Node, program: str, verb: str, flag: str) -> tuple[Edit, ...]:
    """An edit that puts a flag after ``program verb``, where these stand side by side and once."""
    found: list[Edit] = []
    for number in range(node.span.first, min(node.span.last, len(subject.lines)) + 1):
        line = subject.lines[number - 1]
        if line.lstrip().startswith("#"):
            continue
        pattern = rf"(?<![\w./-]){re.escape(program)}[ \t]+(?:-[\w-]+[ \t]+)*{re.escape(verb)}(?=[ \t]|$)"
        found += [Edit(number, match.end(), match.end(), f" {flag}") for match in re.finditer(pattern, line)]
    return tuple(found) if len(found) == 1 else ()


def _apt_lists(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        updates = any(command.name in ("apt-get", "apt") and "update" in command.args for command in run.commands)
        if updates and not managers.cleans(run, APT) and run.stage is subject.final:
            yield finding(run.node, "the package lists stay in the image; end with rm -rf /var/lib/apt/lists/*")


def _apt_alone(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        apt = [command for command in run.commands if command.name in ("apt-get", "apt")]
        uses = any(
            {"install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"} & set(command.args) for command in apt
        )
        if any("update" in command.args for command in apt) and not uses and not managers.mounted(run, APT.cache):
            yield finding(run.node, "apt-get update alone in a RUN is cached, and the next install uses old lists")


def _recommends(subject: Subject) -> Iterator[Finding]:
    for install in managers.installs(subject, APT):
        options = " ".join(install.command.args)
        if not re.search(r"--no-install-recommends|Install-Recommends=(?:false|0|no)", options, re.IGNORECASE):
            yield finding(install.run.node, f"{install.command.name} install without --no-install-recommends")


def _apt_tool(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        for command in run.commands:
            if command.name == "apt":
                yield finding(
                    run.node,
                    "apt is for people; scripts should use apt-get",
                    *subject.replace(run.node, "apt", "apt-get"),
                )
                break


def _apk_cache(subject: Subject) -> Iterator[Finding]:
    for install in managers.installs(subject, APK):
        if not install.command.has_flag("--no-cache") and not managers.mounted(install.run, APK.cache):
            edits = _insert(subject, install.run.node, "apk", "add", "--no-cache")
            yield finding(install.run.node, "apk add without --no-cache keeps the index in the image", *edits)


def _pip_cache(subject: Subject) -> Iterator[Finding]:
    for install in managers.installs(subject, PIP):
        run = install.run
        off = {"PIP_NO_CACHE_DIR"} & (
            run.stage.env.keys() | {word.partition("=")[0] for word in install.command.assigned}
        )
        if off or install.command.has_flag("--no-cache-dir", "--no-cache") or managers.mounted(run, PIP.cache):
            continue
        if any(re.search(r"\.cache", " ".join(command.args)) for command in run.commands if command.name == "rm"):
            continue
        edits = _insert(subject, run.node, install.command.name, "install", "--no-cache-dir")
        yield finding(run.node, "pip install without --no-cache-dir keeps what it downloaded in the image", *edits)


def _yarn_cache(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        yarn = [command.operands for command in run.commands if command.name == "yarn"]
        installs = any(words[:1] == ("install",) for words in yarn)
        cleans = any(words[:2] == ("cache", "clean") for words in yarn)
        if installs and not cleans and not managers.mounted(run, "/usr/local/share/.cache"):
            yield finding(run.node, "yarn's cache stays in the image; end with yarn cache clean")


def _dist_upgrade(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        for command in run.commands:
            if command.name == "zypper" and {"dist-upgrade", "dup"} & set(command.args):
                yield finding(run.node, "zypper dist-upgrade makes another release of the base image")


def _sorted_packages(subject: Subject) -> Iterator[Finding]:
    for manager in managers.ALL:
        for install in managers.installs(subject, manager):
            names = [name for name in install.packages if not name.startswith("$")]
            if len(names) > 2 and names != sorted(names):
                yield finding(install.run.node, f"packages are not sorted: {_listed(sorted(names))} would be")


def _wrong_manager(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        image = run.stage.root_image
        known = {program for manager in (APT, APK, DNF, YUM, ZYPPER) for program in manager.programs}
        if image is None or image.managers is None:
            continue
        used = {command.name for command in run.commands} & known
        if used and not used & image.managers and image.managers:
            there = ", ".join(sorted(image.managers))
            yield finding(run.node, f"the base image has no {min(used)}; it has {there}")


def _rule(
    name: str, number: str, summary: str, why: str, bad: str, good: str, check: Callable[[Subject], Iterator[Finding]],
    level: Level = "warning", *, fixes: bool = False, base: str = "debian:12",
) -> Rule:  # fmt: skip
    """A rule whose examples are one RUN each."""
    return Rule(
        name=name,
        summary=summary,
        why=why,
        bad=f"FROM {base}\nRUN {bad}\n",
        good=f"FROM {base}\nRUN {good}\n",
        check=check,
        aliases=(number,) if number else (),
        level=level,
        fixes=fixes,
    )


_PIN_WHY: Final = (
    "Without a version the build installs whatever is newest on the day it runs, "
    "and the cache keeps that until the line changes."
)
_CLEAN_WHY: Final = "Caches that stay when the RUN ends are part of its layer, whatever later instructions remove."
_YES_WHY: Final = "There is nobody to answer the question; the build fails or hangs."

RULES: Final = (
    _rule(
        "AptVersions",
        "DL3008",
        "apt-get installs a package without a version",
        _PIN_WHY,
        "apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*",
        "apt-get update && apt-get install -y --no-install-recommends curl=7.88.* && rm -rf /var/lib/apt/lists/*",
        _pins(APT, "NAME=VERSION"),
        "info",
    ),
    _rule(
        "AptLists",
        "DL3009",
        "The package lists of apt stay in the image",
        _CLEAN_WHY,
        "apt-get update && apt-get install -y curl",
        "apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*",
        _apt_lists,
        "info",
    ),
    _rule(
        "AptYes",
        "DL3014",
        "apt-get waits for an answer",
        _YES_WHY,
        "apt-get update && apt-get install curl",
        "apt-get update && apt-get install -y curl",
        _yes(APT),
        fixes=True,
    ),
    _rule(
        "AptRecommends",
        "DL3015",
        "apt-get installs recommended packages too",
        "Recommended packages are often larger than what was asked for.",
        "apt-get update && apt-get install -y curl",
        "apt-get update && apt-get install -y --no-install-recommends curl",
        _recommends,
        "info",
    ),
    _rule(
        "AptTool",
        "DL3027",
        "apt is used instead of apt-get",
        "apt warns itself that its command line is not stable in scripts.",
        "apt update && apt-get install -y curl",
        "apt-get update && apt-get install -y curl",
        _apt_tool,
        fixes=True,
    ),
    _rule(
        "AptUpdateAlone",
        "",
        "apt-get update stands alone in its RUN",
        "The layer of the update is cached. Installs added later use its old lists, and fail once the mirrors moved.",
        "apt-get update\nRUN apt-get install -y curl",
        "apt-get update && apt-get install -y curl",
        _apt_alone,
    ),
    _rule(
        "ApkVersions",
        "DL3018",
        "apk installs a package without a version",
        _PIN_WHY,
        "apk add --no-cache curl",
        "apk add --no-cache curl=~8.9",
        _pins(APK, "NAME=VERSION"),
        "info",
        base="alpine:3.20",
    ),
    _rule(
        "ApkCache",
        "DL3019",
        "apk keeps its index",
        _CLEAN_WHY,
        "apk add curl",
        "apk add --no-cache curl",
        _apk_cache,
        "info",
        fixes=True,
        base="alpine:3.20",
    ),
    _rule(
        "PipVersions",
        "DL3013",
        "pip installs a package without a version",
        _PIN_WHY,
        "pip install --no-cache-dir flask",
        "pip install --no-cache-dir flask==3.0.3",
        _pins(PIP, "NAME==VERSION"),
        base="python:3.12",
    ),
    _rule(
        "PipCache",
        "DL3042",
        "pip keeps what it downloaded",
        _CLEAN_WHY,
        "pip install flask==3.0.3",
        "pip install --no-cache-dir flask==3.0.3",
        _pip_cache,
        fixes=True,
        base="python:3.12",
    ),
    _rule(
        "NpmVersions",
        "DL3016",
        "npm installs a package without a version",
        _PIN_WHY,
        "npm install -g express",
        "npm install -g express@4.19.2",
        _pins(NPM, "NAME@VERSION"),
        base="node:22",
    ),
    _rule(
        "YarnCache",
        "DL3060",
        "yarn keeps its cache",
        _CLEAN_WHY,
        "yarn install",
        "yarn install && yarn cache clean",
        _yarn_cache,
        "info",
        base="node:22",
    ),
    _rule(
        "GemVersions",
        "DL3028",
        "gem installs a package without a version",
        _PIN_WHY,
        "gem install rake",
        "gem install rake:13.2.1",
        _pins(GEM, "NAME:VERSION"),
        base="ruby:3.3",
    ),
    _rule(
        "GoVersions",
        "DL3062",
        "go installs a program without a version",
        _PIN_WHY,
        "go install example.com/tool@latest",
        "go install example.com/tool@v1.2.3",
        _pins(GO, "NAME@VERSION"),
        base="golang:1.22",
    ),
    _rule(
        "YumYes",
        "DL3030",
        "yum waits for an answer",
        _YES_WHY,
        "yum install curl && yum clean all",
        "yum install -y curl && yum clean all",
        _yes(YUM),
        fixes=True,
        base="centos:7",
    ),
    _rule(
        "YumClean",
        "DL3032",
        "yum keeps its cache",
        _CLEAN_WHY,
        "yum install -y curl",
        "yum install -y curl && yum clean all",
        _clean(YUM, "yum clean all"),
        base="centos:7",
    ),
    _rule(
        "YumVersions",
        "DL3033",
        "yum installs a package without a version",
        _PIN_WHY,
        "yum install -y curl && yum clean all",
        "yum install -y curl-7.29.0 && yum clean all",
        _pins(YUM, "NAME-VERSION"),
        "info",
        base="centos:7",
    ),
    _rule(
        "DnfYes",
        "DL3038",
        "dnf waits for an answer",
        _YES_WHY,
        "dnf install curl && dnf clean all",
        "dnf install -y curl && dnf clean all",
        _yes(DNF),
        fixes=True,
        base="fedora:40",
    ),
    _rule(
        "DnfClean",
        "DL3040",
        "dnf keeps its cache",
        _CLEAN_WHY,
        "dnf install -y curl",
        "dnf install -y curl && dnf clean all",
        _clean(DNF, "dnf clean all"),
        base="fedora:40",
    ),
    _rule(
        "DnfVersions",
        "DL3041",
        "dnf installs a package without a version",
        _PIN_WHY,
        "dnf install -y curl && dnf clean all",
        "dnf install -y curl-8.6.0 && dnf clean all",
        _pins(DNF, "NAME-VERSION"),
        "info",
        base="fedora:40",
    ),
    _rule(
        "ZypperYes",
        "DL3034",
        "zypper waits for an answer",
        _YES_WHY,
        "zypper install curl && zypper clean",
        "zypper install -y curl && zypper clean",
        _yes(ZYPPER),
        fixes=True,
        base="opensuse/leap:15",
    ),
    _rule(
        "ZypperDistUpgrade",
        "DL3035",
        "zypper dist-upgrade is run",
        "It turns the image into another release than its base says. Take a newer base.",
        "zypper --non-interactive dist-upgrade",
        "zypper --non-interactive patch",
        _dist_upgrade,
        base="opensuse/leap:15",
    ),
    _rule(
        "ZypperClean",
        "DL3036",
        "zypper keeps its cache",
        _CLEAN_WHY,
        "zypper install -y curl",
        "zypper install -y curl && zypper clean",
        _clean(ZYPPER, "zypper clean"),
        base="opensuse/leap:15",
    ),
    _rule(
        "ZypperVersions",
        "DL3037",
        "zypper installs a package without a version",
        _PIN_WHY,
        "zypper install -y curl && zypper clean",
        "zypper install -y curl=8.0.1 && zypper clean",
        _pins(ZYPPER, "NAME=VERSION"),
        "info",
        base="opensuse/leap:15",
    ),
    Rule(
        name="SortedPackages",
        summary="A list of packages is not sorted",
        why="Sorted, one to a line, a list shows doubles and gives small differences in review.",
        bad="FROM alpine:3.20\nRUN apk add --no-cache git curl bash\n",
        good="FROM alpine:3.20\nRUN apk add --no-cache \\\n      bash \\\n      curl \\\n      git\n",
        check=_sorted_packages,
        level="info",
        on=False,
    ),
    Rule(
        name="WrongPackageManager",
        summary="RUN uses a package manager that the base image does not have",
        why="The instruction will fail: the base image in the store has another one.",
        bad="FROM debian:12\nRUN apk add --no-cache curl\n",
        good="FROM debian:12\nRUN apt-get update && apt-get install -y curl\n",
        check=_wrong_manager,
        level="error",
        needs="the base image, here `debian:12` with apt-get",
    ),
)
