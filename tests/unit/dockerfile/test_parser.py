# SPDX-License-Identifier: Apache-2.0
"""Typed instructions: what is read from where, and every refusal with its place."""

from __future__ import annotations

import textwrap

import pytest

from scow.dockerfile import ast
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse, parse_instructions


def one(line: str) -> ast.Instruction:
    return parse("FROM base\n" + line).stages[0].instructions[0]


def refusal(text: str) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    return caught.value


class TestStages:
    def test_stages_and_global_arguments(self):
        parsed = parse("ARG V=1\nFROM a:$V AS One\nRUN x\nfrom --platform=linux/arm64 one\nCMD y\n", "F")
        assert parsed.filename == "F"
        assert [argument.name for node in parsed.args for argument in node.arguments] == ["V"]
        assert [(stage.index, stage.name, stage.from_.image) for stage in parsed.stages] == [
            (0, "one", "a:$V"),
            (1, "", "one"),
        ]
        assert parsed.stages[1].from_.platform == "linux/arm64"
        assert [node.name for node in parsed.instructions] == ["ARG", "FROM", "RUN", "FROM", "CMD"]
        assert parsed.stage("ONE") is parsed.stages[0]
        assert parsed.stage("two") is None

    def test_the_last_stage_of_a_name_counts(self):
        parsed = parse("FROM a AS x\nFROM b AS X\n")
        assert parsed.stage("x") is parsed.stages[1]

    def test_arguments_alone_are_read(self):
        assert parse("ARG A\n").stages == ()

    def test_descriptions_come_from_comments(self):
        parsed = parse("# V the version\nARG V\n# One first stage\n# one the real one\nFROM a AS one\n")
        assert parsed.args[0].arguments[0].description == "the version"
        assert parsed.stages[0].from_.description == "the real one"

    def test_directives(self):
        parsed = parse("# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM a\nRUN dir C:\\\n")
        assert parsed.escape == "`"
        assert parsed.directive("check") == "skip=all"
        assert parsed.directive("nope") is None
        assert [directive.line for directive in parsed.directives] == [1, 2, 3]

    def test_spans_cover_continuations_and_heredocs(self):
        parsed = parse("FROM a\n\nRUN a \\\n  # note\n  b\nCOPY <<X /x\n1\nX\n")
        assert [node.span for node in parsed.stages[0].instructions] == [(3, 5), (6, 8)]
        assert parsed.stages[0].instructions[0].source == "RUN a   b"


