# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.graph import definition_key
from scow.build.ops.values import BaseOp, CopyOp, MkdirOp, RunOp
from scow.build.options import BuildOptions
from scow.build.origins import TreeOrigin
from scow.build.plan import Planner
from scow.build.sources import FilesTree
from scow.build.stages import BaseImage, Stages, TargetNotFoundError
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse
from scow.errors import InvalidArgumentError, NotFoundError
from scow.oci.digest import ChainID, Digest
from scow.oci.model import ContainerConfig, ImageConfig, Platform

CHAIN = ChainID(Digest("sha256:" + "a" * 64))
HOST = Platform("linux", "amd64")


class Outside:
    """Images and contexts that exist only here."""

    def __init__(self, images=None, files=None, named=None):
        self.images = images or {}
        self.asked = []
        self.origin = TreeOrigin("the build context", lambda: FilesTree(files or {b"a": b"1", b"b": b"2"}))
        self._named = named or {}

    def image(self, name, platform):
        self.asked.append((name, str(platform) if platform else ""))
        if name not in self.images:
            raise NotFoundError(f"No such image: {name}")
        config = ImageConfig(HOST, config=self.images[name], history=())
        return BaseImage("sha256:" + "b" * 64, config, CHAIN, 50)

    def named(self, name):
        return self._named.get(name)

    def is_scratch(self, name):
        return self._named.get(name) == "scratch"

    def context(self):
        return self.origin

    def http(self, url, checksum):
        return TreeOrigin(url, lambda: FilesTree({b"f": b"x"}))

    def git(self, source):
        return TreeOrigin(source.remote, lambda: FilesTree({b"g": b"x"}), lambda: source.ref)


BASE = {"base": ContainerConfig(env=("PATH=/bin", "B=base"), cmd=("sh",), working_dir="/w", user="u")}


def plan(text, *, outside=None, host=HOST, **options):
    wanted = BuildOptions(context=".", **options)
    here = outside or Outside(BASE)
    target = wanted.platforms[0] if wanted.platforms else host
    stages = Stages(parse(text), wanted, host, target, here, implicit=not wanted.platforms)
    return Planner(stages, wanted, here).plan(lambda: None)


def ops(made):
    return [vertex.op for vertex in made.vertices]


def history(made):
    return [(entry.created_by, entry.empty_layer) for entry in made.draft.history]


def test_only_needed_stages_are_looked_at():
    here = Outside(BASE)
    made = plan(
        "FROM nowhere AS unused\nRUN x\nFROM base AS a\nRUN y\nFROM scratch\nCOPY --from=a /f /\n", outside=here
    )
    assert [name for name, _ in here.asked] == ["base"]
    assert [vertex.op.kind for vertex in made.vertices] == ["base", "run", "copy"]
    assert made.vertices[2].reads == (made.vertices[1],)
    assert made.vertices[2].below is None


def test_titles_count_the_steps_of_a_stage():
    made = plan("FROM base AS one\nRUN a\nENV X=y\nCOPY a $X\nFROM one\nWORKDIR /z\n")
    assert [vertex.title for vertex in made.vertices] == [
        "[one 1/3] FROM base", "[one 2/3] RUN a", "[one 3/3] COPY a y", "[stage-1 1/1] WORKDIR /z",
    ]  # fmt: skip


def test_variables_and_their_scopes():
    made = plan(
        "ARG G=g\nARG V=$G-v\nFROM base\nARG V\nARG W=${V}w\nENV E=$W B=$E\nLABEL l=$B-$NO\nRUN x\n",
        build_args={"G": "given"},
    )
    assert made.draft.config.env == ("PATH=/bin", "B=", "E=given-vw")
    assert made.draft.config.labels == {"l": "-"}
    run = ops(made)[-1]
    assert isinstance(run, RunOp)
    assert dict(entry.split("=", 1) for entry in run.env)["V"] == "given-v"
    assert history(made)[-1] == ("RUN |2 V=given-v W=given-vw /bin/sh -c x # buildkit", False)


def test_env_sees_what_was_in_force_before_it():
    made = plan("FROM base\nENV A=1\nENV A=2 C=$A\n")
    assert made.draft.config.env[-2:] == ("A=2", "C=1")


