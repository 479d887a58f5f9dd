# SPDX-License-Identifier: Apache-2.0
"""The flags of ``build``, and the options that they mean.

Source: docker CLI 28 (classic) and docker buildx 0.36, ``build``; buildah 1.44 for ``--volume``, ``--squash`` and
``--unset*``.
"""

from __future__ import annotations

import os

from scow.cli.clientconfig import with_proxies
from scow.cli.flags import Command, Flag
from scow.cli.values import read_bytes, read_int
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from scow.build.options import BuildOptions, Output, Secret
    from scow.cli.flags import Parsed
    from scow.oci.model import Platform


def _check_tag(name: str) -> str:
    from scow.oci.reference import InvalidReferenceError, Reference

    try:
        reference = Reference.parse(name)
    except InvalidReferenceError as error:
        raise ValueError(error.message) from None
    if reference.digest is not None:
        raise ValueError("refusing to create a tag with a digest reference")
    return name


def _check_argument(text: str) -> str:
    from scow.cli.containerrequest import variable

    return variable(text)


def _check_label(text: str) -> str:
    from scow.cli.containervalues import label

    return label(text)


def _host(text: str) -> str:
    from scow.cli.containervalues import extra_host

    return extra_host(text)


def _ulimit(text: str) -> tuple[str, int, int]:
    from scow.cli.containervalues import ulimit

    limit = ulimit(text)
    return limit["Name"], limit["Soft"], limit["Hard"]