class TestInstructions:
    def test_run_forms(self):
        shell, words, bare = one("RUN echo  hi"), one('RUN ["echo", "h\\u00e9"]'), one("RUN")
        assert isinstance(shell, ast.Run)
        assert (shell.command, shell.json) == (("echo  hi",), False)
        assert isinstance(words, ast.Run)
        assert (words.command, words.json) == (("echo", "hé"), True)
        assert isinstance(bare, ast.Run)
        assert bare.command == ()

    def test_run_flags(self):
        node = one(
            "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none --security=insecure --device=gpu,required x"
        )
        assert isinstance(node, ast.Run)
        assert node.mounts == ("type=cache,target=/c", "type=tmpfs,target=/t")
        assert (node.network, node.security) == ("none", "insecure")
        assert node.devices == (ast.Device("gpu", required=True),)

    def test_run_heredoc(self):
        node = parse("FROM a\nRUN <<-'E' cat >/x\n\t$A\nE\n").stages[0].instructions[0]
        assert node.heredocs == (ast.Heredoc("E", "\t$A\n", expand=False, chomp=True),)
        assert node.heredocs[0].text == "$A\n"

    def test_copy(self):
        node = one("COPY --from=b --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=x a b /d/")
        assert isinstance(node, ast.Copy)
        assert (node.sources, node.destination, node.from_) == (("a", "b"), "/d/", "b")
        assert (node.chown, node.chmod, node.link, node.parents) == ("1:2", "u+x", True, True)
        assert node.excludes == ("*.o", "x")

    def test_copy_with_heredocs(self):
        node = parse('FROM a\nCOPY <<one x <<"two" /d/\n1\none\n2\ntwo\n').stages[0].instructions[0]
        assert isinstance(node, ast.Copy)
        assert node.sources == ("x",)
        assert [(doc.name, doc.content, doc.expand) for doc in node.inline] == [
            ("one", "1\n", True),
            ("two", "2\n", False),
        ]

    def test_add(self):
        node = one("ADD --checksum=sha256:x --keep-git-dir=false --unpack https://x/y /d")
        assert isinstance(node, ast.Add)
        assert (node.checksum, node.keep_git_dir, node.unpack, node.link) == ("sha256:x", False, True, False)
        plain = one('ADD ["a b", "/d"]')
        assert isinstance(plain, ast.Add)
        assert (plain.keep_git_dir, plain.unpack, plain.sources) == (None, None, ("a b",))

    def test_env_and_label(self):
        node = one("ENV A=1 B='x y' C=\"z\"")
        assert isinstance(node, ast.Env)
        assert node.pairs == (("A", "1", False), ("B", "'x y'", False), ("C", '"z"', False))
        old = one("LABEL a  b c")
        assert isinstance(old, ast.Label)
        assert old.pairs == (ast.Pair("a", "b c", legacy=True),)

    def test_arg(self):
        node = one("ARG A B= C='x y'")
        assert isinstance(node, ast.Arg)
        assert [(argument.name, argument.default) for argument in node.arguments] == [
            ("A", None),
            ("B", ""),
            ("C", "'x y'"),
        ]

    def test_simple_ones(self):
        cases = {
            "WORKDIR /a b": ("path", "/a b"),
            "USER me:us": ("user", "me:us"),
            "EXPOSE 90/udp 80": ("ports", ("80", "90/udp")),
            "VOLUME /a /b": ("paths", ("/a", "/b")),
            'VOLUME [" /a "]': ("paths", ("/a",)),
            "CMD a b": ("command", ("a b",)),
            'ENTRYPOINT ["a", "b"]': ("command", ("a", "b")),
            "ENTRYPOINT []": ("command", ()),
            'SHELL ["s", "-c"]': ("shell", ("s", "-c")),
            "STOPSIGNAL 9": ("signal", "9"),
            "MAINTAINER me you": ("maintainer", "me you"),
        }
        for line, (member, value) in cases.items():
            assert getattr(one(line), member) == value, line

    def test_healthcheck(self):
        node = one(
            "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=1h --start-interval=2ms --retries=3 CMD a b"
        )
        assert isinstance(node, ast.Healthcheck)
        assert node.test == ("CMD-SHELL", "a b")
        assert (node.interval, node.timeout, node.retries) == (90_000_000_000, 1_500_000_000, 3)
        assert (node.start_period, node.start_interval) == (3_600_000_000_000, 2_000_000)
        assert getattr(one('HEALTHCHECK cmd ["a", "b"]'), "test", None) == ("CMD", "a", "b")
        assert getattr(one("HEALTHCHECK none"), "test", None) == ("NONE",)
        assert getattr(one("HEALTHCHECK --interval=0 CMD x"), "interval", None) == 0

    def test_onbuild(self):
        node = parse("FROM a\nONBUILD  RUN <<E\nx\nE\n").stages[0].instructions[0]
        assert isinstance(node, ast.Onbuild)
        assert node.expression == "RUN <<E\nx\nE"
        assert isinstance(node.inner, ast.Run)
        assert node.inner.heredocs[0].content == "x\n"

    def test_a_faulty_trigger_waits(self):
        node = one("ONBUILD NOPE x")
        assert isinstance(node, ast.Onbuild)
        assert isinstance(node.inner, ast.Unknown)
        assert "NOPE" in node.inner.reason
        assert isinstance(getattr(one("ONBUILD COPY x"), "inner", None), ast.Unknown)

    def test_letter_case_is_kept(self):
        assert one("rUn x").keyword == "rUn"
        assert one("rUn x").name == "RUN"


