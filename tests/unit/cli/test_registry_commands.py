# SPDX-License-Identifier: Apache-2.0
"""What the commands that talk to registries print, against a registry in this process."""

from __future__ import annotations

import base64
import io
import json
import os
import stat

import pytest

from fakes.imaging import Made, digest_of, index
from fakes.registry import FakeRegistry
from scow.cli.main import main


@pytest.fixture
def registry():
    with FakeRegistry(
        search=[{"name": "library/app", "description": "d" * 60, "star_count": 3, "is_official": True}]
    ) as fake:
        yield fake


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SCOW_", "DOCKER_", "http", "HTTP")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SCOW_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("SCOW_SNAPSHOTTER", "erofs")
    monkeypatch.setenv("SCOW_DAEMON_JSON", "")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "cfg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def scow(capsys, *argv, status=0):
    found = main(list(argv))
    out, err = capsys.readouterr()
    assert found == status, out + err
    return out, err


def test_pull_says_what_docker_says(registry, capsys):
    made = Made([{"a": b"1"}, {"b": b"2"}])
    digest = made.put(registry, "team/app", "latest")
    name = f"{registry.address}/team/app"
    out, err = scow(capsys, "pull", name)
    lines = out.splitlines()
    assert lines[:2] == ["Using default tag: latest", "latest: Pulling from team/app"]
    assert lines[-3:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}:latest", f"{name}:latest"]
    for blob in made.blobs:
        short = digest_of(blob)[7:19]
        said = [line.partition(": ")[2] for line in lines if line.startswith(short)]
        assert said[0] == "Pulling fs layer"
        assert said[-1] == "Pull complete"
    assert not err
    out, _ = scow(capsys, "pull", name)
    assert f"Status: Image is up to date for {name}:latest" in out
    made.put(registry, "team/app", "again")
    lines = scow(capsys, "pull", f"{name}:again")[0].splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "again",
        "Digest",
        "Status",
        f"{registry.address.partition(':')[0]}",
    ]
    assert scow(capsys, "pull", "-q", name) == (f"{name}:latest\n", "")


def test_what_happens_to_images_is_written_down(registry, capsys, tmp_path):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    name = f"{registry.address}/app"
    scow(capsys, "pull", "-q", f"{name}:v1")
    scow(capsys, "push", "-q", f"{name}:v1")
    scow(capsys, "save", "-o", f"{tmp_path}/a.tar", name)
    identity = scow(capsys, "images", "-q", "--no-trunc", name)[0].strip()
    shape = "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}"
    lines = scow(capsys, "events", "--since", "1h", "--until", "0s", "--format", shape)[0].splitlines()
    assert lines == [
        f"image pull {name}:v1 {name}",
        f"image push {name}:v1 {name}",
        f"image save {identity} {identity}",
    ]


def test_a_registry_s_answer_is_no_exit_status_of_run(registry, capsys):
    name = f"{registry.address}/nothing:1"
    for words in (["run", "--rm"], ["run", "--rm", "--pull", "always"]):
        _, err = scow(capsys, *words, name, "true", status=125)
        assert f"manifest for {name} not found" in err
    assert (
        'platform: "bogus": unknown operating system'
        in scow(capsys, "run", "--platform", "bogus", name, "true", status=125)[1]
    )
    assert "Unable to find image" in scow(capsys, "create", name, status=1)[1]
    assert "Unable to find image" not in scow(capsys, "create", "-q", name, status=1)[1]


def test_pull_all_tags_and_plans(registry, capsys):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    Made([{"a": b"2"}]).put(registry, "app", "v2")
    name = f"{registry.address}/app"
    out, _ = scow(capsys, "pull", "--dry-run", f"{name}:v1")
    assert "Would download" in out
    out, _ = scow(capsys, "pull", "--dry-run", "--progress=rawjson", f"{name}:v1")
    plan = json.loads(out)
    assert plan["changed"]
    assert plan["missing"] == sum(layer["size"] for layer in plan["layers"])
    out, _ = scow(capsys, "pull", "-a", name)
    assert [line for line in out.splitlines() if "Pulling from" in line] == [
        "v1: Pulling from app",
        "v2: Pulling from app",
    ]
    assert out.splitlines()[-2:] == [f"Status: Downloaded newer image for {name}", name]
    _, err = scow(capsys, "pull", "-a", f"{name}:v1", status=1)
    assert "tag can't be used with --all-tags/-a" in err


