# SPDX-License-Identifier: Apache-2.0
"""Whatever words are given, the grammar answers with values or with its own refusals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scow.cli.flags import ArgumentCountError, Command, Flag, HelpRequested, UsageError, parse
from scow.cli.values import quote, read_bytes, read_duration, read_int

FLAGS = (
    Flag("all", "a"),
    Flag("quiet", "q"),
    Flag("name", "n", kind="string"),
    Flag("env", "e", kind="list"),
    Flag("opt", "o", kind="optional", implied="x"),
    Flag("count", "c", kind="int"),
    Flag("memory", "m", kind="bytes"),
    Flag("swap", kind="swap"),
    Flag("cpus", kind="decimal"),
    Flag("wait", "w", kind="duration"),
    Flag("sysctl", kind="map"),
    Flag("platform", kind="csv"),
    Flag("filter", "f", kind="filter"),
    Flag("pull", kind="enum", choices=("always", "never")),
)
COMMAND = Command(name="x", usage="", summary="", flags=FLAGS)
FIRST = Command(name="x", usage="", summary="", flags=FLAGS, interspersed=False)

odd = st.text(alphabet="-=aqnecmwf,.:\"'0123456789kx h\n", max_size=8)
words = st.one_of(
    odd,
    st.sampled_from(
        ["-", "--", "-a", "-aq", "--name", "--name=x", "-n", "-nx", "--all=false", "--memory=1m", "-o", "-ox"]
    ),
    st.builds(
        lambda flag, value: f"--{flag.name}={value}", st.sampled_from(FLAGS), st.one_of(odd, st.text(max_size=5))
    ),
)


@given(st.lists(words, max_size=6), st.sampled_from([COMMAND, FIRST]))
def test_any_words_are_read_or_refused(argv, command):
    given_words = list(argv)
    try:
        parsed = parse(command, argv)
    except (UsageError, ArgumentCountError, HelpRequested):
        return
    assert argv == given_words, "the words are not changed"
    for flag in FLAGS:
        value = parsed[flag.name]
        assert type(value) is type(flag.absent())
    assert all(arg in argv for arg in parsed.args)


@given(st.lists(st.text(min_size=1).filter(lambda text: text[0] != "-"), max_size=5))
def test_words_without_dashes_are_arguments(argv):
    assert parse(COMMAND, argv).args == argv


@given(st.lists(st.text(), max_size=5))
def test_nothing_after_two_dashes_is_a_flag(argv):
    assert parse(COMMAND, ["-a", "--", *argv]).args == argv


@given(st.text())
def test_any_text_can_be_a_value(text):
    parsed = parse(COMMAND, ["--name", text, f"--env={text}", "-e", text])
    assert (parsed.name, parsed.env) == (text, [text, text])


@given(st.integers(min_value=0, max_value=1 << 62))
def test_integers_and_sizes_read_back(number):
    assert read_int(str(number)) == read_int(hex(number)) == read_int(oct(number)) == read_int(bin(number)) == number
    assert read_bytes(str(min(number, 1 << 52))) == min(number, 1 << 52)


@given(st.integers(min_value=0, max_value=10**12))
def test_durations_read_back(nanoseconds):
    assert read_duration(f"{nanoseconds}ns") == nanoseconds
    seconds, rest = divmod(nanoseconds, 10**9)
    assert read_duration(f"{seconds}.{rest:09d}s") == nanoseconds


@given(st.text())
def test_quoted_text_is_one_line(text):
    assert quote(text).isprintable()
