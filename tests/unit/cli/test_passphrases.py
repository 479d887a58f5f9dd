# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import sys

import pytest

from scow.cli.passphrases import REPOSITORY, ROOT, TerminalPassphrases
from scow.trust.failures import NoSigningKeyError

KEY = "299819cb7fcd14f6cd77de4a3a8ee8abfeb2a56287acb5837058bf0f1568fb6c"


@pytest.fixture
def typed(monkeypatch):
    def give(*lines):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    give()
    return give


def get(passphrases, role="targets", *, new=False, attempt=0):
    return passphrases.get(role, KEY, new=new, attempt=attempt)


def test_the_variables_come_first():
    passphrases = TerminalPassphrases({ROOT: "of the root", REPOSITORY: "short"})
    assert get(passphrases, "root") == get(passphrases, "root", new=True) == "of the root"
    for role in ("targets", "snapshot", "alice"):
        assert get(passphrases, role) == get(passphrases, role, new=True) == "short"


def test_a_wrong_variable_is_not_tried_again(typed):
    typed("something else")
    with pytest.raises(NoSigningKeyError, match=r"password invalid, operation has failed\."):
        get(TerminalPassphrases({REPOSITORY: "wrong"}), attempt=1)


def test_a_passphrase_is_asked_for_once_for_each_role(typed, capsys):
    typed("one", "two")
    passphrases = TerminalPassphrases({})
    assert [get(passphrases), get(passphrases), get(passphrases, "alice")] == ["one", "one", "two"]
    asked = capsys.readouterr().err
    assert (
        asked
        == "Enter passphrase for repository key with ID 299819c: \nEnter passphrase for alice key with ID 299819c: \n"
    )


def test_a_wrong_one_is_asked_for_again(typed, capsys):
    typed("one", "two")
    passphrases = TerminalPassphrases({})
    assert [get(passphrases, "root"), get(passphrases, "root", attempt=1)] == ["one", "two"]
    assert "Passphrase incorrect. Please retry.\n" in capsys.readouterr().err
    with pytest.raises(NoSigningKeyError):
        get(passphrases, "root", attempt=4)


def test_a_new_one_is_long_and_typed_twice(typed, capsys):
    typed("short", "long enough", "long enouhg", "long enough", "long enough")
    assert get(TerminalPassphrases({}), "root", new=True) == "long enough"
    said = capsys.readouterr().err
    assert "Passphrase is too short." in said
    assert "Passphrases do not match. Please retry.\n" in said
    assert "Repeat passphrase for new root key with ID 299819c: " in said
    assert "nobody can restore either" in said


def test_not_for_ever(typed):
    typed(*["short"] * 9)
    with pytest.raises(NoSigningKeyError, match="attempts exceeded"):
        get(TerminalPassphrases({}), new=True)


def test_nobody_there(typed, capsys):
    with pytest.raises(NoSigningKeyError, match="password invalid") as caught:
        get(TerminalPassphrases({}), "root")
    assert ROOT in caught.value.hint
    assert capsys.readouterr().err.startswith("Enter passphrase for root key with ID 299819c: ")


def test_at_a_terminal_nothing_is_echoed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {prompt} ")
    assert get(TerminalPassphrases({})) == "Enter passphrase for repository key with ID 299819c:"