@pytest.mark.parametrize(
    ("text", "line", "kind", "words"),
    [
        ("", 0, "empty", "no instructions"),
        ("# x\n\n", 2, "empty", "no instructions"),
        ("RUN x\n", 1, "no-from", "no build stage"),
        ("ARG a\nRUN x\n", 2, "no-from", "no build stage"),
        ("FROM a\nFOO\nBAR\n", 2, "unknown-instruction", "unknown instruction: FOO"),
        ("FROM a\n> x\n", 2, "unknown-instruction", "unknown instruction: >"),
        ("FROM a b\n", 1, "argument-count", "one or three"),
        ("FROM\n", 1, "argument-count", "one or three"),
        ("FROM a AS 1b\n", 1, "invalid-name", "'1b'"),
        ("FROM --x=1 a\n", 1, "bad-flag", "unknown flag: --x"),
        ("FROM --platform a\n", 1, "bad-flag", "missing a value"),
        ("FROM a\nCOPY x\n", 2, "argument-count", "two arguments"),
        ("FROM a\nADD\n", 2, "argument-count", "two arguments"),
        ("FROM a\nCOPY --chown=1 --chown=2 x y\n", 2, "bad-flag", "duplicate flag specified: --chown"),
        ("FROM a\nCOPY --link=maybe x y\n", 2, "bad-flag", "boolean"),
        ("FROM a\nCOPY --link= x y\n", 2, "bad-flag", "missing a value"),
        ("FROM a\nCOPY x <<E\nE\n", 2, "bad-syntax", "heredoc as a destination"),
        ("FROM a\nCOPY <<E /x\n1\n", 2, "bad-syntax", "unterminated heredoc"),
        ("FROM a\nENV A\n", 2, "argument-count", "two arguments"),
        ("FROM a\nENV\n", 2, "argument-count", "at least one"),
        ("FROM a\nENV A=1 # x\n", 2, "bad-syntax", "can't find = in '#'"),
        ("FROM a\nENV --x A=1\n", 2, "bad-flag", "unknown flag"),
        ("FROM a\nLABEL =x\n", 2, "argument-count", "blank"),
        ("FROM a\nARG\n", 2, "argument-count", "at least one"),
        ("FROM a\nARG =x\n", 2, "argument-count", "blank"),
        ("FROM a\nRUN --mont=x y\n", 2, "bad-flag", "unknown flag: --mont"),
        ("FROM a\nRUN --network=x y\n", 2, "bad-value", "network mode 'x'"),
        ("FROM a\nRUN --security=x y\n", 2, "bad-value", "security mode 'x'"),
        ('FROM a\nRUN --mount=a\\"b y\n', 2, "bad-value", "bare quote"),
        ("FROM a\nRUN --mount=from=$X,target=/x y\n", 2, "bad-value", "variable expansion"),
        ("FROM a\nRUN --device=a,b y\n", 2, "bad-value", "unexpected key 'b'"),
        ('FROM a\nCMD ["a", 1]\n', 2, "bad-json", "strings only"),
        ("FROM a\nCMD --x y\n", 2, "bad-flag", "unknown flag: --x"),
        ("FROM a\nSHELL sh -c\n", 2, "bad-json", "JSON"),
        ("FROM a\nSHELL []\n", 2, "argument-count", "at least one"),
        ("FROM a\nHEALTHCHECK\n", 2, "argument-count", "at least one"),
        ("FROM a\nHEALTHCHECK CMD\n", 2, "argument-count", "missing command"),
        ("FROM a\nHEALTHCHECK NONE x\n", 2, "argument-count", "takes no arguments"),
        ("FROM a\nHEALTHCHECK TCP 80\n", 2, "bad-value", "unknown type 'TCP'"),
        ("FROM a\nHEALTHCHECK --interval=x CMD y\n", 2, "bad-value", "invalid duration 'x'"),
        ("FROM a\nHEALTHCHECK --interval=1us CMD y\n", 2, "bad-value", "less than 1ms"),
        ("FROM a\nHEALTHCHECK --retries=x CMD y\n", 2, "bad-value", "invalid number 'x'"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD y\n", 2, "bad-value", "cannot be negative (-1)"),
        ("FROM a\nONBUILD\n", 2, "argument-count", "at least one"),
        ("FROM a\nONBUILD ONBUILD RUN x\n", 2, "not-allowed", "chaining ONBUILD"),
        ("FROM a\nONBUILD FROM x\n", 2, "not-allowed", "FROM isn't allowed"),
        ("FROM a\nONBUILD maintainer x\n", 2, "not-allowed", "MAINTAINER isn't allowed"),
        ("FROM a\n" + "ONBUILD " * 60 + "RUN x\n", 2, "not-allowed", "nested too deeply"),
        ("FROM a\nWORKDIR\n", 2, "argument-count", "exactly one"),
        ("FROM a\nEXPOSE\n", 2, "argument-count", "at least one"),
        ("FROM a\nVOLUME\n", 2, "argument-count", "at least one"),
        ('FROM a\nVOLUME [""]\n', 2, "argument-count", "empty string"),
        ("FROM a\nSTOPSIGNAL\n", 2, "argument-count", "exactly one"),
        ("# escape=x\nFROM a\n", 1, "bad-directive", "escape token 'x'"),
        ("# escape=`\n# Escape=\\\nFROM a\n", 2, "bad-directive", "only one escape"),
        ("FROM a\nRUN " + "x" * 65_536 + "\n", 2, "limit", "65535"),
    ],
)
def test_refusals(text: str, line: int, kind: str, words: str):
    error = refusal(text)
    assert (error.line, error.kind) == (line, kind)
    assert words in error.message


def test_faults_of_syntax_come_before_faults_of_meaning():
    assert refusal("FROM a\nFOO\nENV A\n").line == 3


def test_hints_name_what_was_meant():
    assert refusal("FROM a\nCOPPY a b\n").hint == "did you mean COPY?"
    assert refusal("from a\ncoppy a b\n").hint == "did you mean copy?"
    assert refusal("FROM a\nCOPY --form=x a b\n").hint == "did you mean from?"
    assert "--chown" in refusal("FROM a\nCOPY --user=x a b\n").hint
    assert refusal("FROM a\nCMD --x\n").hint == "this instruction has no flags"


def test_the_caret_stands_under_the_fault():
    error = refusal("FROM a\nRUN x\nCOPY \\\n  # c\n  --chwon=1 a b\n")
    assert error.location == "Dockerfile:5"
    assert (error.end_line, error.source, error.column, error.width) == (5, "  --chwon=1 a b", 2, 7)
    assert error.render() == textwrap.dedent(
        """\
        Dockerfile:5: parse error: unknown flag: --chwon
           5 |   --chwon=1 a b
             |   ^^^^^^^"""
    )


def test_instructions_alone():
    nodes = parse_instructions("CMD x\nENV A=1\n")
    assert [node.name for node in nodes] == ["CMD", "ENV"]
    with pytest.raises(DockerfileError, match="no instruction"):
        parse_instructions("# nothing")


def test_a_line_of_the_greatest_length_is_read():
    line = "RUN " + "x" * 65_531
    assert parse(f"FROM a\n{line}\n").stages[0].instructions[0].source == line


def test_bytes_that_are_no_text_survive():
    raw = b"FROM a\nRUN echo \xff\xfe\n".decode("utf-8", "surrogateescape")
    source = parse(raw).stages[0].instructions[0].source
    assert source.encode("utf-8", "surrogateescape") == b"RUN echo \xff\xfe"
