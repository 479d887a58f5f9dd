# SPDX-License-Identifier: Apache-2.0
"""The template engine against what docker 28.2.2 printed for the same templates and data."""

from __future__ import annotations

import json
import os

import pytest

from scow.cli.template.evaluator import Template
from scow.cli.template.functions import FUNCTIONS, HEADER_FUNCTIONS
from scow.cli.template.parser import TemplateError
from scow.cli.template.values import Method, NilPointer, Struct, TypedList, TypedMap

FOLDER = os.path.join(os.path.dirname(__file__), "../../golden/template")


def recorded(name: str) -> list[tuple[str, str, str, object]]:
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        document = json.load(file)
    # docker decodes the numbers of a context's metadata as float64
    data = json.loads(json.dumps(document["data"]), parse_int=float)
    metadata = Struct([("Description", ""), ("AdditionalFields", {"d": data})], "command.DockerContext")
    root = Struct(
        [("Name", "t1"), ("Metadata", Struct([("Name", "t1"), ("Metadata", metadata)], "store.Metadata"))],
        "context.contextWithTLSListing",
    )
    return [
        (document["prefix"] + case["template"] + document["suffix"], case["out"], case["err"], root)
        for case in document["cases"]
    ]


@pytest.mark.parametrize("name", ["recorded.json", "fuzzed.json"])
def test_output_and_errors_are_docker_s(name):
    different = []
    for text, out, err, root in recorded(name):
        try:
            got = Template(text).render(root), ""
        except TemplateError as error:
            got = "", str(error)
        if got != (out, err):
            different.append((text, (out, err), got))
    assert different == []


def render(text: str, data: object, **options: bool) -> str:
    return Template(text).render(data, **options)


def test_integers_are_integers():
    assert render("{{.n}} {{eq .n 3}} {{lt .n 4}} {{printf `%05d` .n}} {{json .n}}", {"n": 3}) == "3 true true 00003 3"


def test_a_struct_refuses_unknown_fields_and_a_map_does_not():
    struct = Struct([("A", 1)], "*formatter.imageContext")
    with pytest.raises(TemplateError, match=r"can't evaluate field Nope in type \*formatter\.imageContext"):
        render("{{.Nope}}", struct)
    assert render("{{.Nope}}", {}) == "<no value>"
    with pytest.raises(TemplateError, match='map has no entry for key "Nope"'):
        render("{{.Nope}}", {}, strict=True)


def test_a_struct_prints_in_its_order_and_a_map_by_key():
    fields = [("B", 1), ("A", "x")]
    assert render("{{.}} {{json .}}", Struct(fields, "t")) == '{1 x} {"B":1,"A":"x"}'
    assert render("{{.}} {{json .}}", dict(fields)) == 'map[A:x B:1] {"A":"x","B":1}'


def test_methods():
    row = Struct([("Label", Method(lambda key: key.upper())), ("Lazy", lambda: "computed")], "t")
    assert render('{{.Label "a"}} {{.Lazy}} {{json .}}', row) == 'A computed {"Lazy":"computed"}'
    with pytest.raises(TemplateError, match="wrong number of args for Label: want 1 got 0"):
        render("{{.Label}}", row)
    with pytest.raises(TemplateError, match="expected string; found 1"):
        render("{{.Label 1}}", row)


def test_typed_containers():
    data = Struct(
        [
            ("M", TypedMap([("a", "b")], "string", "")),
            ("S", TypedMap([("80/tcp", Struct((), "struct {}"))], "struct {}", Struct((), "struct {}"))),
            ("L", TypedList(["x", "y"], "string")),
            ("NL", TypedList((), "string", nil=True)),
            ("P", NilPointer("*t.P")),
        ],
        "t",
    )
    assert render('{{.M}}|{{index .M "zz"}}|{{.M.zz}}', data) == "map[a:b]||<no value>"
    assert render("{{.S}} {{json .S}}", data) == 'map[80/tcp:{}] {"80/tcp":{}}'
    assert render('{{join .L ","}} {{.NL}} {{json .NL}} {{len .NL}}', data) == "x,y [] null 0"
    assert render("{{.P}}|{{if .P}}y{{else}}n{{end}}|{{json .P}}", data) == "<nil>|n|null"
    with pytest.raises(TemplateError, match=r"nil pointer evaluating \*t\.P\.X"):
        render("{{.P.X}}", data)


def test_join_takes_any_list_as_newer_dockers_do():
    assert render('{{join .l "-"}} {{join .m ","}}|{{join nil ","}}|', {"l": [1, "a"], "m": {"k": "v"}}) == "1-a v||"


def test_header_functions_keep_the_heading():
    text = '{{upper .A}} {{json .A}} {{truncate .A 1}} {{join .A ","}} {{pad .A 1 1}}|'
    assert Template(text, HEADER_FUNCTIONS).render({"A": "Name"}) == "Name Name Name Name  Name |"


def test_octets_that_are_no_text_survive():
    odd = b"a\xffb".decode("utf-8", "surrogateescape")
    assert render("{{.}}{{len .}}", odd) == odd + "3"
    assert render("{{json .}}", odd) == '"a\\ufffdb"'


@pytest.mark.parametrize(
    "text",
    ["{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "{{if 1}}" * 5000, "{{.a" + ".b" * 100_000 + "}}", "{{" * 10_000],
)
def test_absurd_templates_are_refused_not_crashed_on(text):
    with pytest.raises(TemplateError):
        render(text, {}, strict=True)


def test_endless_inclusion_is_stopped():
    with pytest.raises(TemplateError, match="maximum template depth"):
        render('{{define "r"}}{{template "r"}}{{end}}{{template "r"}}', {})


def test_every_function_is_there():
    names = "and or not eq ne lt le gt ge index slice len print printf println html js urlquery call"
    docker = "json split join title lower upper pad truncate"
    assert set(FUNCTIONS) == set((names + " " + docker).split())