def test_proxies_stay_out_of_keys_and_history():
    one = plan("FROM base\nRUN x\n", build_args={"http_proxy": "one"})
    two = plan("FROM base\nRUN x\n", build_args={"http_proxy": "two"})
    keys = [definition_key(ops(made)[1].definition(), "", []) for made in (one, two)]
    assert keys[0] == keys[1]
    assert ops(one)[1].proxies == ("HTTP_PROXY=one", "http_proxy=one")
    assert "proxy" not in history(one)[-1][0]


def test_proxies_are_given_in_both_spellings():
    given = {"HTTP_PROXY": "up", "http_proxy": "low", "No_Proxy": "x", "ALL_PROXY": "", "PROXY": "y"}
    run = ops(plan("FROM base\nRUN x\n", build_args=given))[1]
    assert run.proxies == ("HTTP_PROXY=low", "http_proxy=low", "NO_PROXY=x", "no_proxy=x")


def test_a_target_is_a_name_not_a_number():
    with pytest.raises(TargetNotFoundError):
        plan("FROM base AS one\nFROM one\n", target="0")


def test_limits_stay_out_of_keys():
    one = plan("FROM base\nRUN x\n", resources=(("Memory", 1 << 20),), shm_size=5)
    two = plan("FROM base\nRUN x\n")
    assert ops(one)[1].definition() == ops(two)[1].definition()


@pytest.mark.parametrize(
    "changed",
    ["RUN y", "RUN --network=none x", "RUN --mount=type=tmpfs,target=/t x", "USER 1\nRUN x", "WORKDIR /q\nRUN x",
     "ENV Z=1\nRUN x", "ARG Z=1\nRUN x", 'RUN ["x"]', "RUN --mount=type=secret,id=s x"],
)  # fmt: skip
def test_what_a_run_depends_on(changed):
    assert ops(plan("FROM base\nRUN x\n"))[-1].definition() != ops(plan(f"FROM base\n{changed}\n"))[-1].definition()


def test_labels_change_no_step():
    assert (
        ops(plan("FROM base\nLABEL a=b\nRUN x\n"))[-1].definition() == ops(plan("FROM base\nRUN x\n"))[-1].definition()
    )


def test_configuration():
    made = plan(
        'FROM base\nUSER 5:6\nEXPOSE 80 81/udp\nVOLUME /v /w\nCMD echo hi\nENTRYPOINT ["e"]\nSTOPSIGNAL 9\n'
        'SHELL ["/bin/bash", "-c"]\nHEALTHCHECK --interval=90s CMD z\nONBUILD RUN q\nMAINTAINER me\nWORKDIR sub\n'
    )  # fmt: skip
    config = made.draft.config
    assert (config.user, config.exposed_ports, config.volumes) == ("5:6", ("80/tcp", "81/udp"), ("/v", "/w"))
    assert (config.cmd, config.entrypoint) == (("/bin/sh", "-c", "echo hi"), ("e",))
    assert (config.stop_signal, config.shell, config.on_build) == ("9", ("/bin/bash", "-c"), ("RUN q",))
    assert config.working_dir == "/w/sub"
    assert made.draft.author == "me"
    assert isinstance(ops(made)[-1], MkdirOp)
    assert ops(made)[-1].user == "5:6"
    assert "HEALTHCHECK {Test:[CMD-SHELL z] Interval:1m30s" in history(made)[7][0]
    assert [created_by for created_by, empty in history(made) if not empty] == ["WORKDIR /w/sub"]


def test_entrypoint_drops_an_inherited_command_only():
    assert plan('FROM base\nENTRYPOINT ["e"]\n').draft.config.cmd is None
    assert plan('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]\n').draft.config.cmd == ("c",)
    assert plan('FROM base AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]\n').draft.config.cmd is None


def test_triggers_come_first_and_are_not_inherited():
    images = {"ob": ContainerConfig(env=("PATH=/bin",), on_build=("ENV T=1", "COPY --from=base /x /y"))}
    made = plan("FROM ob AS a\nENV C=2\nFROM a\n", outside=Outside({**BASE, **images}))
    assert made.draft.config.env == ("PATH=/bin", "T=1", "C=2")
    assert made.draft.config.on_build == ()
    assert sum(isinstance(op, BaseOp) for op in ops(made)) == 2
    made = plan("FROM base AS a\nONBUILD RUN t\nFROM a\nRUN c\n")
    assert [op.args[-1] for op in ops(made) if isinstance(op, RunOp)] == ["t", "c"]
    assert made.vertices[1].title == "[stage-1 1/2] ONBUILD RUN t"


