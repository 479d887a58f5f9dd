# SPDX-License-Identifier: Apache-2.0
"""Switching rules on and off, repairs, formats, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from scow.cli.commands import lint as command
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.lint import render
from scow.dockerfile.lint.config import LintConfig, of_check_comment, of_file, parse_check
from scow.dockerfile.lint.fix import apply, fix
from scow.dockerfile.lint.rule import Edit
from scow.dockerfile.lint.rules import BUILDKIT, RULES
from scow.dockerfile.lint.run import lint
from scow.dockerfile.parser import parse
from scow.errors import FlagError, NotFoundError

ROOT = os.path.join(os.path.dirname(__file__), "..", "..", "..")


def names(text: str, **options) -> list[tuple[int, str]]:
    return [(problem.line, problem.rule.name) for problem in lint(parse(text), **options).problems]


class TestSilence:
    BAD = "FROM alpine:3\nMAINTAINER x\nCMD y\n"

    def test_nothing_is_silent_at_first(self):
        assert names(self.BAD) == [(2, "MaintainerDeprecated"), (3, "JSONArgsRecommended")]

    @pytest.mark.parametrize(
        ("head", "left"),
        [
            ("# check=skip=JSONArgsRecommended\n", ["MaintainerDeprecated"]),
            ("# check=skip=DL3025,DL4000\n", []),
            ("# check=skip=all\n", []),
            ("# check=skip=Nothing;error=true\n", ["MaintainerDeprecated", "JSONArgsRecommended"]),
            ("\n# hadolint global ignore=DL4000, DL3025\n", []),
            ("# hadolint stage ignore=DL3025\n", ["MaintainerDeprecated"]),
        ],
    )
    def test_for_the_file_and_the_stage(self, head: str, left: list[str]):
        assert [name for _, name in names(head + self.BAD)] == left

    @pytest.mark.parametrize(
        "comment",
        ["# hadolint ignore=DL3025", "# hadolint ignore = DL3006, DL3025 # why", "# check=skip=JSONArgsRecommended"],
    )
    def test_for_an_instruction(self, comment: str):
        assert names(f"FROM alpine:3\n{comment}\nCMD y\n") == []
        assert names(f"FROM alpine:3\n{comment}\nRUN true\nCMD y\n") == [(4, "JSONArgsRecommended")]

    def test_by_the_caller(self):
        assert names(self.BAD, config=LintConfig(skip=frozenset({"DL4000"}))) == [(3, "JSONArgsRecommended")]
        assert names(self.BAD, rules=[rule for rule in RULES if rule.name == "LatestTag"]) == []

    def test_experimental_rules_are_asked_for(self):
        text = "# about x\nARG A\nFROM a:1\n"
        assert names(text, rules=BUILDKIT) == []
        asked = LintConfig(experimental=frozenset({"InvalidDefinitionDescription"}))
        assert names(text, rules=BUILDKIT, config=asked) == [(2, "InvalidDefinitionDescription")]
        assert names("# check=experimental=all\n" + text, rules=BUILDKIT) == [(3, "InvalidDefinitionDescription")]

    def test_an_experimental_rule_is_asked_for_above_an_instruction(self):
        text = "# check=experimental=all\nARG A\n# other\nARG B\nFROM a:1\n".replace("# check", "\n# check", 1)
        assert names(text, rules=BUILDKIT) == [(3, "InvalidDefinitionDescription")]

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("FROM a:1\n# check=skip=all\nrun b\n", (3, "ConsistentInstructionCasing")),
            ("FROM a:1\n# check=skip=all\nFROM a:1 AS scratch\n", (3, "ReservedStageName")),
            ("FROM a:1 AS b\n# check=skip=all\nFROM a:1 AS b\n", (3, "DuplicateStageName")),
            ("ARG V\n# check=skip=all\nFROM a:$V\n", (3, "InvalidDefaultArgInFrom")),
        ],
    )
    def test_what_buildkit_checks_over_the_whole_file_hears_no_comment(self, text: str, rule: tuple[int, str]):
        assert names(text, rules=BUILDKIT) == [rule]

    @pytest.mark.parametrize(("above", "told"), [(0, True), (1, False)])
    def test_a_repetition_is_silenced_above_the_later_one(self, above: int, told: bool):
        parts = ['CMD ["x"]\n', 'CMD ["y"]\n']
        parts[above] = "# check=skip=all\n" + parts[above]
        assert bool(names("FROM a:1\n" + "".join(parts), rules=BUILDKIT)) is told

    def test_only_the_first_check_comment_counts(self):
        text = "FROM a:1\n# check=skip=Other\n# check=skip=JSONArgsRecommended\nCMD y\n"
        assert names(text) == [(4, "JSONArgsRecommended")]


class TestOptions:
    def test_reading(self):
        assert parse_check("skip=A, B ; error = true;experimental=all") == LintConfig(
            frozenset({"A", "B"}), frozenset({"all"}), error=True
        )
        assert parse_check(" ") == LintConfig()
        assert parse_check("skip=all,A") == LintConfig(frozenset({"A"}))

    @pytest.mark.parametrize("text", ["skip", "nope=1", "error=maybe"])
    def test_refusals(self, text: str):
        with pytest.raises(ValueError):
            parse_check(text)
        with pytest.raises(DockerfileError) as caught:
            of_file(parse(f"# syntax=x\n# check={text}\nFROM a\n"))
        assert caught.value.line == 2
        assert of_check_comment([f"check={text}"]) == LintConfig()

    def test_errors_are_asked_for(self):
        assert lint(parse("# check=error=true\nFROM a:1\n")).error is True


class TestRepairs:
    def test_all_at_once(self):
        text = "from debian:12 as Base\nrun apt install curl && \\\n\n   pip install x==1\nenv A b c\nenv D 'e'\nexpose 53/UDP\n"
        fixed, count = fix(text)
        assert fixed == (
            "from debian:12 as base\nrun apt-get install -y curl && \\\n   pip install --no-cache-dir x==1\n"
            "env A=\"b c\"\nenv D='e'\nexpose 53/udp\n"
        )
        assert count == 8

    @pytest.mark.parametrize(
        "text",
        [
            "FROM a:1\nENV A 'b' c\n",
            "FROM a:1\nENV A \\\n  b\n",
            "FROM a:1\nENV A=x b=c\n",
            "FROM a:1\nRUN pip install a==1 && pip install b==1\n",
        ],
    )
    def test_what_is_not_certain_stays(self, text: str):
        assert fix(text)[0] == text

    def test_line_ends_and_mark_stay(self):
        assert fix("\ufeffFROM a:1\r\nENV A b\r\n")[0] == "\ufeffFROM a:1\r\nENV A=b\r\n"

    def test_edits(self):
        assert apply("ab\ncd\nef", [Edit(1, 0, 1, "X"), Edit(1, 2, 2, "Y"), Edit(2, 0, -1)]) == "XbY\nef"


class TestFormats:
    REPORT = lint(parse("FROM alpine\nRUN a \\\n 1 \\\n 2 \\\n 3 \\\n 4 \\\n 5 \\\n | \\\n b\x1b\n", "dir/a b"))

    def test_text(self):
        text = render.as_text(self.REPORT, parse("FROM alpine\n").text.split("\n"))
        assert text.startswith(
            "dir/a b:1: warning: UntaggedImage (DL3006): base image 'alpine' has no tag\n    1 | FROM alpine\n"
        )
        assert "      | ..." in text

    def test_json(self):
        first = json.loads(render.as_json([self.REPORT]))[0]
        assert (first["rule"], first["start_line"], first["level"]) == ("UntaggedImage", 1, "warning")

    def test_sarif(self):
        run = json.loads(render.as_sarif([self.REPORT], "1"))["runs"][0]
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "dir/a%20b"
        assert {result["level"] for result in run["results"]} == {"warning"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCOW_ROOT", str(tmp_path / "no-store"))
    (tmp_path / "Dockerfile").write_text("FROM alpine:3\nCOPY secret /\nENV A b\n")
    (tmp_path / ".dockerignore").write_text("secret\n")
    return tmp_path


class TestCommand:
    def test_text_and_status(self, folder, capfd):
        assert command.main([]) == 1
        out = capfd.readouterr().out
        assert "Dockerfile:2: error: CopyIgnoredFile" in out
        assert command.main(["--failure-threshold", "never"]) == 0
        assert command.main(["--only", "LatestTag", "--failure-threshold", "info"]) == 0

    def test_json_and_sarif(self, folder, capfd):
        command.main(["--format", "json", "--only", "buildkit", "--ignore", "CopyIgnoredFile"])
        assert [entry["rule"] for entry in json.loads(capfd.readouterr().out)] == ["LegacyKeyValueFormat"]
        command.main(["--format", "sarif", "--only", "all"])
        assert json.loads(capfd.readouterr().out)["version"] == "2.1.0"

    def test_fix(self, folder, capfd):
        os.chmod("Dockerfile", 0o640)
        os.symlink("Dockerfile", "link")
        command.main(["--fix", "link"])
        assert (folder / "Dockerfile").read_text().endswith("ENV A=b\n")
        assert os.stat("Dockerfile").st_mode & 0o777 == 0o640
        assert os.path.islink("link")
        assert sorted(os.listdir()) == [".dockerignore", "Dockerfile", "link"]
        assert "1 repair made" in capfd.readouterr().err

    def test_own_ignore_file(self, folder, capfd):
        (folder / "Dockerfile.dockerignore").write_text("other\n")
        command.main([])
        assert "CopyIgnoredFile" not in capfd.readouterr().out

    def test_error_directive(self, folder):
        (folder / "Dockerfile").write_text("# check=error=true\nFROM alpine:3\nENV A b\n")
        assert command.main(["--failure-threshold", "never"]) == 1

    def test_standard_input(self, folder, capfdbinary):
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from scow.cli.commands.lint import main; sys.exit(main(['--fix', '-']))",
            ],
            input=b"FROM alpine:3\nENV A b\n",
            capture_output=True,
            check=False,
        )
        assert run.stdout.startswith(b"FROM alpine:3\nENV A=b\n")

    def test_wrong_calls(self, folder):
        with pytest.raises(NotFoundError):
            command.main(["--only", "Nope"])
        with pytest.raises(NotFoundError):
            command.main(["--ignore", "Nope"])
        with pytest.raises(FlagError):
            command.main(["--format", "xml"])
        with pytest.raises(FileNotFoundError):
            command.main(["missing"])

    def test_a_faulty_file(self, folder):
        (folder / "Dockerfile").write_text("NOPE\n")
        with pytest.raises(DockerfileError):
            command.main([])

    def test_showing(self, capfd):
        assert command.main(["--list"]) == 0
        assert len(capfd.readouterr().out.splitlines()) == len(RULES)
        assert command.main(["--explain", "DL3007"]) == 0
        assert "    FROM debian:latest" in capfd.readouterr().out


def test_the_pages_are_current():
    tool = os.path.join(ROOT, "tools", "gen_lint_docs.py")
    run = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
