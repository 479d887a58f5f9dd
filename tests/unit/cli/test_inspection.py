# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.cli.inspection import inspect_all
from scow.cli.shapes import CONTAINER, IMAGE, NETWORK, VOLUME, typed
from scow.cli.template.evaluator import Template
from scow.errors import NotFoundError

THING = {
    "Id": "sha256:1",
    "RepoTags": ["a:1"],
    "Config": {
        "Env": ["A=1"],
        "Cmd": None,
        "Labels": {"k": "v <&>"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Oddity": 7,
    },
    "Size": 3,
    "lower": "raw",
}


def get(name):
    if name == "gone":
        raise NotFoundError("No such object: gone")
    return THING, IMAGE


def inspected(capsys, template, names=("x",)):
    status = inspect_all(names, get, template)
    out, err = capsys.readouterr()
    return status, out, err


def test_indented_json(capsys):
    status, out, err = inspected(capsys, "")
    assert (status, err) == (0, "")
    assert json.loads(out) == [THING]
    assert out.startswith('[\n    {\n        "Id": "sha256:1",\n        "RepoTags": [\n')
    assert "v <&>" in out


def test_fields_have_their_names_in_go_and_in_json(capsys):
    assert inspected(capsys, "{{.ID}}") == (0, "sha256:1\n", "")
    assert inspected(capsys, "{{.Id}}") == (0, "sha256:1\n", "")
    assert inspected(capsys, "{{json .}}")[1].startswith('{"Id":"sha256:1",')
    status, out, _ = inspected(capsys, "{{.Id}} {{.Config.Nope}}")
    assert (status, out) == (1, "\n"), "names of JSON have no zero values"


def test_limits_of_a_container_by_either_name():
    host = {"HostConfig": {"NanoCpus": 5, "Dns": ["1.1.1.1"], "PortBindings": {"80/tcp": [{"HostIp": "::1"}]}}}
    value = typed(host, CONTAINER)
    text = '{{.HostConfig.NanoCPUs}} {{.HostConfig.DNS}} {{(index .HostConfig.PortBindings "80/tcp" 0).HostIP}}'
    assert Template(text).render(value) == "5 [1.1.1.1] ::1"
    assert Template("{{.HostConfig.Init}}").render(value) == "<nil>"


def test_a_volume_of_no_plugin():
    template = Template("{{.Status}} {{.UsageData}} {{.ClusterVolume}}")
    assert template.render(typed({"Name": "v"}, VOLUME)) == "map[] <nil> <nil>"


def test_nothing_found_is_an_empty_list(capsys):
    assert inspected(capsys, "", ["gone"]) == (1, "[]\n", "Error: No such object: gone\n")


def test_what_is_found_comes_before_what_is_not(capsys):
    assert inspected(capsys, "{{.Id}}", ["gone", "x", "x"]) == (
        1,
        "sha256:1\nsha256:1\n",
        "Error: No such object: gone\n",
    )


@pytest.mark.parametrize(
    ("template", "out"),
    [
        ("{{.Config.Cmd}} {{.Config.Env}} {{.Config.ExposedPorts}}", "[] [A=1] map[53/udp:{} 80/tcp:{}]"),
        ('{{.Config.Labels.zz}}|{{index .Config.Labels "zz"}}|{{.Config.Labels.k}}', "<no value>||v <&>"),
        ("{{json .Config.Labels}} {{json .Config.Cmd}}", '{"k":"v <&>"} null'),
        ("{{.Config.Healthcheck}} {{if .Config.Healthcheck}}y{{else}}n{{end}}", "<nil> n"),
        ("{{.Author}}|{{.Config.User}}|{{.Size}}|{{.RootFS.Layers}}", "||3|[]"),
        ('{{join .Config.Env ","}}', "A=1"),
        ("{{.lower}} {{.Config.Oddity}}", "raw 7"),
        ("{{.Config.StopSignal}}|{{.Config.ArgsEscaped}}", "|false"),
    ],
)
def test_templates_see_typed_values_then_plain_json(template, out, capsys):
    assert inspected(capsys, template) == (0, out + "\n", "")


def test_json_is_the_document_on_one_line(capsys):
    status, out, _ = inspected(capsys, "json", ["x", "x"])
    assert (status, out.count("\n"), json.loads(out)) == (0, 1, [THING, THING])
    assert inspected(capsys, "json", ["gone"])[1] == "[]\n"


def test_the_json_function_shows_only_what_the_document_has(capsys):
    _, out, _ = inspected(capsys, "{{json .Config}}")
    assert json.loads(out) == {key: value for key, value in THING["Config"].items() if value and key != "Oddity"}


def test_an_absent_key_is_an_error_in_plain_json(capsys):
    status, out, err = inspected(capsys, "{{.Nope}}")
    assert (status, out) == (1, "\n")
    assert 'map has no entry for key "Nope"' in err


@pytest.mark.parametrize("template", ["{{.Os", "{{nosuchfunc .Os}}", "{{if .Os}}x"])
def test_a_malformed_template_has_a_status_of_its_own(template, capsys):
    status, out, err = inspected(capsys, template)
    assert (status, out) == (64, "")
    assert "template parsing error: template: :1: " in err


def test_shapes_fill_what_json_left_out():
    for shape in (CONTAINER, IMAGE, NETWORK, VOLUME):
        empty = typed({}, shape)
        assert list(empty) == list(shape.fields)
    container = typed(
        {"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}}},
        CONTAINER,
    )
    ports = container["NetworkSettings"]["Ports"]
    assert ports["80/tcp"][0]["HostPort"] == "8080"
    assert ports["81/tcp"].nil
    assert container["State"]["ExitCode"] == 0
    assert container["HostConfig"]["Memory"] == 0


def test_the_port_idiom(capsys):
    value = {"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}}}
    template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    assert inspect_all(["c"], lambda _: (value, CONTAINER), template) == 0
    assert capsys.readouterr().out == "8080\n"
    template = "{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}"
    assert inspect_all(["c"], lambda _: (value, CONTAINER), template) == 0
    assert capsys.readouterr().out == "80/tcp -> 8080\n"


def test_durations_print_as_such_and_encode_as_numbers(capsys):
    checked = {"Config": {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 90_000_000_000, "Retries": 3}}}
    assert inspect_all(["x"], lambda _: (checked, IMAGE), "{{.Config.Healthcheck}} {{json .Config.Healthcheck}}") == 0
    assert capsys.readouterr().out == (
        '{[CMD x] 1m30s 0s 0s 0s 3} {"Test":["CMD","x"],"Interval":90000000000,"Retries":3}\n'
    )


def test_an_images_config_has_only_what_images_have(capsys):
    image = {"Config": {"Hostname": "", "User": "", "Tty": False, "Cmd": ["a"], "Image": ""}}
    assert inspect_all(["x"], lambda _: (image, IMAGE), "{{json .Config}} {{.Config.Tty}}") == 0
    # the second field is none of an image's, so the plain document is asked, as docker does
    assert json.loads(capsys.readouterr().out.rpartition(" ")[0])["Cmd"] == ["a"]
    assert inspect_all(["x"], lambda _: (image, IMAGE), "{{json .Config}}") == 0
    assert capsys.readouterr().out == '{"Cmd":["a"]}\n'