def test_copies():
    made = plan(
        "FROM base\nCOPY --chown=1:2 --chmod=u+x --exclude=*.o a b dir/\nADD --link x /y\nCOPY <<E /z\nhi $B\nE\n"
    )
    first, second, third = (op for op in ops(made) if isinstance(op, CopyOp))
    assert (first.target, first.chown, first.chmod, first.excludes) == ("/w/dir/", "1:2", "u+x", ("*.o",))
    assert [part.source.path for part in first.parts] == ["/a", "/b"]
    assert second.parts[0].source.unpack is True
    assert made.vertices[-2].detached is True
    assert third.parts[0].origin.tree().open(b"E") > 0
    assert history(made)[0] == ("COPY --chown=1:2 --chmod=u+x a b dir/ # buildkit", False)


def test_network_sources():
    made = plan("FROM scratch\nADD https://e.com/f /\nADD https://e.com/r.git#main:sub /g\n")
    http, git = (op.parts[0].origin for op in ops(made))
    assert http.label == "https://e.com/f"
    assert git.label == "https://e.com/r.git"


def test_named_contexts_replace_stages_and_images():
    origin = TreeOrigin("ctx", lambda: FilesTree({b"n": b"1"}))
    made = plan(
        "FROM x AS st\nRUN gone\nFROM scratch\nCOPY --from=st /n /\n", outside=Outside({}, named={"st": origin})
    )
    assert len(made.vertices) >= 1
    made = plan("FROM scratch\nCOPY --from=other /n /\n", outside=Outside({}, named={"other": origin}))
    assert ops(made)[0].parts[0].origin is origin


def test_unset_and_labels_from_outside():
    images = {"i": ContainerConfig(env=("PATH=/bin", "X=1"), labels={"a": "1", "b": "2"}, volumes=("/v", "/w"),
                                   exposed_ports=("80/tcp", "53/udp"))}  # fmt: skip
    made = plan("FROM i\n", outside=Outside(images), unset_env=("X",), unset_labels=("a",), unset_volumes=("/v",),
                unset_ports=("80",), labels={"c": "3"})  # fmt: skip
    config = made.draft.config
    assert config.env == ("PATH=/bin",)
    assert config.labels == {"b": "2", "c": "3"}
    assert (config.volumes, config.exposed_ports) == (("/w",), ("53/udp",))


def test_platforms():
    here = Outside(BASE)
    made = plan("FROM --platform=$BUILDPLATFORM base AS b\nARG TARGETARCH\nRUN $TARGETARCH\nFROM scratch\nCOPY --from=b / /\n",
                outside=here, platforms=(Platform("linux", "arm64"),))  # fmt: skip
    assert here.asked == [("base", "linux/amd64")]
    assert made.platform.architecture == "arm64"
    run = next(op for op in ops(made) if isinstance(op, RunOp))
    assert "TARGETARCH=arm64" in run.env
    assert run.platform == "linux/amd64"


def test_cache_mounts_have_a_space_of_their_own_when_asked_to():
    text = "FROM base\nRUN --mount=type=cache,target=/c --mount=type=cache,id=i,target=/d x\n"
    for arguments, ids in (
        ({}, ["/c", "i"]),
        ({"BUILDKIT_CACHE_MOUNT_NS": "pr1"}, ["pr1//c", "pr1/i"]),
    ):
        made = plan(text, build_args=arguments)
        assert [wanted.mount.id for wanted in ops(made)[-1].mounts] == ids


def test_a_mount_from_scratch_is_empty():
    mounts = ops(plan("FROM base\nRUN --mount=from=scratch,target=/a --mount=target=/b x\n"))[-1].mounts
    assert list(mounts[0].origin.tree().names(b"")) == []
    assert mounts[1].origin is not mounts[0].origin


def test_whether_a_secret_must_be_there_is_part_of_the_step():
    one, other = (ops(plan(f"FROM base\nRUN --mount=type=secret,id=s{more} x\n"))[-1] for more in ("", ",required"))
    assert one.definition() != other.definition()


def test_here_documents_with_paths_stay_within_the_tree():
    copy = ops(plan("FROM base\nCOPY <<../../x /d/\n1\n../../x\n"))[-1]
    assert copy.parts[0].source.path == "/x"
    assert copy.parts[0].origin.tree().look(b"x").is_file


