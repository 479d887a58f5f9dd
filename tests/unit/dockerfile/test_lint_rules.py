# SPDX-License-Identifier: Apache-2.0
"""Every rule finds its bad example and is silent about its good one; then the cases between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scow.dockerfile.lint.config import LintConfig
from scow.dockerfile.lint.fix import fix
from scow.dockerfile.lint.rules import BUILDKIT, RULES, by_name
from scow.dockerfile.lint.run import lint
from scow.dockerfile.lint.subject import BaseImage, Surroundings
from scow.dockerfile.parser import parse
from scow.errors import NotFoundError
from scow.oci.model import Platform

if TYPE_CHECKING:
    from scow.dockerfile.lint.rule import Rule

EXPERIMENTAL = LintConfig(experimental=frozenset({"all"}))
AROUND = {
    "CopyIgnoredFile": Surroundings(ignore=("notes",)),
    "InvalidBaseImagePlatform": Surroundings(images={"alpine-arm": BaseImage(platform=Platform("linux", "arm64"))}),
    "UntrustedRegistry": Surroundings(registries=("docker.io",)),
    "UnknownUser": Surroundings(images={"debian:12": BaseImage(users=frozenset({"root", "nobody"}))}),
    "IgnoreFile": Surroundings(ignore=()),
    "WrongPackageManager": Surroundings(images={"debian:12": BaseImage(managers=frozenset({"apt-get", "apt"}))}),
}


def found(text: str, rule: str, around: Surroundings | None = None) -> list[tuple[int, str]]:
    report = lint(parse(text), around, rules=[by_name(rule)], config=EXPERIMENTAL)
    return [(problem.line, problem.message) for problem in report.problems]


def lines(text: str, rule: str, around: Surroundings | None = None) -> list[int]:
    return [line for line, _ in found(text, rule, around)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_examples(rule: Rule):
    around = AROUND.get(rule.name)
    assert found(rule.bad, rule.name, around), "the bad example is not found"
    assert not found(rule.good, rule.name, around), "the good example is found"
    assert bool(rule.needs) == (rule.name in AROUND)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.fixes], ids=lambda rule: rule.name)
def test_repairs(rule: Rule):
    fixed, count = fix(rule.bad, rules=[rule])
    assert count
    assert fixed != rule.bad
    assert not found(fixed, rule.name)


def test_names():
    assert len({rule.name for rule in RULES} | {alias for rule in RULES for alias in rule.aliases}) == len(RULES) + sum(
        len(rule.aliases) for rule in RULES
    )
    assert len(BUILDKIT) == 22  # the 21 documented ones, and InvalidBaseImagePlatform
    assert by_name("JSONArgsRecommended").slug == "json-args-recommended"
    assert by_name("DL3025") is by_name("json-args-recommended") is by_name("JSONArgsRecommended")
    with pytest.raises(NotFoundError) as caught:
        by_name("LatestTug")
    assert caught.value.hint == "did you mean LatestTag?"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a\nCOPY $x $y /z\n", [2, 2]),
        ("FROM a\nARG x\nCOPY $x /z\n", []),
        ("FROM a AS b\nARG x\nFROM b\nCOPY $x /z\n", []),
        ("ARG x=1\nFROM a\nCOPY $x /z\n", [3]),
        ("FROM a\nENV PATH=$PATH:/x\n", []),
        ("FROM a\nENV A=1 B=$A\n", [2]),
        ("FROM a\nRUN echo $x\nCMD $x\n", []),
        ("FROM a\nRUN --mount=type=cache,target=$x y\n", [2]),
        ("FROM a\nCOPY <<E /x\n$y\nE\n", [2]),
        ("FROM a\nCOPY <<'E' /x\n$y\nE\n", []),
        ("FROM a\nWORKDIR $x\nUSER $x\nVOLUME $x\nLABEL a=$x\nSTOPSIGNAL $x\nEXPOSE $x\n", [2, 3, 4, 5, 6]),
        ("FROM a\nARG x=$y\n", [2]),
        ("FROM a AS one\nONBUILD COPY $x /\nFROM one\n", [3]),
        ("FROM a\nUSER ${x:-y}\nADD --chown=${z} a b\n", [2, 3]),
    ],
)
def test_undefined_variables(text: str, names: list[int]):
    assert lines(text, "UndefinedVar") == names


def test_undefined_variables_have_neighbours():
    assert "did you mean $PATH?" in found("FROM a\nENV X=$PAHT\n", "UndefinedVar")[0][1]
    assert "did you mean VERSION?" in found("ARG VERSION=1\nFROM a:$VERSIN\n", "UndefinedArgInFrom")[0][1]


def test_the_base_is_known():
    around = Surroundings(
        images={"a": BaseImage(env={"HOME_DIR": "/x"}, shell=("/bin/bash", "-c"), onbuild=("COPY $q /",))}
    )
    text = "FROM a\nCOPY $HOME_DIR /\nCMD x\n"
    assert lines(text, "UndefinedVar", around) == [1]
    assert lines(text, "JSONArgsRecommended", around) == []
    assert lines(text, "JSONArgsRecommended") == [3]


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("FROM a AS b\nCMD x\nFROM b\nCMD y\nCMD z\n", "MultipleInstructionsDisallowed", [4]),
        ("FROM a\nHEALTHCHECK CMD x\nHEALTHCHECK NONE\n", "MultipleInstructionsDisallowed", [2]),
        ('FROM a\nSHELL ["x"]\nCMD y\nFROM b\nCMD y\n', "JSONArgsRecommended", [5]),
        ("FROM a AS x\nWORKDIR /a\nWORKDIR b\nFROM x\nWORKDIR c\n", "WorkdirRelativePath", []),
        ("FROM a\nWORKDIR b\nWORKDIR c\n", "WorkdirRelativePath", [2]),
        ("FROM --platform=windows/amd64 a AS x\nWORKDIR C:\\\\w\nFROM x\nWORKDIR y\n", "WorkdirRelativePath", []),
        ("from a\nrun x\nRUN y\nRUN z\n", "ConsistentInstructionCasing", [1, 2]),
        ("from a\nrun x\nRun z\n", "ConsistentInstructionCasing", [3]),
        ("From a as b\n", "FromAsCasing", []),
        ("from a AS b\n", "FromAsCasing", [1]),
        ('FROM a\nENV "TOKEN"=x\nARG "TOKEN"=x\n', "SecretsUsedInArgOrEnv", [2]),
        ("FROM a\nARG N=PASSWORD\nENV $N=x\n", "SecretsUsedInArgOrEnv", [3]),
        ("ARG TOKEN=x\n", "InvalidDefaultArgInFrom", []),
        ("FROM a\nENV MY_PUBLIC_KEY=1 TOKEN=2\nARG keyboard\nARG aws_secret_key\n", "SecretsUsedInArgOrEnv", [2, 4]),
        ("FROM --platform=linux/arm64 a AS build-arm64\nFROM --platform=linux/amd64 a\n", "FromPlatformFlagConstDisallowed", [2]),
        ("FROM --platform=$X a\nFROM --platform=nonsense! a\n", "FromPlatformFlagConstDisallowed", []),
        ("FROM --platform=${TARGETPLATFORM} a\nFROM --platform=$BUILDPLATFORM a\n", "RedundantTargetPlatform", [1]),
        ("FROM scratch\n", "InvalidDefaultArgInFrom", []),
        ("ARG X=${Y:?}\nFROM $X\n", "InvalidDefaultArgInFrom", []),
        ("ARG V\nFROM a:${V:-1}\nFROM UPPER\n", "InvalidDefaultArgInFrom", [3]),
        ("FROM a\nARG P=80/TCP\nEXPOSE $P 1:2 3/udp\n", "ExposeProtoCasing", [3]),
        ("FROM a\nARG P=80/TCP\nEXPOSE $P 1:2 3/udp\n", "ExposeInvalidFormat", [3]),
        ("# A x\n\nARG A\n# other\nARG B C\nFROM a\n", "InvalidDefinitionDescription", [5]),
        ("FROM a\nONBUILD ENV A b\nFROM b\nLABEL a b\n", "LegacyKeyValueFormat", [4]),
        ("FROM a AS b\nFROM b\nFROM scratch\nFROM c:1\nFROM d@sha256:" + "0" * 64 + "\nFROM $E\n", "UntaggedImage", [1]),
        ("FROM a:latest\nFROM a:latest@sha256:" + "0" * 64 + "\n", "LatestTag", [1]),
        ("FROM a\nCOPY --from=nginx:1 x y\nCOPY --from=0 x y\n", "CopyFromUnknownStage", [3]),
        ("FROM a AS x\nCOPY --from=X a b\nCOPY --from=0 a b\n", "CopyFromItself", [2, 3]),
        ("FROM a\nADD a.tar.gz /\nADD https://x/y /\nADD --unpack=true z /\nADD x y.tgz /z\n", "AddForCopy", []),
        ("FROM a AS x\nWORKDIR /w\nFROM x\nCOPY a b\n", "CopyRelativeDestination", []),
        ("FROM a\nUSER 0:0\n", "RootUser", [2]),
        ("FROM a\nUSER root\nFROM b\n", "RootUser", []),
        ("FROM a\nUSER app\nUSER 5\n", "NumericUser", []),
        ("FROM a\nUSER root\nEXPOSE 80\n", "LowPort", []),
        ("FROM a AS b\nHEALTHCHECK NONE\nFROM b\n", "HealthcheckMissing", []),
        ("FROM a\nRUN apk add gcc && make && apk del gcc\n", "BuildToolsStay", []),
        ("FROM a\nRUN cd src && make\nRUN make && cd /x\n", "CdInRun", []),
        ('FROM a\nRUN ["sudo", "x"]\n', "Sudo", [2]),
        ("FROM a\nCOPY x.tgz /t/\nRUN tar -C / --extract -f /t/x.tgz\nCOPY y.tgz /\n", "CopiedArchive", [2]),
        ('FROM a\nRUN a | b\nSHELL ["bash", "-o", "pipefail", "-c"]\nRUN a | b\n', "PipefailMissing", [2]),
        ('FROM a\nRUN set -o pipefail; a | b\nRUN ["a", "|", "b"]\n', "PipefailMissing", []),
        ("FROM a\nRUN useradd --uid=1000000 x\nRUN useradd -u 1000 x\n", "UseraddHighUid", [2]),
        ("FROM a\nRUN wget -qO- x\nRUN wget -nv x\nRUN wget --version\n", "WgetProgress", []),
        ("FROM a\nRUN x\nRUN --network=none y\nRUN a && b\nRUN c && d\n", "ConsecutiveRuns", []),
        ("FROM a\nRUN wget x\nFROM b\nRUN curl x\n", "TwoDownloaders", []),
        ("FROM a\nRUN apt-get install -y a=1 b/stable ./c.deb $D\n", "AptVersions", []),
        ("FROM a\nRUN apt-get -y -t sid install a\n", "AptVersions", [2]),
        ("FROM a\nRUN apt-get install -s a\nRUN apt-get -qqy install b\n", "AptYes", []),
        ("FROM a\nRUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y a\n", "AptLists", []),
        ("FROM a\nRUN apt-get update && apt-get install -y a\nFROM b\n", "AptLists", []),
        ("FROM a\nRUN apt-get -o APT::Install-Recommends=false install a\n", "AptRecommends", []),
        ("FROM a\nRUN --mount=type=cache,target=/var/cache/apk apk add a\nRUN apk add -t .x --no-cache a\n", "ApkCache", []),
        ("FROM a\nRUN apk add --virtual .deps a=1 .x\n", "ApkVersions", []),
        ("FROM a\nRUN pip install -r r.txt\nRUN pip3 install --upgrade . ./x.whl git+https://x a==1\n", "PipVersions", []),
        ("FROM a\nRUN python3 -m pip install flask\nRUN pip install -c c.txt flask\n", "PipVersions", [2]),
        ("FROM a\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x==1\n", "PipCache", []),
        ("FROM a\nRUN pip install x==1 && rm -rf ~/.cache\nRUN PIP_NO_CACHE_DIR=1 pip install y==1\n", "PipCache", []),
        ("FROM a\nRUN npm install\nRUN npm i @x/y@1 ./z\nRUN npm i @x/y\n", "NpmVersions", [4]),
        ("FROM a\nRUN go install ./...\nRUN go install x.com/y@v1\n", "GoVersions", []),
        ("FROM a\nRUN dnf install -y a && rm -rf /var/cache/dnf\n", "DnfClean", []),
        ("FROM a\nRUN zypper -n in a\n", "ZypperYes", []),
        ("FROM a\nRUN yarn install --frozen-lockfile\nRUN yarn build\n", "YarnCache", [2]),
        ("FROM a\nRUN apk add a b c\nRUN apk add b a\n", "SortedPackages", []),
        ('FROM a\nLABEL a.b-c=1 "d.e"=2 $F=3 x..y=4\n', "LabelKey", [2]),
        ('FROM a\nLABEL org.opencontainers.image.licenses="(MIT OR Apache-2.0) AND BSD-3-Clause"\n', "LabelLicense", []),
        ("FROM a\nENV PATH=/x:$PATH FOO=$PATH\nENV A=1\nENV A=2 B=$A\n", "EnvUsesItself", []),
        ("FROM a\nEXPOSE 1-70000 65535 x:70000/tcp\n", "PortRange", [2, 2]),
    ],
)  # fmt: skip
def test_cases(text: str, rule: str, expected: list[int]):
    assert lines(text, rule) == expected


def test_ignored_sources():
    text = "FROM a AS x\nCOPY notes /\nCOPY . /\nCOPY --from=x notes /\nADD https://notes /\n"
    assert lines(text, "CopyIgnoredFile", Surroundings(ignore=("notes",))) == [2]
    assert lines(text, "CopyIgnoredFile", Surroundings(ignore=("*",))) == [2, 3]
    assert lines(text, "CopyIgnoredFile", Surroundings(ignore=("*", "!notes"))) == []
    assert lines(text, "CopyIgnoredFile", Surroundings(ignore=("[",))) == []
    assert lines(text, "CopyIgnoredFile") == []


def test_heavy_contexts():
    heavy = Surroundings(ignore=("dist",), context=(".git", "dist", "src", "node_modules"))
    assert ".git, node_modules" in found("FROM a\nCOPY . /x\n", "IgnoreFile", heavy)[0][1]
    assert found("FROM a\nCOPY src /x\n", "IgnoreFile", heavy) == []
    assert found("FROM a\nCOPY . /x\n", "IgnoreFile", Surroundings(ignore=("[",), context=(".git",))) == []


def test_users_that_are_added():
    known = AROUND["UnknownUser"]
    assert lines("FROM debian:12\nUSER nobody\n", "UnknownUser", known) == []
    assert lines("FROM debian:12 AS x\nRUN adduser app\nFROM x\nUSER app\n", "UnknownUser", known) == []
    assert lines("FROM debian:12\nCOPY passwd /etc/passwd\nUSER app\n", "UnknownUser", known) == []
    assert lines("FROM other\nUSER app\n", "UnknownUser", known) == []


def test_a_fault_that_ends_the_build_does_not_end_the_advice():
    text = "FROM ${A:?no}\nENV X=${B:?no}\nMAINTAINER x\n"
    assert lines(text, "MaintainerDeprecated") == [3]
    assert lines(text, "UndefinedVar") == []


def test_arguments_reach_stages():
    around = Surroundings(build_args={"X": "1"}, target=Platform("linux", "arm64"))
    assert lines("ARG D=/x\nFROM a\nARG D\nWORKDIR $D\n", "WorkdirRelativePath", around) == []
    assert lines("FROM a\nARG X\nWORKDIR $X\n", "WorkdirRelativePath", around) == [3]
    assert lines("FROM a:$TARGETARCH\n", "UndefinedArgInFrom", around) == []
