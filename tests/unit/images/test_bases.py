# SPDX-License-Identifier: Apache-2.0
"""Base images from packages: what is asked for, what is run, what is cleaned up."""

from __future__ import annotations

import os

import pytest

from scow.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from scow.images.aptsources import AptSource, find_source, parse_deb822, parse_list, read_sources
from scow.images.bases import BaseRequest, BootstrapError, bootstrap_command, release_time, run_bootstrap, tidy

DEB822 = """\
# a comment
Types: deb deb-src
# another
URIs: http://one.example/debian http://two.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb
URIs: http://inline.example/ubuntu
Suites: jammy
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
"""
LIST = """\
deb [arch=amd64 signed-by=/keys/a.gpg] http://a.example/debian trixie main contrib # why
# deb http://no.example/debian sid main
deb-src http://src.example/debian trixie main
deb cdrom:[disc]/ trixie main
deb http://b.example/debian sid main
deb broken
"""


def test_sources_in_both_formats() -> None:
    found = parse_deb822(DEB822)
    assert [source.uri for source in found] == [
        "http://one.example/debian", "http://two.example/debian/", "http://inline.example/ubuntu",
    ]  # fmt: skip
    assert found[0] == AptSource(
        "http://one.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib"), "/keys/debian.gpg"
    )
    assert found[2].signed_by == ""
    lines = parse_list(LIST)
    assert lines[0] == AptSource("http://a.example/debian", ("trixie",), ("main", "contrib"), "/keys/a.gpg")
    assert [source.uri for source in lines] == ["http://a.example/debian", "cdrom:[disc]/", "http://b.example/debian"]