def test_no_cache_for_some_stages():
    made = plan("FROM base AS a\nRUN x\nFROM a AS b\nRUN y\n", no_cache_filter=("b",))
    assert [vertex.fresh for vertex in made.vertices] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base\nCOPY --from=0 /a /b\n", "circular dependency"),
        ("FROM a AS b\nFROM b AS a\nCOPY --from=a / /\n", "circular dependency"),
        ("FROM base AS one\nCOPY --from=two /a /b\nFROM base AS two\nFROM one\n", "needs to be defined before"),
        ("FROM base\nCOPY --from=9 /a /b\n", "invalid stage index 9"),
        ("FROM base\nCOPY --from=$X /a /b\n", "variable expansion is not supported"),
        ("ARG X\nFROM $X\n", "should not be blank"),
        ("FROM --platform=$NO base\n", "empty platform value"),
        ("FROM --platform=a/b/c/d base\n", "failed to parse platform"),
        ("FROM nope\n", "failed to resolve source metadata for nope"),
        ("FROM Base AS unused\nFROM base\n", "failed to parse stage name 'Base'"),
        ("FROM base AS unused\nCOPY --from=a:b:c / /\nFROM base\n", "failed to parse stage name 'a:b:c'"),
        ("FROM base\nCOPY https://e.com/x /\n", "source can't be a URL for COPY"),
        ("FROM base\nCOPY git@e.com:a/b.git /\n", "source can't be a git ref for COPY"),
        ("FROM base\nADD --checksum=sha256:1 a /\n", "checksum requires HTTP"),
        ("FROM base\nCOPY --chmod=rwx a /\n", "invalid chmod"),
        ("FROM base\nEXPOSE x\n", "invalid containerPort"),
        ("FROM base\nSTOPSIGNAL NOPE\n", "invalid signal"),
        ("FROM base\nRUN --mount=type=cache,target=/ x\n", "invalid mount target"),
        ("FROM base\nRUN --device=x y\n", "device is only supported"),
        ("FROM base\nRUN --security=insecure x\n", "security.insecure is not allowed"),
        ("FROM base\nENV A=${NOPE:?needed}\n", "needed"),
        ('FROM base\nVOLUME [""]\n', "can not be an empty string"),
    ],
)
def test_refusals_name_the_line(text, message):
    with pytest.raises(DockerfileError, match=message) as caught:
        plan(text)
    assert caught.value.line in (1, 2)
    assert caught.value.source


def test_a_near_name_is_offered():
    with pytest.raises(DockerfileError) as caught:
        plan("FROM base AS builder\nFROM bulider\n")
    assert "builder" in caught.value.hint
    with pytest.raises(TargetNotFoundError) as target:
        plan("FROM base AS builder\n", target="bilder")
    assert "builder" in target.value.hint


def test_a_faulty_trigger_is_blamed_on_the_from():
    images = {"ob": ContainerConfig(on_build=("NOPE x",))}
    with pytest.raises(DockerfileError, match="ONBUILD trigger") as caught:
        plan("FROM ob\n", outside=Outside(images))
    assert caught.value.line == 1


def test_host_volumes():
    run = ops(plan("FROM base\nRUN x\n", volumes=("/a:/b:ro",)))[1]
    assert run.volumes == (("/a", "/b", True),)
    with pytest.raises((InvalidArgumentError, DockerfileError), match="invalid volume"):
        plan("FROM base\nRUN x\n", volumes=("nope",))


def test_a_context_can_stand_for_the_empty_image():
    here = Outside(BASE, named={"empty": "scratch"})
    made = plan("FROM empty\nCOPY a /b\n", outside=here)
    assert here.asked == []
    assert made.draft.config.working_dir == "/"
    assert [vertex.op.kind for vertex in made.vertices] == ["copy"]
    made = plan("FROM base AS empty\nRUN x\nFROM empty\nCOPY a /b\n", outside=here)
    assert here.asked == []


def test_arguments_that_speak_to_the_builder_reach_no_command():
    made = plan("FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nARG B=1\nRUN x\n")
    assert "B=1" in made.vertices[-1].op.env
    assert not any("SBOM" in entry for entry in made.vertices[-1].op.env)
