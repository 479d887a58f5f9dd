# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow import jsontext

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_reads_and_writes_what_json_does(value):
    text = jsontext.dumps(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert jsontext.loads(text) == value
    assert jsontext.loads(f" \n{json.dumps(value, indent=1)}\t\r\n") == value


@pytest.mark.parametrize(
    "text", ["", " ", "{", '{"a":}', "[1,]", "nul", '"\n"', "1 2", "{} x", "'a'", '{"a" 1}', "\x00"]
)
def test_refuses_what_json_refuses(text):
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        jsontext.loads(text)


def test_bytes_are_utf_8():
    assert jsontext.loads('{"a":"ä"}'.encode()) == {"a": "ä"}
    for raw in ('{"a":"ä"}'.encode("latin-1"), '"a"'.encode("utf-16"), b'"\xed\xa0\x80"'):
        with pytest.raises(ValueError):
            jsontext.loads(raw)


def test_depth_is_an_error():
    with pytest.raises(RecursionError):
        jsontext.loads("[" * 200_000)


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="object has no form"):
        jsontext.dumps({"a": object()})


def test_tuples_become_lists():
    assert jsontext.dumps({"a": (1, "x")}) == '{"a":[1,"x"]}'


def test_without_the_c_functions(monkeypatch):
    monkeypatch.setattr(jsontext, "_FAST", None)
    assert jsontext.loads(jsontext.dumps({"a": [1, None, "ä"]})) == {"a": [1, None, "ä"]}
    with pytest.raises(ValueError):
        jsontext.loads("{")


def test_loads_no_json_module():
    body = "import sys; from scow import jsontext; jsontext.loads(jsontext.dumps({'a': [1.5]})); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", body], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"json", "re", "enum", "typing"} & set(loaded) == set()
