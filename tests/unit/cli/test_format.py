# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.cli.format import (
    Listing,
    Method,
    align,
    config_format,
    ellipsis,
    human_age,
    human_duration,
    human_size,
    table,
)
from scow.cli.sizes import binary_size
from scow.cli.template.parser import TemplateError

IMAGES = Listing(
    {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "Size": "SIZE", "Digest": "DIGEST"},
    default=("Repository", "Tag", "ID", "Size"),
    kind="*formatter.imageContext",
    raw="repository: {{.Repository}}\n",
)
ROWS = [
    {"Repository": "a", "Tag": "v1", "ID": "0123456789ab", "Size": "1MB", "Digest": "<none>"},
    {"Repository": "much/longer", "Tag": "latest", "ID": "ba9876543210", "Size": lambda: "2MB", "Digest": "<none>"},
]


def test_the_plain_table():
    assert IMAGES.text(ROWS) == (
        "REPOSITORY    TAG       IMAGE ID       SIZE\n"
        "a             v1        0123456789ab   1MB\n"
        "much/longer   latest    ba9876543210   2MB\n"
    )
    assert IMAGES.text([]) == "REPOSITORY   TAG       IMAGE ID   SIZE\n"


def test_a_label_is_headed_by_the_last_part_of_its_name():
    listing = Listing({"ID": "ID", "Label": ""}, default=("ID",))
    rows = [{"ID": "1", "Label": Method(lambda name: f"<{name}>")}]
    assert listing.text(rows, r'table {{.ID}}\t{{.Label "org.some-kind_of"}}') == (
        "ID        some kind of\n1         <org.some-kind_of>\n"
    )


def test_the_plain_table_is_what_its_template_gives():
    template = r"table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.Size}}"
    assert IMAGES.text(ROWS, template) == IMAGES.text(ROWS)


def test_quiet_shows_one_field():
    assert IMAGES.text(ROWS, quiet="ID") == "0123456789ab\nba9876543210\n"
    assert IMAGES.text(ROWS, "{{.Tag}}", quiet="ID") == "v1\nlatest\n"
    assert IMAGES.text(ROWS, "table {{.Tag}}", quiet="ID") == "0123456789ab\nba9876543210\n"


def test_rows_encode_themselves_with_html_escapes_and_their_fields_without():
    row = {"Digest": "<none>", "Repository": "a&b"}
    listing = Listing({"Digest": "D", "Repository": "R"}, default=("Digest",), kind="*formatter.imageContext")
    assert listing.text([row], "json") == '{"Digest":"\\u003cnone\\u003e","Repository":"a\\u0026b"}\n'
    assert listing.text([row], "{{json .Digest}}") == '"<none>"\n'


def test_json_lines_have_every_field_sorted():
    lines = IMAGES.text(ROWS, "json").splitlines()
    assert [json.loads(line)["Repository"] for line in lines] == ["a", "much/longer"]
    assert list(json.loads(lines[0])) == sorted(ROWS[0])
    assert IMAGES.text(ROWS, "{{json .}}") == IMAGES.text(ROWS, "json")


def test_headings_follow_the_template():
    assert IMAGES.text(ROWS[:1], "table {{upper .Repository}}:{{.Tag}}\t{{truncate .ID 3}}") == (
        "REPOSITORY:TAG   IMAGE ID\nA:v1             012\n"
    )


def test_raw():
    assert IMAGES.text(ROWS[:1], "raw") == "repository: a\n\n"


def test_an_unknown_field_is_named():
    with pytest.raises(TemplateError, match=r"can't evaluate field Nope in type .formatter.imageContext"):
        IMAGES.text(ROWS, "{{.Nope}}")
    assert IMAGES.text([], "{{.Nope}}") == ""


def test_methods_are_called_and_not_listed():
    listing = Listing({"A": "A"}, default=("A",))
    row = {"A": "1", "Label": Method({"k": "v"}.get)}
    assert listing.text([row], '{{.Label "k"}}{{json .}}') == 'v{"A":"1"}\n'


def test_columns():
    assert align("a\tb\nccc\td\n") == "a         b\nccc       d\n"
    assert align("0123456789\tb\n") == "0123456789   b\n"
    assert align("no tabs\n") == "no tabs\n"
    # a line without a cell ends the column
    assert align("0123456789\tb\n\nx\ty\n") == "0123456789   b\n\nx         y\n"
    assert align("a\tb\tc\nx\ty\n") == "a         b         c\nx         y\n"
    assert table([["A", "B"], ["é" * 10, "x"]]) == "A            B\n" + "é" * 10 + "   x\n"


@pytest.mark.parametrize(
    ("size", "precision", "text"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (1234, 3, "1.23kB"),
        (1_234_567, 4, "1.235MB"),
        (72_800_000, 3, "72.8MB"),
        (999_999, 3, "1e+03kB"),
        (5 * 10**12, 4, "5TB"),
    ],
)
def test_decimal_sizes(size, precision, text):
    assert human_size(size, precision) == text


def test_binary_sizes():
    assert [binary_size(size) for size in (512, 1536, 64 << 20, 3 << 30)] == ["512B", "1.5KiB", "64MiB", "3GiB"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60 + 59, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (700 * 86400, "23 months"),
        (730 * 86400, "2 years"),
        (2000 * 86400, "5 years"),
    ],
)
def test_durations(seconds, text):
    assert human_duration(seconds) == text
    assert human_age(1000, 1000 + seconds) == text + " ago"


def test_cutting():
    assert ellipsis("abcdef", 6) == "abcdef"
    assert ellipsis("abcdefg", 6) == "abcde…"


def test_formats_of_the_client_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert config_format("psFormat") == ""
    (tmp_path / "config.json").write_text('{"psFormat": "{{.ID}}", "imagesFormat": 3}')
    assert config_format("psFormat") == "{{.ID}}"
    assert config_format("imagesFormat") == ""
    (tmp_path / "config.json").write_text("not json")
    assert config_format("psFormat") == ""