def test_podmans_short_names_when_they_are_wanted(registry, capsys, world, monkeypatch):
    (world / "registries.conf").write_text(f'[aliases]\napp = "{registry.address}/team/app"\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(world / "registries.conf"))
    monkeypatch.setenv("SCOW_SHORT_NAMES", "podman")
    Made([{"a": b"1"}]).put(registry, "team/app", "latest")
    full = f"{registry.address}/team/app"
    for pull in ("missing", "never", "always"):
        out, err = scow(capsys, "create", "--pull", pull, "app", "true")
        assert len(out) == 65
        assert ("Unable to find image 'app:latest' locally" in err) == (pull == "missing")
        assert scow(capsys, "inspect", "-f", "{{.Config.Image}}", out.strip())[0] == f"{full}\n"
    assert scow(capsys, "pull", "-q", "app")[0] == f"{full}:latest\n"


def test_progress_as_json(registry, capsys):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    out, _ = scow(capsys, "pull", "--progress=rawjson", f"{registry.address}/app:v1")
    events = [json.loads(line) for line in out.splitlines()]
    assert {"task", "status", "current", "total", "unit"} <= set(events[0])
    assert any(event.get("status") == "Pull complete" for event in events)


def test_push_says_what_docker_says(registry, capsys):
    made = Made([{"a": b"1"}])
    digest = made.put(registry, "from", "v1")
    source, target = f"{registry.address}/from:v1", f"{registry.address}/to:v2"
    scow(capsys, "pull", "-q", source)
    scow(capsys, "tag", source, target)
    out, _ = scow(capsys, "push", target)
    short = digest_of(made.plain[0])[7:19]
    assert out.splitlines() == [
        f"The push refers to repository [{registry.address}/to]",
        f"{short}: Preparing",
        f"{short}: Mounted from from",
        f"v2: digest: {digest} size: {len(made.raw)}",
    ]
    assert scow(capsys, "push", "-q", target) == (f"{target}\n", "")
    _, err = scow(capsys, "push", f"{registry.address}/nothing:1", status=1)
    assert f"An image does not exist locally with the tag: {registry.address}/nothing" in err
    _, err = scow(capsys, "push", f"{registry.address}/to", status=1)
    assert f"tag does not exist: {registry.address}/to:latest" in err
    assert scow(capsys, "push", "-a", target, status=1) == ("", "Error: tag can't be used with --all-tags/-a\n")
    by_digest = f"{registry.address}/app@{digest}"
    assert scow(capsys, "push", by_digest, status=1) == ("", "Error: cannot push a digest reference\n")


def test_login_and_logout(capsys, world, monkeypatch):
    with FakeRegistry(auth="user:pass") as registry:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"wrong\n")))
        _, err = scow(capsys, "login", "-u", "user", "--password-stdin", registry.address, status=1)
        assert "401 Unauthorized" in err
        assert not (world / "cfg" / "config.json").exists()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"pass\r\n")))
        out, err = scow(capsys, "login", "-u", "user", "--password-stdin", registry.address)
        assert out == "Login Succeeded\n"
        assert f"stored unencrypted in '{world}/cfg/config.json'" in err
        assert stat.S_IMODE((world / "cfg" / "config.json").stat().st_mode) == 0o600
        out, _ = scow(capsys, "logout", registry.address)
        assert out == f"Removing login credentials for {registry.address}\n"
        assert json.loads((world / "cfg" / "config.json").read_text())["auths"] == {}
        (world / "cfg" / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": "no base64"}}}))
        _, err = scow(capsys, "login", "-u", "user", "-p", "pass", registry.address)  # mends what is stored
        assert "WARNING! Using --password via the CLI is insecure. Use --password-stdin." in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--password-stdin"], "the --password-stdin option requires --username to be set"),
        (
            ["-u", "u", "-p", "x", "--password-stdin"],
            "conflicting options: cannot specify both --password and --password-stdin",
        ),
        ([], "Cannot perform an interactive login from a non TTY device"),
        (["-u", "", "-p", "x"], "username is empty"),
        (["-u", "u", "-p", ""], "password is empty"),
    ],
)
def test_logins_that_cannot_be(capsys, monkeypatch, flags, message):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    _, err = scow(capsys, "login", *flags, "127.0.0.1:1", status=1)
    assert err == f"Error: {message}\n"


