# SPDX-License-Identifier: Apache-2.0
"""Every flag of ``build`` does what it says, seen in the image, in a step or in a file."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import socket
import subprocess
import tarfile
import threading

import pytest

from fakes.building import build, write
from fakes.busybox import IMAGE, Scow, left, make_scow, need, traces
from fakes.docker_registry import DockerRegistry

pytestmark = [pytest.mark.interop, pytest.mark.root]


def config(scow, image):
    return json.loads(scow("inspect", image))[0]["Config"]


def log_of(scow, *words, ok=True):
    done = scow.run("build", "--progress=plain", *words)
    assert (done.returncode == 0) is ok, done.stderr.decode()
    return done.stderr.decode()


# ---------------------------------------------------------------------- what steps are run with


def test_hosts_memory_shm_and_limits(scow, ctx):
    where = write(
        ctx,
        "FROM BASE\nRUN grep -q '10.1.2.3.*db.example' /etc/hosts"
        " && df -k /dev/shm | grep -q 3072 && test $(ulimit -n) = 77\n",
    )
    build(scow, "--add-host", "db.example:10.1.2.3", "--shm-size", "3m", "--ulimit", "nofile=77:99", where)
    assert scow.run("build", "-q", "--no-cache", where).returncode == 1


@pytest.mark.host
def test_limits_of_memory_and_processors(scow, ctx):
    where = write(
        ctx,
        "FROM BASE\nRUN cat /proc/self/cgroup; for f in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
        " /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us;"
        " do test -e $f && echo $f $(cat $f); done; true\n",
    )
    log = log_of(scow, "-m", "64m", "--cpu-quota", "50000", "--cgroup-parent", "/scow-flags", where)
    assert "67108864" in log
    assert "50000" in log
    assert "/scow-flags/" in log


def test_networks(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN ls /sys/class/net; test $(ls /sys/class/net | wc -l) = 1\n")
    build(scow, "--network", "none", where)
    write(ctx, "FROM BASE\nRUN --network=none test $(ls /sys/class/net | wc -l) = 1\n")
    build(scow, "--network", "host", where)
    write(ctx, "FROM BASE\nRUN --network=host test -e /sys/class/net/lo\n")
    assert "network.host is not allowed" in log_of(scow, where, ok=False)
    build(scow, "--allow", "network.host", where)
    assert b"not supported by build" in scow.run("build", "--network", "other", where).stderr


def test_steps_are_not_on_the_hosts_network_unless_asked(scow, ctx):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        reach = f"nc -w 60 127.0.0.1 {port} < /dev/null"
        where = write(ctx, f"FROM BASE AS a\nRUN test -e /sys/class/net/eth0 && ! {reach}\nRUN ! {reach}\n"
                      f"FROM BASE AS b\nRUN sleep 1; ! {reach}\nFROM a\nCOPY --from=b /etc /b\n")  # fmt: skip
        build(scow, where)
        assert left(lambda: traces(scow)) == []
        build(scow, "--network", "host", write(ctx, f"FROM BASE\nRUN {reach}\n"))


def test_steps_that_run_at_once_listen_on_the_same_port(scow, ctx):
    hear = "sleep 100 | nc -l -p 4321 > /got &"  # nc ends with its input, which must not be before what it is sent
    send = "until { echo it; sleep 1; } | nc 127.0.0.1 4321; do sleep 0.2; done"
    listen = f"RUN {hear} {send}; grep it /got"
    build(scow, write(ctx, f"FROM BASE AS a\n{listen}\nFROM BASE AS b\n{listen}\nFROM a\nCOPY --from=b /got /b\n"))


def test_entitlements(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN --security=insecure mount -t tmpfs none /mnt || mount -t tmpfs none /data\n")
    assert "security.insecure" in log_of(scow, where, ok=False)
    build(scow, "--allow", "security.insecure", where)


def test_an_agent(scow, ctx):
    need("ssh-agent", "ssh-keygen")
    where = write(
        ctx, "FROM BASE\nRUN --mount=type=ssh,mode=0666 test -S $SSH_AUTH_SOCK && stat -c %a $SSH_AUTH_SOCK\n"
    )
    assert "ssh" in log_of(scow, write(ctx, "FROM BASE\nRUN --mount=type=ssh,required true\n"), ok=False)
    write(ctx, "FROM BASE\nRUN --mount=type=ssh,mode=0666 test -S $SSH_AUTH_SOCK && stat -c %a $SSH_AUTH_SOCK\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ctx / "key")], check=True)
    assert " 666\n" in log_of(scow, "--ssh", f"default={ctx}/key", where)
    (ctx / "key").unlink()


# ---------------------------------------------------------------------- what the image says


def test_labels_annotations_and_what_must_go(scow, ctx, tmp_path):
    base = write(ctx, "FROM BASE\nENV A=1 B=2\nLABEL a=1 b=2\nVOLUME /a /b\nEXPOSE 80 81/udp\n")
    build(scow, "-t", "flags:base", base)
    where = write(ctx, "FROM flags:base\nENV C=3\n")
    build(scow, "-t", "flags:gone", "--unset-env=A", "--unset-label", "a", "--unset-volume", "/a", "--unset-expose", "80",
          "--label", "l=m=n", "--label", "bare", "--annotation", "org.example.note=hello", where)  # fmt: skip
    found = config(scow, "flags:gone")
    assert [entry for entry in found["Env"] if not entry.startswith("PATH=")] == ["B=2", "C=3"]
    assert found["Labels"] == {"b": "2", "l": "m=n", "bare": ""}
    assert list(found["Volumes"]) == ["/b"]
    assert list(found["ExposedPorts"]) == ["81/udp"]
    done = scow.run("build", "-q", "--annotation", "org.example.note=hello", "-o", "type=oci", where)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        index = json.load(tar.extractfile("index.json"))
        digest = index["manifests"][0]["digest"].partition(":")[2]
        manifest = json.load(tar.extractfile(f"blobs/sha256/{digest}"))
    assert manifest["annotations"] == {"org.example.note": "hello"}


def test_targets_and_arguments(scow, ctx):
    where = write(ctx, "ARG T=x\nFROM BASE AS one\nARG T\nENV T=$T\nFROM one AS two\nENV U=2\n")
    build(scow, "-t", "flags:target", "--target", "one", "--build-arg", "T=given", where)
    assert "T=given" in config(scow, "flags:target")["Env"]
    assert "U=2" not in config(scow, "flags:target")["Env"]
    scow.env["T"] = "from outside"
    build(scow, "-t", "flags:target", "--target", "one", "--build-arg", "T", where)
    del scow.env["T"]
    assert "T=from outside" in config(scow, "flags:target")["Env"]


def test_names_of_outputs_and_metadata(scow, ctx, tmp_path):
    where = write(ctx, "FROM BASE\nENV N=1\n")
    identity = build(scow, "-o", "type=image,name=flags:named", "--metadata-file", f"{tmp_path}/m", where)
    assert scow("images", "-q", "--no-trunc", "flags:named") == identity
    value = json.loads((tmp_path / "m").read_text())
    assert value["containerimage.descriptor"]["digest"] == value["containerimage.digest"]
    assert value["image.name"] == "docker.io/library/flags:named"


def test_archives_of_every_type(scow, ctx, tmp_path):
    where = write(ctx, "FROM BASE\nRUN echo out > /out\n")
    other = Scow(str(tmp_path / "other"))
    for kind in ("docker", "oci"):
        build(scow, "-t", f"flags:{kind}", "-o", f"type={kind},dest={tmp_path}/{kind}.tar", where)
        assert f"flags:{kind}" in other("load", "-i", f"{tmp_path}/{kind}.tar")
        assert other("run", "--rm", "--network", "none", f"flags:{kind}", "cat", "/out") == "out"
    build(scow, "-t", "flags:dir", "-o", f"type=oci,dest={tmp_path}/layout,tar=false", where)
    assert sorted(os.listdir(tmp_path / "layout")) == ["blobs", "index.json", "oci-layout"]
    context = f"app=oci-layout://{tmp_path}/layout"
    where = write(ctx, "FROM app\nRUN grep -q out /out\n")
    build(scow, "--build-context", context, where)


def test_several_platforms(scow, ctx, tmp_path):
    where = write(
        ctx, "FROM scratch\nARG TARGETARCH\nCOPY f-$TARGETARCH /f\n", **{"f-amd64": "amd64", "f-arm64": "arm64"}
    )
    platforms = "linux/amd64,linux/arm64"
    scow("build", "--platform", platforms, "-o", str(tmp_path / "trees"), where)
    assert (tmp_path / "trees/linux_arm64/f").read_text() == "arm64"
    assert (tmp_path / "trees/linux_amd64/f").read_text() == "amd64"
    scow("build", "--platform", platforms, "-t", "flags:multi", "-o", f"type=oci,dest={tmp_path}/multi.tar", where)
    with tarfile.open(tmp_path / "multi.tar") as tar:
        index = json.load(tar.extractfile("index.json"))
        digest = index["manifests"][0]["digest"].partition(":")[2]
        inner = json.load(tar.extractfile(f"blobs/sha256/{digest}"))
    assert [entry["platform"]["architecture"] for entry in inner["manifests"]] == ["amd64", "arm64"]


# ---------------------------------------------------------------------- contexts and caches


def test_contexts_of_four_kinds(scow, ctx, tmp_path):
    need("git")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/f").write_text("dir")
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "dir/f", "f")
    from http.server import HTTPServer, SimpleHTTPRequestHandler

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        where = write(
            ctx,
            "FROM base\nCOPY --from=dir f /dir\nCOPY --from=url context /a.tar\nRUN grep -q dir /a.tar && cat /dir\n",
        )
        build(scow, "--build-context", f"base=docker-image://{IMAGE}", "--build-context", f"dir={tmp_path}/dir",
              "--build-context", f"url=http://127.0.0.1:{server.server_port}/a.tar", where)  # fmt: skip
    finally:
        server.shutdown()


CACHED = "FROM BASE\nRUN echo first > /1\nCOPY f /f\nRUN cat /f > /2\n"


def test_a_cache_in_a_directory_serves_another_store(scow, ctx, tmp_path):
    where = write(ctx, CACHED, f="x")
    build(scow, "--cache-to", f"type=local,dest={tmp_path}/cache", where)
    other = make_scow(str(tmp_path / "other"))
    log = log_of(other, "--cache-from", f"type=local,src={tmp_path}/cache", "-t", "cached", where)
    assert log.count("CACHED") == 3
    done = other("run", "--rm", "--network", "none", "cached", "cat", "/1", "/2")
    assert done == "first\nx"
    # a mirror: what no record needs any more is gone
    before = set(os.listdir(tmp_path / "cache/blobs/sha256"))
    build(scow, "--cache-to", f"type=local,dest={tmp_path}/cache", write(ctx, "FROM BASE\nRUN echo other > /1\n"))
    after = set(os.listdir(tmp_path / "cache/blobs/sha256"))
    assert len(after) == 3
    assert len(before - after) >= 3


def test_an_image_can_hold_its_own_cache(scow, ctx, tmp_path):
    need("docker-registry")
    where = write(ctx, CACHED, f="inline")
    with DockerRegistry(tmp_path / "registry") as registry:
        name = f"{registry.address}/flags/inline:1"
        build(scow, "-t", name, "--push", "--cache-to", "type=inline", where)
        other = make_scow(str(tmp_path / "other"))
        log = log_of(other, "--cache-from", name, "-t", "inline", where)
        assert log.count("CACHED") == 3
        assert other("run", "--rm", "--network", "none", "inline", "cat", "/2") == "inline"
        place = f"type=registry,ref={registry.address}/flags/cache:1"
        staged = write(ctx, CACHED.replace("FROM BASE", "FROM BASE AS a") + "FROM BASE\nCOPY --from=a /2 /3\n", f="far")
        build(scow, "--cache-to", f"{place},mode=max", staged)
        log = log_of(make_scow(str(tmp_path / "fourth")), "--cache-from", place, "--target", "a", staged)
        assert log.count("CACHED") == 3
        write(ctx, CACHED, f="inline")
        plain = f"{registry.address}/flags/plain:1"
        build(scow, "-t", plain, "--push", where)
        log = log_of(make_scow(str(tmp_path / "third")), "--cache-from", plain, where)
        assert "without a build cache" in log
        assert log.count("CACHED") == 0


# ---------------------------------------------------------------------- when things go wrong


def test_a_shell_in_what_a_failed_step_left(scow, ctx):
    where = write(ctx, "FROM BASE\nWORKDIR /w\nRUN echo left > half; exit 7\n")
    done = scow.run("build", "-q", "--on-error=shell", where, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    image = done.stderr.decode().rpartition("scow run --rm -it ")[2].split()[0]
    assert scow("run", "--rm", "--network", "none", image, "cat", "half") == "left"
    scow("rmi", "-f", image)
    outer, inner = pty.openpty()
    shell = subprocess.Popen(
        [scow.program, "build", "--network", "none", "--on-error=shell", "--no-cache", where],
        env=scow.env, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    os.write(outer, b"cat half; echo again > half; exit\n")
    text = b""
    try:
        while data := os.read(outer, 1 << 16):
            text += data
    except OSError:
        pass
    os.close(outer)
    assert shell.wait(90) == 1
    assert b"left" in text.partition(b"A shell in what the step left")[2]
    assert left(lambda: traces(scow)) == []


def test_every_line_of_raw_progress_is_json(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN seq 2000\nRUN exit 4\n")
    done = scow.run("build", "--no-cache", "--progress=rawjson", where)
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert {"begin", "log", "done", "failed"} <= {event["event"] for event in events}
    logged = b"".join(base64.b64decode(event["data"]) for event in events if event["event"] == "log")
    assert logged.split() == [b"%d" % number for number in range(1, 2001)]


def test_questions_about_a_dockerfile(scow, ctx):
    where = write(ctx, "FROM BASE as One\nARG pass\nRUN --mount=type=secret,id=tok true\n")
    done = scow.run("build", "--check", where)
    assert done.returncode == 1
    assert b"StageNameCasing" in done.stdout + done.stderr
    assert scow.run("build", "--call=check", where).returncode == 1
    assert b"tok" in scow.run("build", "--call=outline", where).stdout
    assert scow("build", "--call=targets", where).splitlines()[-1].split()[0] == "one"


def test_a_push_of_several_platforms_sends_the_index(scow, ctx, tmp_path):
    need("docker-registry", "skopeo")
    where = write(ctx, "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY f /f\n", f="x")
    with DockerRegistry(tmp_path / "registry") as registry:
        name = f"{registry.address}/flags/many"
        build(scow, "--platform", "linux/amd64,linux/arm64", "-t", f"{name}:1", "--push", where)
        seen = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}:1"]
        index = json.loads(subprocess.check_output(seen))
        assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
        scow("tag", f"{name}:1", f"{name}:2")
        scow("push", "-q", f"{name}:2")
        seen[-1] = f"docker://{name}:2"
        assert json.loads(subprocess.check_output(seen)) == index
        # a build for one platform takes the name for its one image
        build(scow, "-t", f"{name}:1", "--push", where)
        seen[-1] = f"docker://{name}:1"
        assert "manifests" not in json.loads(subprocess.check_output(seen))


def test_a_cache_in_a_registry_serves_another_store(scow, ctx, tmp_path):
    need("docker-registry")
    where = write(ctx, CACHED, f="far")
    with DockerRegistry(tmp_path / "registry") as registry:
        cache = f"type=registry,ref={registry.address}/flags/cache:1,mode=max"
        build(scow, "-t", f"{registry.address}/flags/far:1", "--push", "--cache-to", cache, where)
        other = make_scow(str(tmp_path / "other"))
        log = log_of(other, "--cache-from", cache, "-t", f"{registry.address}/flags/far:2", "--push", where)
        assert log.count("CACHED") == 3
        assert other("tags", f"{registry.address}/flags/far").split() == ["1", "2"]


def test_a_push_needs_a_tag(scow, ctx):
    done = scow.run("build", "-q", "--push", write(ctx, "FROM scratch\nCOPY f /f\n", f="x"))
    assert done.returncode == 1
    assert b"tag is needed when pushing to registry" in done.stderr
