# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.images.changes import apply_changes
from scow.oci.model import ContainerConfig, Healthcheck

BASE = ContainerConfig(env=("PATH=/bin", "A=1"), labels={"l": "1"}, exposed_ports=("80/tcp",), working_dir="/srv")


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ('CMD ["a","b"]', "cmd", ("a", "b")),
        ("CMD a b", "cmd", ("/bin/sh", "-c", "a b")),
        ("CMD []", "cmd", ()),
        ('ENTRYPOINT ["e"]', "entrypoint", ("e",)),
        ("entrypoint e x", "entrypoint", ("/bin/sh", "-c", "e x")),
        ("ENV A=2 B=$A", "env", ("PATH=/bin", "A=2", "B=2")),
        ("ENV C some words", "env", ("PATH=/bin", "A=1", "C=some words")),
        ('LABEL a=b "c d"="e f"', "labels", {"l": "1", "a": "b", "c d": "e f"}),
        ("EXPOSE 81 53/udp", "exposed_ports", ("53/udp", "80/tcp", "81/tcp")),
        ("VOLUME /data /more", "volumes", ("/data", "/more")),
        ('VOLUME ["/x y"]', "volumes", ("/x y",)),
        ("USER bob:staff", "user", "bob:staff"),
        ("WORKDIR /w/../x", "working_dir", "/x"),
        ("WORKDIR sub/$A", "working_dir", "/srv/sub/1"),
        ("STOPSIGNAL SIGUSR1", "stop_signal", "SIGUSR1"),
        ("ONBUILD RUN true", "on_build", ("RUN true",)),
        ("HEALTHCHECK NONE", "healthcheck", Healthcheck(("NONE",))),
        (
            "HEALTHCHECK --interval=5s --retries=3 CMD check",
            "healthcheck",
            Healthcheck(("CMD-SHELL", "check"), interval=5_000_000_000, retries=3),
        ),
    ],
)
def test_each_instruction(change, field, expected):
    assert getattr(apply_changes(BASE, [change]), field) == expected


def test_another_program_gets_no_old_arguments():
    base = ContainerConfig(entrypoint=("e",), cmd=("c",))
    assert apply_changes(base, ['ENTRYPOINT ["f"]']).cmd == ()
    assert apply_changes(base, ["ENTRYPOINT []"]).cmd == ("c",)
    assert apply_changes(base, ['CMD ["d"]', 'ENTRYPOINT ["f"]']).cmd == ("d",)


def test_a_health_check_keeps_what_is_not_said_again():
    base = ContainerConfig(healthcheck=Healthcheck(("CMD", "old"), interval=1, timeout=2, retries=3))
    found = apply_changes(base, ["HEALTHCHECK --timeout=5s CMD new"]).healthcheck
    assert found == Healthcheck(("CMD-SHELL", "new"), interval=1, timeout=5_000_000_000, retries=3)


def test_changes_build_on_each_other():
    found = apply_changes(BASE, ["ENV X=/x", "WORKDIR $X", "WORKDIR y"])
    assert found.working_dir == "/x/y"


@pytest.mark.parametrize(
    "change", ["RUN true", "COPY a b", "FROM x", "MAINTAINER me", 'SHELL ["x"]', "ARG a", "nonsense x"]
)
def test_instructions_that_change_more_than_the_config(change):
    with pytest.raises(InvalidArgumentError, match="is not a valid change command"):
        apply_changes(BASE, [change])


@pytest.mark.parametrize(
    "change", ["", "NONSENSE x", 'CMD ["a', "EXPOSE", "EXPOSE x", "EXPOSE 80/zebra", "STOPSIGNAL ZEBRA"]
)
def test_what_cannot_be_read(change):
    if change == 'CMD ["a':  # not JSON: a shell form, as in a Dockerfile
        assert apply_changes(BASE, [change]).cmd == ("/bin/sh", "-c", '["a')
        return
    with pytest.raises(InvalidArgumentError):
        apply_changes(BASE, [change])