def test_a_host_s_sources(tmp_path) -> None:
    assert read_sources(str(tmp_path)) == []
    (tmp_path / "sources.list").write_text("deb http://a/debian a main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "z.list").write_text("deb http://z/debian z main\n")
    (parts / "b.sources").write_text("Types: deb\nURIs: http://b/debian\nSuites: b\n")
    (parts / "c.list.save").write_text("deb http://c/debian c main\n")
    assert [source.suites for source in read_sources(str(tmp_path))] == [("a",), ("b",), ("z",)]


def test_the_archive_for_a_suite() -> None:
    sources = [*parse_list(LIST), *parse_deb822(DEB822)]
    assert find_source(sources, "debian", "bookworm").uri == "http://one.example/debian"
    assert find_source(sources, "debian", "forky").uri == "http://a.example/debian"
    assert find_source(sources, "ubuntu", "noble").uri == "http://inline.example/ubuntu"
    assert find_source(parse_list("deb cdrom:[d]/debian sid main"), "debian", "sid") is None


@pytest.mark.parametrize(
    ("base", "suite"),
    [
        ("debian:bookworm", "bookworm"),
        ("debian:12", "bookworm"),
        ("debian", "stable"),
        ("ubuntu:22.04", "jammy"),
        ("ubuntu:jammy", "jammy"),
    ],
)
def test_requests(base, suite) -> None:
    assert BaseRequest.parse(base).suite == suite


@pytest.mark.parametrize(
    ("base", "named", "words"),
    [
        ("fedora:40", {}, "'fedora:40' is not a base"),
        ("debian:../etc", {}, "is not a base"),
        ("debian:--help", {}, "is not a base"),
        ("ubuntu", {}, "needs a suite"),
        ("debian:sid", {"include": ["ok,--bad"]}, "'--bad' is not the name of a package"),
        ("debian:sid", {"variant": "huge"}, "no variant 'huge'"),
        ("debian:sid", {"mirror": "--x"}, "not the address of a mirror"),
        ("debian:sid", {"environ": {"SOURCE_DATE_EPOCH": "now"}}, "SOURCE_DATE_EPOCH is 'now'"),
    ],
)
def test_bad_requests(base, named, words) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        BaseRequest.parse(base, **named)


def test_what_the_history_says() -> None:
    request = BaseRequest.parse("debian:12", ["aa,bb", "cc"], variant="buildd")
    assert request.command == "scow base create debian:bookworm --include aa,bb,cc --variant buildd"


@pytest.fixture
def usr(tmp_path):
    for name in ("bin", "sbin", "share/keyrings", "share/debootstrap/scripts"):
        (tmp_path / "usr" / name).mkdir(parents=True)
    (tmp_path / "usr/share/keyrings/debian-archive-keyring.gpg").touch()
    (tmp_path / "usr/share/debootstrap/scripts/bookworm").touch()
    return tmp_path / "usr"


def program(path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_the_command_for_each_program(usr) -> None:
    request = BaseRequest.parse("debian:12", ["aa", "bb"])
    sources = [AptSource("http://m/debian", ("bookworm",))]
    with pytest.raises(UnsupportedError, match="neither is installed"):
        bootstrap_command(request, "/t", sources, usr=str(usr))
    program(usr / "sbin/debootstrap")
    keys = f"--keyring={usr}/share/keyrings/debian-archive-keyring.gpg"
    assert bootstrap_command(request, "/t", sources, usr=str(usr)) == [
        f"{usr}/sbin/debootstrap", keys, "--variant=minbase", "--include=aa,bb", "bookworm", "/t", "http://m/debian",
    ]  # fmt: skip
    assert bootstrap_command(request, "/t", [], usr=str(usr))[-2:] == ["bookworm", "/t"]
    program(usr / "bin/mmdebstrap")
    assert bootstrap_command(BaseRequest.parse("debian:99x", mirror="http://n/d"), "/t", sources, usr=str(usr)) == [
        f"{usr}/bin/mmdebstrap", keys, "--mode=root", "--format=directory", "--variant=minbase",
        "--skip=cleanup/apt/lists", "99x", "/t", "http://n/d",
    ]  # fmt: skip


def test_what_is_missing_is_named(usr) -> None:
    program(usr / "sbin/debootstrap")
    with pytest.raises(NotFoundError, match="does not know debian's suite 'nosuch'"):
        bootstrap_command(BaseRequest.parse("debian:nosuch"), "/t", [], usr=str(usr))
    with pytest.raises(UnsupportedError, match="keys of ubuntu") as caught:
        bootstrap_command(BaseRequest.parse("ubuntu:jammy"), "/t", [], usr=str(usr))
    assert "apt install ubuntu-keyring" in caught.value.hint
    (usr / "share/keyrings/ubuntu-archive-keyring.gpg").touch()
    (usr / "share/debootstrap/scripts/jammy").touch()
    with pytest.raises(InvalidArgumentError, match="no mirror of ubuntu"):
        bootstrap_command(BaseRequest.parse("ubuntu:jammy"), "/t", [], usr=str(usr))


@pytest.mark.root
def test_running_the_program(tmp_path) -> None:
    lines: list[str] = []
    request = BaseRequest("debian", "sid", epoch=77, environ={"HTTP_PROXY": "http://p", "SECRET": "x"})
    script = 'echo "I: Retrieving $SOURCE_DATE_EPOCH $HTTP_PROXY $SECRET"; mount -t tmpfs none "$1"; touch "$1/x"'
    words = ["/bin/sh", "-c", script, "sh", str(tmp_path)]
    run_bootstrap(words, request, str(tmp_path), lambda event: lines.append(event.status))
    assert lines == ["Retrieving 77 http://p"]
    assert os.listdir(tmp_path) == []
    words = ["/bin/sh", "-c", "echo 'I: begin'; echo 'E: Couldn'\\''t find these debs: foo'; echo later; exit 3"]
    with pytest.raises(BootstrapError, match="status 3: Couldn't find these debs: foo"):
        run_bootstrap(words, request, str(tmp_path), lambda event: None)


def test_tidying(tmp_path) -> None:
    for name in (
        "etc/apt/apt.conf.d", "etc/dpkg/dpkg.cfg.d", "usr/sbin", "var/lib/apt/lists", "var/log/apt", "var/cache/apt",
        "run/lock", "dev", "var/lib/dpkg",
    ):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    for name in ("var/log/apt/term.log", "var/log/dpkg.log", "var/cache/apt/pkgcache.bin", "etc/resolv.conf", "dev/x"):
        (tmp_path / name).write_text("x")
    (tmp_path / "etc/shadow").write_text("root:*:20000:0:::::\nold:*:10:0:::::\nodd\n")
    (tmp_path / "var/lib/dpkg/status").write_text("kept")
    (tmp_path / "var/lib/apt/lists/m_dists_sid_InRelease").write_text("Hash: x\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n")
    epoch = tidy(str(tmp_path), None)
    assert epoch == 1783764997
    left = sorted(
        os.path.relpath(os.path.join(top, name), tmp_path) for top, _, names in os.walk(tmp_path) for name in names
    )
    assert left == [
        "etc/apt/apt.conf.d/90container", "etc/dpkg/dpkg.cfg.d/90container", "etc/machine-id", "etc/shadow",
        "usr/sbin/policy-rc.d", "var/lib/dpkg/status",
    ]  # fmt: skip
    assert (tmp_path / "etc/shadow").read_text() == "root:*:20000:0:::::\nold:*:10:0:::::\nodd\n"
    assert tidy(str(tmp_path), 86400 * 15) == 86400 * 15
    assert (tmp_path / "etc/shadow").read_text() == "root:*:15:0:::::\nold:*:10:0:::::\nodd\n"
    assert os.listdir(tmp_path / "run") == []
    assert release_time(str(tmp_path / "none")) == 0


@pytest.mark.root
@pytest.mark.debian
@pytest.mark.slow
def test_a_real_base_image_is_the_same_each_time(tmp_path) -> None:
    from conformance.snapshotter import Store
    from scow.images.bases import create_base
    from scow.images.store import ImageStore
    from scow.images.unpack import unpack
    from scow.linux.process import find_program
    from scow.oci.reference import Reference

    if not (find_program("debootstrap") or find_program("mmdebstrap")):
        pytest.skip("neither debootstrap nor mmdebstrap is installed")
    seen = set()
    for number in range(2):
        store = Store(str(tmp_path / f"store{number}"), "")
        images = ImageStore(store.db, store.content, store.leases)
        request = BaseRequest.parse("debian:bookworm")
        try:
            record = create_base(images, store.content, request, [Reference.parse("base:1")])
        except BootstrapError as error:
            pytest.skip(f"no mirror can be reached: {error}")
        seen.add(record.id)
        with store.leases.hold("look") as lease:
            chain = unpack(record, images, store.content, store.snapshots, lease)
            tree = store.tree(chain, lease)
        assert tree["etc/debian_version"][4].startswith(b"12")
        assert os.listdir(tmp_path / f"store{number}" / "tmp") == []
    assert len(seen) == 1


def test_places_for_mounts_have_no_time_of_their_own(tmp_path):
    """Bootstrapping with and without the right to mount leaves them at different times."""
    for name in ("proc", "sys", "etc"):
        (tmp_path / name).mkdir()
    assert tidy(str(tmp_path), 1_500_000_000) == 1_500_000_000
    assert [os.stat(tmp_path / name).st_mtime for name in ("proc", "sys")] == [1_500_000_000] * 2
