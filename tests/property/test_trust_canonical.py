# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON beside another writer of it, and back again."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from scow.trust import canonical
from scow.trust.failures import MalformedTrustError

# the other writer escapes control characters, which canonical JSON writes as they are
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)))
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=12)
QUICK = settings(max_examples=60, deadline=None)
OBJECTS = st.dictionaries(TEXT, VALUES)


@QUICK
@given(OBJECTS)
def test_as_the_standard_library_writes_it(value):
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    try:
        assert canonical.encode(value) == expected
    except MalformedTrustError:
        assert expected.count(b"[") + expected.count(b"{") > canonical.MAX_DEPTH


@QUICK
@given(OBJECTS, st.randoms())
def test_whatever_the_order_and_the_blanks(value, random):
    def shuffled(found):
        if isinstance(found, dict):
            items = list(found.items())
            random.shuffle(items)
            return {name: shuffled(inner) for name, inner in items}
        return [shuffled(inner) for inner in found] if isinstance(found, list) else found

    spaced = json.dumps(shuffled(value), indent=random.choice([None, 3])).encode()
    try:
        once = canonical.encode(value)
    except MalformedTrustError:
        return
    assert canonical.encode(canonical.decode(spaced, "it")) == once


@QUICK
@given(st.binary(max_size=200) | OBJECTS.map(lambda value: json.dumps(value).encode()[:-1]))
def test_anything_else_is_refused_in_one_way(raw):
    try:
        found = canonical.decode(raw, "it")
    except MalformedTrustError:
        return
    assert json.loads(raw) == found