def test_a_login_without_a_name_tries_what_is_stored(capsys, world, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with FakeRegistry(auth="user:pass") as registry:
        scow(capsys, "login", "-u", "user", "-p", "pass", registry.address)
        out, err = scow(capsys, "login", registry.address)
        assert out == "Login Succeeded\n"
        assert err.startswith("Authenticating with existing credentials... [Username: user]\n\n Info -> To login with")
        assert "stored unencrypted" not in err
        (world / "cfg" / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": "dTp4"}}}))
        _, err = scow(capsys, "login", registry.address, status=1)
        assert "Login did not succeed, error: login attempt to" in err
        assert err.endswith("Error: Cannot perform an interactive login from a non TTY device\n")


def test_search(registry, capsys):
    out, _ = scow(capsys, "search", f"{registry.address}/app")
    assert out.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL", "app", "d" * 44 + "…", "3", "[OK]"]
    out, _ = scow(capsys, "search", "--no-trunc", "--format", "{{.Description}}", f"{registry.address}/app")
    assert out == "d" * 60 + "\n"
    out, _ = scow(capsys, "search", "--format", "json", f"{registry.address}/app")
    assert json.loads(out) == {"Name": "app", "Description": "d" * 44 + "…", "StarCount": "3", "IsOfficial": "true"}
    out, err = scow(capsys, "search", "-f", "is-automated=true", "--limit", "-1", f"{registry.address}/app")
    assert out.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert err.startswith('WARNING: the "is-automated" filter is deprecated')
    _, err = scow(capsys, "search", "-f", "zebra", f"{registry.address}/app", status=125)
    assert 'invalid argument "zebra" for "-f, --filter" flag: bad format of filter (expected name=value)' in err
    Made([{}]).put(registry, "app", "v1")
    out, _ = scow(capsys, "search", "--list-tags", "--format", "{{.Tag}}", f"{registry.address}/app")
    assert out == "v1\n"


def test_tags(registry, capsys):
    for tag in ("1.9", "1.10", "latest"):
        Made([{"a": tag.encode()}]).put(registry, "app", tag)
    name = f"{registry.address}/app"
    assert scow(capsys, "tags", "--sort", "semver", "-n", "2", name)[0].split() == ["1.10", "1.9"]
    rows = json.loads(scow(capsys, "tags", "--match", "1.*", "--json", name)[0])
    assert [row["name"] for row in rows] == ["1.10", "1.9"]
    assert "DIGEST" in scow(capsys, "tags", "--digests", name)[0]
    assert scow(capsys, "tags", "--match", "1.[^9]?", name)[0] == "1.10\n"
    assert "syntax error in pattern" in scow(capsys, "tags", "--match", "[", name, status=1)[1]


def test_remote_images(registry, capsys):
    digest = Made([{"a": b"1"}]).put(registry, "app", "v1")
    name = f"{registry.address}/app:v1"
    out, _ = scow(capsys, "image", "inspect", "--remote", "--format", "{{index .RepoDigests 0}}", name)
    assert out == f"{registry.address}/app@{digest}\n"
    _, err = scow(capsys, "image", "delete", name, status=1)
    assert "--remote" in err
    assert scow(capsys, "image", "delete", "--remote", name)[0] == f"Deleted: {name}\n"
    _, err = scow(capsys, "image", "inspect", "--remote", name, status=1)
    assert "manifest unknown" in err


def test_copy_and_outdated(registry, capsys, world):
    digest = Made([{"a": b"1"}]).put(registry, "app", "v1")
    name = f"{registry.address}/app:v1"
    assert scow(capsys, "copy", "-q", name, f"oci:{world}/l:x")[0] == digest + "\n"
    scow(capsys, "pull", "-q", name)
    assert scow(capsys, "outdated", "--exit-code", "-q")[0] == ""
    Made([{"a": b"2"}]).put(registry, "app", "v1")
    assert scow(capsys, "outdated", "--exit-code", "-q", status=1)[0] == name + "\n"
    plain = scow(capsys, "outdated", "-a")[0]
    assert "outdated" in plain
    assert digest[:19] in plain
    assert digest not in plain
    row = json.loads(scow(capsys, "outdated", "--format", "{{json .}}")[0])
    assert (row["Current"], row["Status"], row["Error"]) == (digest, "outdated", "")
    scow(capsys, "tag", name, f"{registry.address}/other:v1")
    Made([{"a": b"3"}]).put(registry, "other", "v1")
    told = scow(capsys, "outdated", f"{registry.address}/other:v1")[0]
    assert f"it was neither pulled from nor pushed to {registry.address}/other" in told


def test_manifests(registry, capsys):
    made, arm = Made([{"a": b"1"}]), Made([{"a": b"2"}], arch="arm64")
    made.put(registry, "one", "v1")
    arm.put(registry, "two", "v1")
    one, two, both = (f"{registry.address}/{name}:v1" for name in ("one", "two", "both"))
    assert scow(capsys, "manifest", "create", both, one, two)[0] == f"Created manifest list {both}\n"
    scow(capsys, "manifest", "annotate", "--os-version", "1.2", both, two)
    document = json.loads(scow(capsys, "manifest", "inspect", both)[0])
    assert [entry["platform"]["architecture"] for entry in document["manifests"]] == ["amd64", "arm64"]
    assert document["manifests"][1]["platform"]["os.version"] == "1.2"
    row = json.loads(scow(capsys, "manifest", "inspect", "-v", both, two)[0])
    assert row["Descriptor"]["platform"]["os.version"] == "1.2"
    *pushed, digest = scow(capsys, "manifest", "push", "-p", both)[0].split("\n")[:-1]
    assert pushed == [
        f"Pushed ref {registry.address}/both@{each} with digest: {each}"
        for each in (digest_of(made.raw), digest_of(arm.raw))
    ]
    assert registry.tags["both"]["v1"] == digest
    rows = json.loads(scow(capsys, "manifest", "inspect", "-v", both)[0])
    assert [row["Descriptor"]["digest"] for row in rows] == [digest_of(made.raw), digest_of(arm.raw)]
    assert [row["Ref"] for row in rows] == [f"{both}@{digest_of(made.raw)}", f"{both}@{digest_of(arm.raw)}"]
    assert base64.b64decode(rows[0]["Raw"]) == made.raw
    assert rows[0]["OCIManifest"] == json.loads(made.raw)
    assert json.loads(scow(capsys, "manifest", "inspect", one)[0]) == json.loads(made.raw)
    by_digest = f"{registry.address}/one@{digest_of(made.raw)}"
    row = json.loads(scow(capsys, "manifest", "inspect", "-v", by_digest)[0])
    assert (row["Ref"], row["Descriptor"]["platform"]) == (by_digest, {"architecture": "amd64", "os": "linux"})
    _, err = scow(capsys, "manifest", "inspect", f"{registry.address}/one:nope", status=1)
    assert err.startswith(f"Error: no such manifest: {registry.address}/one:nope\n")
    _, err = scow(capsys, "manifest", "rm", both, status=1)
    assert "No such manifest" in err
    assert index(registry, "x", "y", [(made, None)])
