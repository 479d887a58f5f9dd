# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os

import pytest

from scow.cli import main as table
from scow.cli.flags import ArgumentCountError, Command, Flag, HelpRequested, UsageError, parse
from scow.cli.main import main

from .tables import PS, RUN

GOLDEN = os.path.join(os.path.dirname(__file__), "../../golden/flags/docker.json")
with open(GOLDEN, encoding="utf-8") as _file:
    RECORDED = json.load(_file)

IMAGES = Command(
    name="images",
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    summary="List images",
    max_args=1,
    flags=(Flag("quiet", "q"), Flag("filter", "f", kind="filter")),
)
TABLES = {"run": RUN, "ps": PS, "images": IMAGES}


GRAMMAR = [row for row in RECORDED if row["argv"][0] in TABLES and "Cannot connect" not in row["stderr"]]
REFUSALS = [
    row
    for row in RECORDED
    if row["status"] and "Cannot connect" not in row["stderr"] and "unknown command" not in row["stderr"]
]


@pytest.mark.parametrize("row", GRAMMAR, ids=[" ".join(row["argv"]) for row in GRAMMAR])
def test_words_are_refused_as_docker_refuses_them(row):
    """The grammar and the wording, on tables of our own; the commands' own tables are replayed below."""
    name, *argv = row["argv"]
    first = row["stderr"].split("\n\n")[0]
    if row["status"] == 0:
        with pytest.raises(HelpRequested):
            parse(TABLES[name], argv)
    elif row["status"] == 125:
        with pytest.raises(UsageError) as caught:
            parse(TABLES[name], argv)
        assert str(caught.value) == first
    else:
        with pytest.raises(ArgumentCountError) as caught:
            parse(TABLES[name], argv)
        assert f"docker: 'docker {name}' {caught.value.rule}" == first


def exists(path: str) -> bool:
    try:
        table.load(path)
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize("row", REFUSALS, ids=[" ".join(row["argv"]) for row in REFUSALS])
def test_every_command_says_what_docker_says(row, capsys):
    """The whole stderr of the real commands, usage lines included, and the exit status."""
    path, _ = table.find(row["argv"])
    if path in table.COMMANDS and not exists(path):
        pytest.skip(f"no module for {path} yet")
    assert main(row["argv"]) == row["status"]
    said = capsys.readouterr()
    expected = row["stderr"].replace("SRun", "Run").replace("docker", "scow")
    expected = expected.replace("Usage:  scow image\n", "Usage:  scow image COMMAND\n")
    assert said.out == ""
    assert said.err == expected


def test_values_have_their_kinds_types():
    argv = (
        "-it --rm=false -e A=1 -eB=2 -e=C=3 --env D -p80:80 -m 512m --memory-swap -1 --cpus 1.5 --health-interval 1m30s "
        "--health-retries 0x10 --sysctl a=b --sysctl c --security-opt x,y --security-opt z -s --pull never image -e cmd"
    )
    got = parse(RUN, argv.split())
    assert (got.interactive, got.tty, got.rm, got["sig-proxy"]) == (True, True, False, True)
    assert got.env == ["A=1", "B=2", "C=3", "D"]
    assert got.publish == ["80:80"]
    assert (got.memory, got.memory_swap, got.cpus) == (512 << 20, -1, 1_500_000_000)
    assert (got.health_interval, got.health_retries) == (90 * 10**9, 16)
    assert got.sysctl == {"a": "b", "c": ""}
    assert got.security_opt == ["x", "y", "z"]
    assert (got.squash, got.pull) == ("all", "never")
    assert got.args == ["image", "-e", "cmd"]
    assert got.changed("rm")
    assert not got.changed("name")


def test_absent_flags_have_their_zero_values():
    got = parse(RUN, ["image"])
    assert (got.rm, got.name, got.env, got.memory, got.sysctl, got.pull, got.squash) == (
        False,
        "",
        [],
        0,
        {},
        "missing",
        "",
    )
    got.env.append("A=1")
    assert parse(RUN, ["image"]).env == [], "a default list is nobody's to change"
    with pytest.raises(AttributeError):
        _ = got.nosuch
    with pytest.raises(KeyError):
        _ = got["nosuch"]


def test_switches_in_a_cluster_take_a_value_for_all_but_only_the_last_keeps_it():
    got = parse(PS, ["-aq=true"])
    assert (got.all, got.quiet) == (True, True)
    got = parse(PS, ["-aq=0"])
    assert (got.all, got.quiet) == (True, False)


def test_flags_may_follow_arguments_unless_the_command_says_no():
    got = parse(IMAGES, ["name", "-q"])
    assert (got.args, got.quiet) == (["name"], True)
    got = parse(RUN, ["--rm", "name", "--rm", "--", "-q"])
    assert got.args == ["name", "--rm", "--", "-q"]
    got = parse(IMAGES, ["--", "-q"])
    assert (got.args, got.quiet) == (["-q"], False)
    assert parse(IMAGES, ["-"]).args == ["-"]


def test_the_last_of_two_values_counts():
    assert parse(RUN, ["--name", "a", "--name=b", "i"]).name == "b"


def test_an_optional_value_is_taken_only_with_an_equals_sign():
    assert parse(RUN, ["--squash", "new"]).args == ["new"]
    assert parse(RUN, ["--squash=new", "i"]).squash == "new"


def test_filters_are_pairs():
    got = parse(PS, ["-f", "Label=a=b", "--filter", " name = x ", "--filter", ""])
    assert got.filter == [("label", "a=b"), ("name", "x")]


def test_an_enum_names_its_choices():
    with pytest.raises(UsageError, match='must be one of "always", "missing" or "never"'):
        parse(RUN, ["--pull", "maybe", "i"])


def test_a_check_decides_what_is_kept():
    def port(text: str) -> int:
        if not text.isdigit():
            raise ValueError("not a port")
        return int(text)

    command = Command(
        name="x",
        usage="",
        summary="",
        flags=(
            Flag("p", kind="list", check=port),
            Flag("c", kind="csv", check=port),
            Flag("s", kind="string", check=port),
        ),
    )
    got = parse(command, ["--p", "1", "--p", "2", "--c", "3,4", "--s=5"])
    assert (got.p, got.c, got.s) == ([1, 2], [3, 4], 5)
    with pytest.raises(UsageError, match='invalid argument "3,z" for "--c" flag: not a port'):
        parse(command, ["--c", "3,z"])


def test_a_deprecated_flag_works_and_says_so(capsys):
    assert parse(RUN, ["--old", "a", "i"]).old == "a"
    assert capsys.readouterr().out == "Flag --old has been deprecated, use --name instead\n"


def test_short_help_works_where_h_is_free(capsys):
    with pytest.raises(HelpRequested):
        parse(PS, ["-h"])
    assert capsys.readouterr().out == "Flag shorthand -h has been deprecated, use --help\n"
    assert parse(PS, ["--help=false"]).args == []