FLAGS = (
    Flag("add-host", kind="list", check=_host, help='Add a custom host-to-IP mapping ("host:ip")'),
    Flag("allow", kind="csv", help='Allow extra privileged entitlement (e.g., "network.host", "security.insecure")'),
    Flag("allow-leak", kind="csv", help="Secrets that may appear in layers"),
    Flag("annotation", kind="list", help="Add annotation to the image"),
    Flag("attest", kind="list", hidden=True, help="Attestation parameters; only disabled ones are taken"),
    Flag("build-arg", kind="list", check=_check_argument, help="Set build-time variables"),
    Flag("build-context", kind="list", help='Additional build contexts (e.g., "name=path")'),
    Flag("builder", kind="string", hidden=True, help="Override the configured builder instance"),
    Flag("cache-from", kind="list", help='External cache sources (e.g., "type=local,src=path/to/dir")'),
    Flag("cache-to", kind="list", help='Cache export destinations (e.g., "type=local,dest=path/to/dir")'),
    Flag(
        "call",
        kind="enum",
        default="build",
        choices=("build", "check", "lint", "outline", "targets"),
        help='Set method for evaluating build ("check", "outline", "targets")',
    ),
    Flag("cgroup-parent", kind="string", help='Set the parent cgroup for the "RUN" instructions during build'),
    Flag("check", help='Shorthand for "--call=check"'),
    Flag("compress", hidden=True, help="Compress the build context using gzip"),
    Flag("cpu-period", kind="int", hidden=True, help="Limit the CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", kind="int", hidden=True, help="Limit the CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-shares", "c", kind="int", hidden=True, help="CPU shares (relative weight)"),
    Flag("cpuset-cpus", kind="string", hidden=True, help="CPUs in which to allow execution (0-3, 0,1)"),
    Flag("cpuset-mems", kind="string", hidden=True, help="MEMs in which to allow execution (0-3, 0,1)"),
    Flag("disable-content-trust", default=True, hidden=True, help="Skip image verification"),
    Flag("explain", help="Say of every step why it ran or came from the cache"),
    Flag("file", "f", kind="string", help='Name of the Dockerfile (default: "PATH/Dockerfile")'),
    Flag("force-rm", hidden=True, help="Always remove intermediate containers"),
    Flag("iidfile", kind="string", help="Write the image ID to a file"),
    Flag("isolation", kind="string", hidden=True, help="Container isolation technology"),
    Flag("label", kind="list", check=_check_label, help="Set metadata for an image"),
    Flag("load", hidden=True, help='Shorthand for "--output=type=docker"'),
    Flag("locked", help="Refuse inputs that the lock file does not have"),
    Flag("memory", "m", kind="bytes", help="Memory limit of a step"),
    Flag("memory-swap", kind="swap", hidden=True, help="Swap limit equal to memory plus swap"),
    Flag("metadata-file", kind="string", help="Write build result metadata to a file"),
    Flag("network", kind="string", default="default", help='Set the networking mode for the "RUN" instructions'),
    Flag("no-cache", help="Do not use cache when building the image"),
    Flag("no-cache-filter", kind="csv", help="Do not cache specified stages"),
    Flag("on-error", kind="enum", default="fail", choices=("fail", "shell"), help="What to do when a step fails"),
    Flag("output", "o", kind="list", help='Output destination (format: "type=local,dest=path")'),
    Flag("platform", kind="csv", help="Set target platform for build"),
    Flag(
        "progress",
        kind="enum",
        default="auto",
        choices=("auto", "none", "plain", "quiet", "rawjson", "tty"),
        help='Set type of progress output ("auto", "none", "plain", "quiet", "rawjson", "tty")',
    ),
    Flag("provenance", kind="string", hidden=True, help='Shorthand for "--attest=type=provenance"'),
    Flag("pull", help="Always attempt to pull all referenced images"),
    Flag("push", help="Push the result to its registry"),
    Flag("quiet", "q", help="Suppress the build output and print image ID on success"),
    Flag("resource", kind="list", help='Limits of a step (format: "memory=1g,cpu-quota=50000")'),
    Flag("rewrite-timestamp", default=True, help='Give files that a "RUN" writes the time of its inputs'),
    Flag("rm", default=True, hidden=True, help="Remove intermediate containers after a successful build"),
    Flag("sbom", kind="string", hidden=True, help='Shorthand for "--attest=type=sbom"'),
    Flag("secret", kind="list", help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'),
    Flag(
        "secrets-gate",
        kind="enum",
        default="warn",
        choices=("error", "off", "warn"),
        help='What credentials in layers and variables do ("error", "off", "warn")',
    ),
    Flag("security-opt", kind="list", hidden=True, help="Security options"),
    Flag("shm-size", kind="bytes", help="Shared memory size for build containers"),
    Flag("squash", kind="optional", implied="new", help='Make one layer of the new ones, or of "all"'),
    Flag("ssh", kind="list", help='SSH agent socket or keys to expose (format: "default|id[=socket|key]")'),
    Flag("stream", hidden=True, help="Stream attaches to server to negotiate build context"),
    Flag("tag", "t", kind="list", check=_check_tag, help='Name and optionally a tag (format: "name:tag")'),
    Flag("target", kind="string", help="Set the target build stage to build"),
    Flag("ulimit", kind="list", check=_ulimit, help="Ulimit options"),
    Flag("unset-env", kind="csv", help="Variables of the base that the image must not have"),
    Flag("unset-expose", kind="csv", help="Exposed ports of the base that the image must not have"),
    Flag("unset-label", kind="csv", help="Labels of the base that the image must not have"),
    Flag("unset-volume", kind="csv", help="Volumes of the base that the image must not have"),
    Flag("verify-reproducible", help="Build twice, the second time later and under other conditions, and compare"),
    Flag("volume", "v", kind="list", help='Host directories for "RUN" instructions (format: "source:target[:ro]")'),
)  # fmt: skip

COMMAND = Command(
    name="build",
    usage="[OPTIONS] PATH | URL | -",
    summary="Build an image from a Dockerfile",
    min_args=1,
    max_args=1,
    aliases=("build", "builder build", "image build"),
    flags=FLAGS,
)


def read(flags: Parsed, environ: Mapping[str, str]) -> BuildOptions:
    """The options that flags mean.

    Raises:
        InvalidArgumentError: A value makes no sense.
    """
    from scow.build.options import BuildOptions

    _check_attestations(flags)
    build_args = _pairs(with_proxies(flags["build-arg"]), environ)
    if environ.get("SOURCE_DATE_EPOCH"):
        build_args.setdefault("SOURCE_DATE_EPOCH", environ["SOURCE_DATE_EPOCH"])
    outputs = tuple(_output(text) for text in flags.output)
    return BuildOptions(
        context=flags.args[0],
        dockerfile=flags.file,
        tags=tuple(_tag(name) for name in [*flags.tag, *_names(outputs)]),
        target=flags.target,
        build_args=build_args,
        labels=_pairs(flags.label, {}, missing=""),
        annotations=_pairs(
            [text.rpartition(":")[2] if ":" in text.partition("=")[0] else text for text in flags.annotation], {}
        ),
        platforms=tuple(_platform(text) for text in flags.platform),
        no_cache=flags["no-cache"],
        no_cache_filter=tuple(flags["no-cache-filter"]),
        pull=flags.pull,
        network=_network(flags.network),
        extra_hosts=tuple(flags["add-host"]),
        shm_size=flags["shm-size"],
        ulimits=tuple(flags.ulimit),
        resources=_resources(flags),
        cgroup_parent=flags["cgroup-parent"],
        volumes=tuple(flags.volume),
        secrets=dict(_secret(text) for text in flags.secret),
        ssh=dict(_ssh(text, environ) for text in flags.ssh),
        contexts=_contexts(flags["build-context"]),
        allow=frozenset(flags.allow),
        outputs=outputs,
        squash=flags.squash,
        unset_env=tuple(flags["unset-env"]),
        unset_labels=tuple(flags["unset-label"]),
        unset_volumes=tuple(flags["unset-volume"]),
        unset_ports=tuple(flags["unset-expose"]),
        rewrite_times=flags["rewrite-timestamp"],
        locked=flags.locked,
        allow_leaks=frozenset(flags["allow-leak"]),
        secrets_gate=flags["secrets-gate"],
        cache_from=tuple(_attributes(text, "cache-from") for text in flags["cache-from"]),
        cache_to=tuple(_attributes(text, "cache-to") for text in flags["cache-to"]),
        keep_failed=flags["on-error"] == "shell",
        environ=environ,
        explain=flags.explain,
        checks=not flags.quiet and flags.progress not in ("quiet", "none", "rawjson"),
    )


_LIMITS: Final[Mapping[str, tuple[str, Callable[[str], int | str]]]] = {
    "memory": ("Memory", read_bytes),
    "memory-swap": ("MemorySwap", lambda text: -1 if text == "-1" else read_bytes(text)),
    "cpu-shares": ("CpuShares", read_int),
    "cpu-period": ("CpuPeriod", read_int),
    "cpu-quota": ("CpuQuota", read_int),
    "cpuset-cpus": ("CpusetCpus", str),
    "cpuset-mems": ("CpusetMems", str),
}
"""Limits of a step: what a flag of the same name, or a field of ``--resource``, is in docker's documents."""


def _check_attestations(flags: Parsed) -> None:
    """Take "no attestation", which is what is made, and refuse the others: nobody shall believe that one is there.

    Raises:
        InvalidArgumentError: The flags mean nothing, or an attestation.
    """
    wanted: dict[str, bool] = {}
    for text in flags.attest:
        given = _attributes(text, "attest")
        wanted[given["type"]] = not _is_true(given.get("disabled", "false"))
    for name, text in (("provenance", flags.provenance), ("sbom", flags.sbom)):
        if text:
            pairs = dict(field.partition("=")[::2] for field in _fields(text) if "=" in field)
            wanted[name] = not _is_true(pairs.get("disabled", "false")) if pairs else _is_true(text)
    for name, on in wanted.items():
        if name not in ("provenance", "sbom"):
            raise InvalidArgumentError(f"unknown attestation type {name!r}", hint="there are provenance and sbom")
        if on:
            raise InvalidArgumentError(
                f"scow cannot write {'an SBOM' if name == 'sbom' else 'a provenance'} attestation",
                hint=f"build without it; --{name}=false says so to every builder",
            )


def _is_true(text: str) -> bool:
    try:
        return {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}[text.lower()]
    except KeyError:
        hint = "it can be true or false"
        raise InvalidArgumentError(f"invalid value {text!r} for an attestation", hint=hint) from None


def _resources(flags: Parsed) -> tuple[tuple[str, int | str], ...]:
    """What was asked for of a step's limits.

    Raises:
        InvalidArgumentError: There is no such limit, or it is no number.
    """
    wanted = {name: flags[flag] for flag, (name, _) in _LIMITS.items()}
    for field in (field for text in flags.resource for field in _fields(text)):
        flag, equals, value = field.partition("=")
        if flag not in _LIMITS or not equals:
            raise InvalidArgumentError(
                f"invalid resource {field!r}", hint=f"write NAME=VALUE; the names are {', '.join(_LIMITS)}"
            )
        name, read = _LIMITS[flag]
        try:
            wanted[name] = read(value)
        except ValueError as error:
            raise InvalidArgumentError(f"invalid resource {field!r}: {error}") from None
    return tuple((name, value) for name, value in wanted.items() if value)


def _network(text: str) -> str:
    """The network of steps."""
    if text in ("", "default", "bridge"):
        return "default"
    if text not in ("none", "host"):
        raise InvalidArgumentError(
            f"network mode {text!r} is not supported by build", hint="it can be default, none or host"
        )
    return text


def _platform(text: str) -> Platform:
    from scow.oci.platform import parse_platform

    return parse_platform(text)


def _tag(name: str) -> Any:
    from scow.oci.reference import Reference

    return Reference.parse(name).with_default_tag()


def _pairs(texts: list[str], environ: Mapping[str, str], *, missing: str | None = None) -> dict[str, str]:
    """``NAME=value``; a name alone takes the environment's value, if there is one."""
    out: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not name:
            raise InvalidArgumentError(f"invalid argument {text!r}: it has no name")
        if sign:
            out[name] = value
        elif name in environ:
            out[name] = environ[name]
        elif missing is not None:
            out[name] = missing
    return out


def _fields(text: str) -> list[str]:
    from scow.cli.values import split_csv

    return split_csv(text)


def _attributes(text: str, flag: str) -> dict[str, str]:
    """``type=local,src=x``; one word alone is a registry reference."""
    fields = _fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return {"type": "registry", "ref": fields[0]}
    out: dict[str, str] = {}
    for field in fields:
        name, sign, value = field.partition("=")
        if not sign:
            raise InvalidArgumentError(f"invalid value {field!r} for --{flag}", hint="write key=value pairs")
        out[name.strip().lower()] = value
    if not out.get("type"):
        raise InvalidArgumentError(f"type required for --{flag} in {text!r}")
    return out


def _secret(text: str) -> tuple[str, Secret]:
    from scow.build.options import Secret

    given: dict[str, str] = {}
    for field in _fields(text):
        name, sign, value = field.partition("=")
        name = name.strip().lower()
        if not sign:
            raise InvalidArgumentError(f"invalid field {field!r} must be a key=value pair")
        if name not in ("type", "id", "source", "src", "env"):
            raise InvalidArgumentError(f"unexpected key {name!r} in {text!r}")
        given["source" if name == "src" else name] = value
    if given.get("type", "file") not in ("file", "env"):
        raise InvalidArgumentError(f"unsupported secret type {given['type']!r}")
    identity = given.get("id", "")
    if not identity:
        raise InvalidArgumentError(f"the secret {text!r} has no id")
    path, env = given.get("source", ""), given.get("env", "")
    if given.get("type") == "env":
        path, env = "", env or path
    if not path and not env:
        if identity in os.environ:
            env = identity
        else:
            path = identity
    if path:
        path = os.path.abspath(os.path.expanduser(path))
        if not os.path.exists(path):
            raise InvalidArgumentError(f"failed to stat {path}: no such file or directory", hint=f"for --secret {text}")
    return identity, Secret(path, env)


def _ssh(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    name, _, paths = text.partition("=")
    sources = tuple(os.path.abspath(os.path.expanduser(path)) for path in paths.split(",") if path)
    if not sources and not environ.get("SSH_AUTH_SOCK"):
        raise InvalidArgumentError(
            f"no SSH agent is there for --ssh {text}", hint=f"set SSH_AUTH_SOCK, or give --ssh {name}=KEYFILE"
        )
    for path in sources:
        if not os.path.exists(path):
            raise InvalidArgumentError(f"failed to stat {path}: no such file or directory", hint=f"for --ssh {text}")
    return name or "default", sources


def _contexts(texts: list[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InvalidArgumentError(f"invalid context value: {text}, expected key=value")
        out[name] = value
    return out


def _names(outputs: tuple[Output, ...]) -> list[str]:
    """Names that outputs give the image: ``type=image,name=A``; several stand in one quoted field."""
    return [name for output in outputs for name in output.attributes.get("name", "").split(",") if name]


def _output(text: str) -> Output:
    from scow.build.options import Output

    if "=" not in text:
        return Output("tar", "-") if text == "-" else Output("local", text)
    given = _attributes(text if "type=" in text else f"type=image,{text}", "output")
    kind = given.pop("type")
    destination = given.pop("dest", given.pop("destination", ""))
    if kind not in ("image", "docker", "oci", "tar", "local", "registry", "cacheonly"):
        raise InvalidArgumentError(f"unknown output type {kind!r}", hint="it can be image, docker, oci, tar or local")
    if kind in ("local", "tar", "oci") and not destination:
        if kind == "local":
            raise InvalidArgumentError("dest is required for local output")
        destination = "-"
    return Output(kind, destination, given)
