# SPDX-License-Identifier: Apache-2.0
"""Builds for real: layers, cache, mounts, secrets, outputs, interruption, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fakes.building import build, write
from fakes.busybox import IMAGE, left, need, traces

pytestmark = [pytest.mark.interop, pytest.mark.root]


def output_of(scow, image, *command):
    return scow("run", "--rm", "--network", "none", image, *command)


def log_of(scow, *words, ok=True, **options):
    done = scow.run("build", "--progress=plain", *words, **options)
    assert (done.returncode == 0) is ok, done.stderr.decode()
    return done.stderr.decode()


def leftovers(scow):
    return left(lambda: _found(scow))


def _found(scow):
    found = traces(scow)
    for name in ("tmp", "ingest"):
        path = os.path.join(scow.root, name)
        found += [f"{name}/{entry}" for entry in (os.listdir(path) if os.path.isdir(path) else ())]
    for name in ("bundles", "steps"):
        path = os.path.join(scow.run_root, name)
        found += [f"{name}/{entry}" for entry in (os.listdir(path) if os.path.isdir(path) else ())]
    return found


# ---------------------------------------------------------------------- cache


def test_a_copy_with_link_and_one_without_are_two_steps(scow, ctx):
    text = "FROM BASE\nRUN mkdir /d && ln -s /d /l\nCOPY{} a /l/a\nRUN echo /d/*\n"
    assert "/d/*" in log_of(scow, write(ctx, text.format(" --link"), a="one"))
    assert "/d/a" in log_of(scow, write(ctx, text.format(""), a="one"))


def test_a_second_build_takes_everything_from_the_cache(scow, ctx):
    where = write(ctx, 'FROM BASE\nWORKDIR /w\nCOPY a .\nRUN cat a > b\nCMD ["cat", "b"]\n', a="one")
    first = build(scow, "-t", "t:1", where)
    assert output_of(scow, "t:1") == "one"
    log = log_of(scow, "-t", "t:2", "--explain", where)
    assert log.count("CACHED") >= 3
    assert build(scow, where) == first
    assert scow("images", "-q", "--no-trunc", "t:2") == first
    (ctx / "a").write_text("two")
    assert build(scow, "-t", "t:3", where) != first
    assert output_of(scow, "t:3") == "two"
    assert leftovers(scow) == []


def test_the_same_inputs_give_the_same_image(scow, ctx):
    where = write(
        ctx, "FROM BASE\nWORKDIR /new/deep\nCOPY a d/\nRUN date > /dev/null; mkdir /x; echo y > /x/y; touch /tmp\n", a="1"
    )  # fmt: skip
    first = build(scow, "--no-cache", where)
    time.sleep(1.1)
    assert build(scow, "--no-cache", where) == first


def test_the_cache_knows_for_which_time_a_layer_was_made(scow, ctx):
    where = write(ctx, "FROM BASE\nCOPY a /a\nRUN echo r > /r\nWORKDIR /w\n", a="1")
    late = build(scow, "--build-arg", "SOURCE_DATE_EPOCH=2000", where)
    early = build(scow, "-t", "early", "--build-arg", "SOURCE_DATE_EPOCH=1000", where)
    assert output_of(scow, "early", "stat", "-c", "%Y", "/a", "/r", "/w").split() == ["1000"] * 3
    assert early != late
    assert build(scow, "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1000", where) == early
    assert build(scow, "--build-arg", "SOURCE_DATE_EPOCH=2000", where) == late


def test_times_that_a_command_sets_stay(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN touch -d @1000000000 /old && touch /new\n")
    build(scow, "-t", "times", where)
    assert output_of(scow, "times", "stat", "-c", "%Y", "/old") == "1000000000"
    assert int(output_of(scow, "times", "stat", "-c", "%Y", "/new")) < time.time() - 1


def test_a_stage_rebuilt_to_the_same_files_changes_nothing_above(scow, ctx):
    text = "FROM BASE AS b\nARG N\nRUN echo $N > /ignored; echo same > /f\nFROM BASE\nCOPY --from=b /f /f\nRUN cat /f > /g\n"
    where = write(ctx, text)
    build(scow, "--build-arg", "N=1", where)
    log = log_of(scow, "--build-arg", "N=2", where)
    assert "RUN cat /f > /g" in log
    steps = log.split("#")
    assert any("RUN cat /f" in step for step in steps)
    assert log.count("CACHED") >= 1


def test_unused_stages_do_not_run_and_independent_ones_run_together(scow, ctx):
    # each says that it is there and waits for the other, for at most a minute
    meet = (
        "RUN --mount=type=cache,id=meeting,target=/m echo > /m/{0};"
        " for i in $(seq 600); do test -e /m/{1} && break; sleep 0.1; done; test -e /m/{1} && echo > /{0}\n"
    )
    where = write(
        ctx,
        f"FROM BASE AS never\nRUN exit 1\nFROM BASE AS a\n{meet.format('a', 'b')}FROM BASE AS b\n{meet.format('b', 'a')}"
        "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
    )
    log = log_of(scow, "--no-cache", where)
    assert "exit 1" not in log


def test_no_cache_filter(scow, ctx):
    where = write(ctx, "FROM BASE AS one\nRUN echo 1\nFROM one AS two\nRUN echo 2\n")
    build(scow, where)
    log = log_of(scow, "--no-cache-filter", "two", where)
    assert "[one 2/2] RUN echo 1\n#" in log
    assert "CACHED" in log
    assert " 2\n" in log


# ---------------------------------------------------------------------- failures


def test_a_failed_step_shows_all_it_wrote_and_where_it_stands(scow, ctx):
    where = write(ctx, "FROM BASE\n\nRUN seq 3000; echo oops >&2; exit 3\n")
    done = scow.run("build", "-q", where)
    text = done.stderr.decode()
    assert done.returncode == 1
    assert "\n1\n2\n3\n" in text
    # runc carries the two streams one beside the other: all of both arrives, in their own order only
    assert "\n2999\n" in text
    assert "3000\n" in text
    assert "oops\n" in text
    assert "Dockerfile:3" in text
    assert "   3 | >>> RUN seq 3000" in text
    assert "exit code: 3" in text
    assert "--on-error=shell" in text


def test_what_succeeded_before_a_failure_is_kept(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN echo slow > /s; sleep 1\nRUN test -e /fixed\n")
    log_of(scow, where, ok=False)
    write(ctx, "FROM BASE\nRUN echo slow > /s; sleep 1\nRUN true\n")
    log = log_of(scow, where)
    assert "[2/3] RUN echo slow > /s; sleep 1\n#" in log
    assert "CACHED" in log


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM BASE\nCOPY gone /\n", "'/gone' not found in the build context"),
        ("FROM BASE\nNOPE x\n", "unknown instruction: NOPE"),
        ("FROM BASE\nCOPY a /etc/passwd/x\n", "not a directory"),
        ("FROM BASE\nRUN --mount=type=secret,id=s,required x\n", "secret s: not found"),
        ('FROM BASE\nRUN ["/no/such"]\n', "/no/such"),
        ("FROM BASE\nUSER nobody-here\nRUN true\n", "unable to find user nobody-here"),
    ],
)  # fmt: skip
def test_refusals(scow, ctx, dockerfile, message):
    where = write(ctx, dockerfile, a="1")
    text = log_of(scow, where, ok=False)
    assert message in text
    assert "Traceback" not in text
    assert leftovers(scow) == []


def test_the_begin_of_an_id_is_no_name(scow, ctx):
    """`FROM a` is an image called a; the digits that listings show are an image."""
    where = write(ctx, "FROM scratch\nCOPY a /\n", a="1")
    identity = scow("build", "-q", where).removeprefix("sha256:")
    for digits, there in ((identity[:1], False), (identity[:11], False), (identity[:12], True)):
        log_of(scow, write(ctx, f"FROM {digits}\nCOPY a /again\n", a="1"), ok=there)


def test_reserved_and_bad_names(scow, ctx):
    where = write(ctx, "FROM BASE\n")
    assert "'scratch' is a reserved name" in log_of(scow, "-t", "scratch", where, ok=False)
    assert 'invalid argument "UPPER" for "-t, --tag" flag' in log_of(scow, "-t", "UPPER", where, ok=False)
    assert "not found" in log_of(scow, str(ctx / "nowhere"), ok=False)


def test_an_interrupt_leaves_nothing(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN echo begun; sleep 900\n")
    process = scow.start("build", "--progress=plain", where, stderr=subprocess.PIPE)
    assert any(line.endswith(b" begun\n") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 130
    assert leftovers(scow) == []


# ---------------------------------------------------------------------- mounts


def test_secrets_reach_the_command_and_nothing_else(scow, ctx, tmp_path):
    (tmp_path / "tok").write_text("hush-hush-1")
    where = write(
        ctx,
        "FROM BASE\nRUN --mount=type=secret,id=tok wc -c < /run/secrets/tok > /n\n"
        "RUN --mount=type=secret,id=env,env=E sh -c 'echo ${#E} > /m'\nRUN test ! -e /run/secrets/tok\n",
    )
    secrets = ["--secret", f"id=tok,src={tmp_path}/tok", "--secret", "id=env,env=HUSH"]
    scow.env["HUSH"] = "twelve chars"
    build(scow, "-t", "sec", *secrets, where)
    assert output_of(scow, "sec", "cat", "/n", "/m").split() == ["11", "12"]
    archive = scow.run("save", "sec").stdout
    assert b"hush-hush-1" not in archive
    assert leftovers(scow) == []


def test_a_secret_in_a_layer_stops_the_build(scow, ctx, tmp_path):
    (tmp_path / "tok").write_text("hush-hush-2")
    where = write(ctx, "FROM BASE\nRUN --mount=type=secret,id=tok mkdir /d && cat /run/secrets/tok > /d/leak\n")
    secret = ["--secret", f"id=tok,src={tmp_path}/tok"]
    assert "/d/leak" in log_of(scow, *secret, where, ok=False)
    build(scow, *secret, "--allow-leak", "tok", where)
    assert "/d/leak" in log_of(scow, *secret, where, ok=False)


def test_memory_is_for_every_user(scow, ctx):
    where = write(
        ctx,
        "FROM BASE\nRUN mkdir -m 755 /there\nUSER 5:6\n"
        "RUN --mount=type=tmpfs,target=/there --mount=type=tmpfs,target=/new echo x > /there/a && echo y > /new/b\n"
        "USER 0\nRUN --mount=type=tmpfs,target=/there,ro ! touch /there/a\n",
    )
    build(scow, "-t", "memory", where)
    assert output_of(scow, "memory", "sh", "-c", "ls -d /new /there/* || stat -c %a /there").split() == ["755"]


def test_cache_mounts_are_kept_between_builds(scow, ctx):
    where = write(
        ctx, "FROM BASE\nARG N\nRUN --mount=type=cache,target=/c,id=k sh -c 'echo $N >> /c/log; cat /c/log > /out'\n"
    )
    build(scow, "--build-arg", "N=1", where)
    build(scow, "--build-arg", "N=2", "-t", "cm", where)
    assert output_of(scow, "cm", "cat", "/out").split() == ["1", "2"]
    assert "cache mount k" in scow("builder", "df")


def test_the_source_of_a_cache_is_a_directory_in_it(scow, ctx):
    one = "RUN --mount=type=cache,id=inner,target=/c"
    two = "RUN --mount=type=cache,id=inner,source=sub,target=/s"
    build(scow, write(ctx, f"FROM BASE\n{one} mkdir /c/sub && echo here > /c/sub/f\n{two} grep here /s/f\n"))
    escape = (
        f"FROM BASE\n{one} ln -s /etc /c/link\nRUN --mount=type=cache,id=inner,source=link,target=/s cat /s/passwd\n"
    )
    done = scow.run("build", "-q", write(ctx, escape))
    assert done.returncode == 1
    assert "'/link' is not there to be mounted" in done.stderr.decode()


def test_a_build_that_fails_before_it_begins_after_one_that_did_not(scow, ctx):
    where = write(ctx, "FROM BASE\nCOPY a /a\nCOPY b /b\n", a="1", b="2")
    build(scow, where)
    (ctx / "a").unlink()
    done = scow.run("build", "-q", where)
    assert done.returncode == 1
    assert "foresee" not in done.stderr.decode()
    assert "Dockerfile:2" in done.stderr.decode()


def test_locked_caches_take_turns(scow, ctx):
    step = "RUN --mount=type=cache,target=/c,id=lock,sharing=locked sh -c 'test ! -e /c/busy; touch /c/busy; sleep 1; rm /c/busy'\n"
    where = write(ctx, f"FROM BASE AS a\n{step}FROM BASE AS b\nENV X=1\n{step}FROM a\nCOPY --from=b /etc /x\n")
    build(scow, "--no-cache", where)


def test_binds_show_the_context_without_ignored_files_and_take_no_changes(scow, ctx):
    where = write(
        ctx,
        "FROM BASE\nRUN --mount=type=bind,target=/m sh -c 'ls /m > /out'\n"
        "RUN --mount=type=bind,target=/m,rw sh -c 'echo new > /m/new; echo changed > /m/a; ls /m >> /out'\n",
        a="1", secret="2", **{".dockerignore": "secret\nDockerfile\n.dockerignore\n"},
    )  # fmt: skip
    build(scow, "-t", "bind", where)
    assert output_of(scow, "bind", "cat", "/out").split() == ["a", "a", "new"]
    assert (ctx / "a").read_text() == "1"
    assert not (ctx / "new").exists()


def test_host_volumes(scow, ctx, tmp_path):
    (tmp_path / "v").mkdir()
    where = write(ctx, "FROM BASE\nRUN echo from-build > /v/f\n")
    build(scow, "-v", f"{tmp_path}/v:/v", where)
    assert (tmp_path / "v/f").read_text() == "from-build\n"


# ---------------------------------------------------------------------- contexts


def test_contexts_from_streams_and_beside_their_dockerfile(scow, ctx, tmp_path):
    where = write(ctx, "FROM BASE\nCOPY a /\n", a="stream")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.add(where, ".")
    build(scow, "-t", "s:1", "-", input=out.getvalue())
    assert output_of(scow, "s:1", "cat", "/a") == "stream"
    build(scow, "-t", "s:2", "-", input=f"FROM {IMAGE}\nLABEL x=y\n".encode())
    build(scow, "-t", "s:3", "-f", "-", where, input=f"FROM {IMAGE}\nCOPY a /b\n".encode())
    assert output_of(scow, "s:3", "cat", "/b") == "stream"
    (tmp_path / "other").write_text(f"FROM {IMAGE}\nCOPY a /c\n")
    build(scow, "-t", "s:4", "-f", str(tmp_path / "other"), where)
    assert output_of(scow, "s:4", "cat", "/c") == "stream"


def test_named_contexts(scow, ctx, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/f").write_text("more")
    where = write(ctx, "FROM alias\nCOPY --from=extra f /f\n")
    build(scow, "-t", "nc", "--build-context", f"extra={tmp_path}/more", "--build-context",
          f"alias=docker-image://{IMAGE}", where)  # fmt: skip
    assert output_of(scow, "nc", "cat", "/f") == "more"


def test_git_repositories(scow, ctx, tmp_path):
    need("git")
    repo = tmp_path / "r.git"
    repo.mkdir()
    git = ["git", "-C", str(repo), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    (repo / "sub").mkdir()
    (repo / "sub/f").write_text("git")
    (repo / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY sub/f /f\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    scow.env["GIT_CONFIG_COUNT"] = "1"
    scow.env["GIT_CONFIG_KEY_0"] = f"url.{repo}.insteadOf"
    scow.env["GIT_CONFIG_VALUE_0"] = "https://git.example/r.git"
    build(scow, "-t", "git:1", "https://git.example/r.git#main")
    assert output_of(scow, "git:1", "cat", "/f") == "git"
    where = write(ctx, "FROM BASE\nADD https://git.example/r.git#main:sub /s/\n")
    build(scow, "-t", "git:2", where)
    assert output_of(scow, "git:2", "ls", "-A", "/s") == "f"
    (repo / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY . /all\n")
    subprocess.run([*git, "commit", "-qam", "y"], check=True)
    for value, found in (("", "no"), ("1", "yes")):
        kept = [f"--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR={value}"] if value else []
        build(scow, "-t", "git:3", *kept, "https://git.example/r.git#main")
        assert output_of(scow, "git:3", "sh", "-c", "test -e /all/.git/HEAD && echo yes || echo no") == found


def test_files_from_the_network(scow, ctx):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("If-None-Match"))
            if self.headers.get("If-None-Match") == '"v1"':
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(200 if self.path == "/x/f.txt" else 404)
            self.send_header("ETag", '"v1"')
            self.end_headers()
            self.wfile.write(b"net")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/x/f.txt"
    where = write(ctx, f"FROM BASE\nADD {url} /n/\n")
    build(scow, "-t", "net", where)
    assert output_of(scow, "net", "cat", "/n/f.txt") == "net"
    build(scow, where)
    assert asked == [None, '"v1"']
    write(ctx, f"FROM BASE\nADD --checksum=sha256:{'0' * 64} {url} /n/\n")
    assert "sha256:" in log_of(scow, where, ok=False)
    write(ctx, f"FROM BASE\nADD {url}.gone /n/\n")
    assert "404" in log_of(scow, where, ok=False)
    server.shutdown()


# ---------------------------------------------------------------------- results


def test_outputs(scow, ctx, tmp_path):
    where = write(
        ctx, "FROM BASE AS b\nRUN mkdir /r && echo 1 > /r/f && ln -s f /r/l\nFROM scratch\nCOPY --from=b /r /\n"
    )
    scow("build", "-o", str(tmp_path / "tree"), where)
    assert (tmp_path / "tree/f").read_text() == "1\n"
    assert os.readlink(tmp_path / "tree/l") == "f"
    data = scow.run("build", "-q", "-o", "-", where).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert sorted(tar.getnames()) == ["f", "l"]
    before = scow("images", "-aq")
    scow("build", "-o", f"type=oci,dest={tmp_path}/oci.tar", where)
    with tarfile.open(tmp_path / "oci.tar") as tar:
        assert "oci-layout" in tar.getnames()
    assert scow("images", "-aq") == before
    identity = build(scow, "--iidfile", str(tmp_path / "iid"), "--metadata-file", str(tmp_path / "meta"), where)
    assert (tmp_path / "iid").read_text() == identity
    assert json.loads((tmp_path / "meta").read_text())["containerimage.config.digest"] == identity


def test_squash(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN echo 1 > /a\nRUN rm /a && echo 2 > /b\n")
    build(scow, "-t", "sq:new", "--squash", where)
    build(scow, "-t", "sq:all", "--squash=all", where)
    layers = [len(json.loads(scow("inspect", name))[0]["RootFS"]["Layers"]) for name in (IMAGE, "sq:new", "sq:all")]
    assert layers == [1, 2, 1]
    for name in ("sq:new", "sq:all"):
        assert output_of(scow, name, "sh", "-c", "cat /b; ls /a 2>&1 | wc -l").split() == ["2", "1"]


def test_the_bound_of_the_cache_is_kept(scow, ctx):
    where = write(ctx, "FROM BASE\nARG N\nRUN head -c 300000 /dev/urandom > /f; echo $N\n")
    scow.env["SCOW_BUILD_CACHE_SIZE"] = "1m"
    try:
        for number in range(6):
            build(scow, "--build-arg", f"N={number}", where)
        records = scow("builder", "df").splitlines()
        assert sum("head -c" in line for line in records) == 3
    finally:
        del scow.env["SCOW_BUILD_CACHE_SIZE"]
    assert "Total reclaimed space" in scow("builder", "prune", "-af")
    assert scow("builder", "df").splitlines()[-1].split() == ["Total:", "0B"]


def test_every_form_of_progress(scow, ctx):
    where = write(ctx, "FROM BASE\nRUN echo shown\n")
    for form, needle in (("plain", b"shown"), ("rawjson", b'"event": "done"'), ("tty", b"[2/2] RUN echo shown")):
        done = scow.run("build", "--no-cache", f"--progress={form}", where)
        assert done.returncode == 0
        assert needle in done.stderr
    assert scow.run("build", "--no-cache", "--progress=quiet", where).stderr == b""


def test_questions(scow, ctx):
    where = write(
        ctx, "# one the first\nFROM BASE AS one\nARG A=1\nRUN --mount=type=secret,id=s,required x\nFROM one AS two\n"
    )
    assert scow("build", "--call=targets", where).split()[:3] == ["TARGET", "DESCRIPTION", "one"]
    assert "s" in scow("build", "--call=outline", where)
    assert scow.run("build", "--check", where).returncode in (0, 1)
