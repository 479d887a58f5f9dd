# SPDX-License-Identifier: Apache-2.0
"""Words and exit statuses of whole command lines on a store without images, as docker 28.2.2 has them."""

from __future__ import annotations

import io
import json
import os
import stat

import pytest

from scow.cli.commands.image_inspect import check_platform
from scow.cli.commands.info import _security
from scow.cli.commands.ps import _image, listing, show
from scow.cli.main import main
from scow.cli.outputfile import write_file
from scow.cli.template.parser import TemplateError
from scow.containers.store import Container
from scow.engine import Engine
from scow.errors import InvalidArgumentError, NotFoundError
from scow.oci.reference import InvalidReferenceError, Reference


@pytest.fixture(autouse=True)
def _store(monkeypatch, tmp_path):
    monkeypatch.setenv("SCOW_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("SCOW_RUN_ROOT", str(tmp_path / "run"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def answer(capsys):
    """Run a command line; return its status, output and complaints."""

    def run(*words):
        status = main([*words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize(
    ("words", "status", "out", "complaint"),
    [
        (["images", ""], 0, "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n", ""),
        (["image", "inspect", "UPPER"], 1, "[]\n", "repository name (library/UPPER) must be lowercase"),
        (["image", "inspect", ""], 1, "[]\n", "No such image: "),
        (["inspect", ""], 1, "[]\n", "invalid container name or ID: value is empty"),
        (["inspect", "--type", "", "x"], 1, "", "type is empty: must be one of"),
        (["rename", "", "x"], 1, "", "Neither old nor new names may be empty"),
        (["volume", "create", "--name", "zz", "yy"], 1, "", "cannot specify a volume-name through both --name and as"),
        (["volume", "create", "--label", "=", "zz"], 125, "", "invalid label '=': empty name"),
        (["network", "create", "--label", "a b=c", "zz"], 125, "", "label 'a b' contains whitespaces"),
        (["volume", "create", "--label", "a b=c", "zz"], 125, "", "label 'a b' contains whitespaces"),
        (["build", "--label", "=x", "/nosuch"], 125, "", "invalid label '=x': empty name"),
        (["build", "--build-arg", "=x", "/nosuch"], 125, "", "invalid environment variable: =x"),
        (["create", "-l", " a=b c", "--platform", "zebra", "zz"], 1, "", 'specified platform: "zebra"'),
        (["import", "/"], 1, "", "Error: read /: is a directory\n"),
        (["network", "create", "--label", "=", "zz"], 125, "", "invalid label '=': empty name"),
        (["volume", "ls", "--filter", "label!=x"], 1, "", "Invalid filter 'label!'"),
        (["volume", "inspect", ""], 1, "[]\n", "invalid volume name or ID: value is empty"),
        (["network", "inspect", ""], 1, "[]\n", "invalid network name or ID: value is empty"),
        (["network", "rm", ""], 1, "", "invalid network name or ID: value is empty"),
        (["volume", "rm", ""], 1, "", "invalid volume name or ID: value is empty"),
        (["system", "prune", "-f", "--volumes", "--filter", "until=1h"], 1, "", '"until" filter is not supported with'),
        (["version", "--format", "{{"], 64, "", "template parsing error: template: :1: unclosed action"),
        (["version", "--format", "{{.Nope}}"], 1, "\n", "can't evaluate field Nope"),
        (["info", "--format", "{{"], 64, "", "template parsing error: template: :1: unclosed action"),
        (["info", "--format", "{{.Nope}}"], 1, "\n", "can't evaluate field Nope in type system.dockerInfo"),
        (["info", "--format", "{{.Swarm.LocalNodeState}} {{.Plugins.Volume}}"], 0, "inactive [local]\n", ""),
        (["info", "--format", "{{.ClientInfo.Context}} {{.Debug}}"], 0, "default false\n", ""),
        (["events", "--until", "0s", "--format", "{{"], 64, "", "Error parsing format: template: :1: unclosed action"),
        (["events", "--until", "0s", "--format", "{{.Nope}}"], 64, "", "Error parsing format: template: :1:2"),
        (
            ["stop", "--time", "1", "nosuch"],
            1,
            "Flag --time has been deprecated, use --timeout instead\n",
            "Error: No such container: nosuch\n",
        ),
        (
            ["stop", "--time", "1", "-t", "1", "nosuch"],
            1,
            "Flag --time has been deprecated, use --timeout instead\n",
            "conflicting options: cannot specify both --timeout and --time",
        ),
        (["network", "ls", "--filter", "name=^ho", "--format", "{{.Name}}"], 0, "host\n", ""),
        (["wait", "aa", "bb"], 1, "", "Error: No such container: aa\nError: No such container: bb\n"),
        (["volume", "rm", "aa", "bb"], 1, "", "Error: get bb: no such volume"),
        (["network", "rm", "aa", "bb"], 1, "", "Error: network bb not found"),
        (["create", "--platform", "zebra", "aa"], 1, "", 'Error: error parsing specified platform: "zebra"'),
        (["run", "--platform", "zebra", "aa"], 125, "", 'scow: error parsing specified platform: "zebra"'),
        (["exec", "--env-file", "/nosuch", "aa", "true"], 1, "", "Error: open /nosuch: no such file or directory\n"),
        (["run", "--detach-keys", "zebra", "yy"], 1, "", "Unknown character: 'zebra'"),
        (["exec", "--detach-keys", "zebra", "zz", "true"], 1, "", "Unknown character: 'zebra'"),
        (["update", "--kernel-memory", "1m", "nosuch"], 1, "", "No such container: nosuch"),
        (["ps", "--format", "{{"], 1, "", "failed to parse template: template: :1: unclosed action"),
        (["ps", "--filter", "before=aa"], 1, "", "no such container aa"),
        (["ps", "-q", "--format", "x"], 0, "", "WARNING: Ignoring custom format, because both --format and --quiet"),
    ],
)
def test_answers(answer, words, status, out, complaint):
    found = answer(*words)
    assert found[:2] == (status, out)
    assert complaint in found[2]
    assert bool(found[2]) == bool(complaint)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ab" * 32, "abababababab"),
        ("sha256:" + "ab" * 32, "abababababab"),
        ("abab", "abab"),
        ("docker.io/library/a:1", "a:1"),
        ("x.org/a@sha256:" + "cd" * 32, "x.org/a"),
        ("a", "a"),
    ],
)
def test_the_image_of_a_container_in_short(name, shown):
    assert _image(name, "sha256:" + "ab" * 32, whole=False) == shown
    assert _image(name, "sha256:" + "ab" * 32, whole=True) == name


def test_a_field_that_containers_do_not_have():
    with pytest.raises(TemplateError, match=r"^failed to execute template: .* can't evaluate field Nope"):
        show(listing(), [{"ID": "a"}], "{{.Nope}}", quiet="")


def test_the_begin_of_several_ids(answer, tmp_path):
    store = Engine(str(tmp_path / "store")).containers.store
    for number in (1, 2):
        store.insert(_container(f"ab{number}".ljust(64, "0"), f"n{number}"))
    assert answer("inspect", "ab") == (1, "[]\n", "Error: Multiple IDs found with provided prefix: ab\n")
    assert answer("inspect", "-f", "{{.Name}}", "ab1")[:2] == (0, "/n1\n")


def test_the_page_about_the_host_has_dockers_lines(answer, tmp_path):
    lines = answer("info")[1].splitlines()
    wanted = {"Client:", " Context: default", "Server:", " Swarm: inactive", f" Docker Root Dir: {tmp_path}/store"}
    assert wanted <= set(lines)
    assert _security("name=seccomp,profile=builtin") == ["  seccomp", "   Profile: builtin"]
    assert _security("name=rootless") == ["  rootless"]


def test_the_question_before_the_build_cache_goes(answer, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    question = "WARNING! This will remove all dangling build cache. Are you sure you want to continue? [y/N] "
    assert answer("builder", "prune") == (0, question, "")


def _container(identity, name):
    return Container(
        id=identity,
        name=name,
        image="sha256:" + "a" * 64,
        image_name="bb:1",
        created=1.0,
        config={"Cmd": ["sh"]},
        host={},
        network={},
        mounts=[],
        status="created",
    )


def test_the_format_of_stats_from_the_configuration(answer, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.json").write_text('{"statsFormat": "table x={{.Name}}"}')
    assert answer("stats", "--no-stream") == (0, "x=NAME\n", "")


def test_a_platform_from_the_environment_is_one(answer, monkeypatch):
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "zebra")
    status, _, err = answer("create", "yy")
    assert status == 1
    assert 'error parsing specified platform: "zebra"' in err


def test_sizes_are_of_containers_only(answer):
    assert answer("volume", "create", "zz")[0] == 0
    status, out, err = answer("inspect", "-s", "zz")
    assert (status, json.loads(out)[0]["Name"]) == (0, "zz")
    assert err == "WARNING: --size ignored for volume\n"


def test_all_that_takes_space_in_a_template(answer):
    answer("volume", "create", "--label", "k=v", "zz")
    template = '{{range .Volumes}}{{.Name}} {{.Links}} {{.Label "k"}} {{.Size}}{{end}} {{len .Images}}'
    assert answer("system", "df", "-v", "--format", template) == (0, "zz 0 v 0B 0\n", "")
    whole = json.loads(answer("system", "df", "-v", "--format", "json")[1])
    assert (list(whole), whole["Volumes"][0]["Links"]) == (["Images", "Containers", "Volumes", "BuildCache"], "0")
    assert answer("system", "df", "-v", "--format", "{{.Nope}}")[0] == 1


def test_the_least_valuable_things_in_raw_form(answer):
    assert answer("system", "df", "--format", "raw")[1].startswith("type: Images\ntotal: 0\nactive: 0\nsize: 0B\n")


def test_no_name_looks_like_a_digest(tmp_path):
    scow = Engine(str(tmp_path / "store"))
    with pytest.raises(InvalidReferenceError, match="ambiguous tag using digest algorithm as name"):
        scow.images.tag(Reference.parse("sha256:1"), "sha256:" + "0" * 64)


def test_an_image_for_another_platform_is_not_the_one_asked_for():
    image = {"Os": "linux", "Architecture": "amd64"}
    check_platform(image, "yy", "")
    check_platform(image, "yy", "linux/amd64")
    with pytest.raises(NotFoundError) as caught:
        check_platform(image, "yy", "linux/s390x")
    assert caught.value.message == (
        "image with reference yy was found but its platform (linux/amd64) does not match the specified platform"
        " (linux/s390x)"
    )


def test_files_are_written_whole_and_for_their_owner_only(tmp_path):
    path = tmp_path / "out.tar"
    write_file(str(path), lambda file: file.write(b"whole"), what="failed")
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def fail(file):
        file.write(b"half")
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_file(str(path), fail, what="failed")
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_places_that_take_no_file(tmp_path):
    with pytest.raises(InvalidArgumentError, match="failed: invalid output path: stat /none: no such file"):
        write_file("/none/x", lambda file: file.write(b""), what="failed")
    with pytest.raises(InvalidArgumentError, match="failed: cannot write to a directory"):
        write_file(str(tmp_path), lambda file: file.write(b""), what="failed")
