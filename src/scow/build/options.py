# SPDX-License-Identifier: Apache-2.0
"""What a caller asks of a build, as one value."""

from __future__ import annotations

from types import MappingProxyType

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from scow.oci.model import Platform
    from scow.oci.reference import Reference


EPOCH: Final = "SOURCE_DATE_EPOCH"
"""The argument that bounds the times in an image."""


class Secret(NamedTuple):
    """A secret that steps may ask for by name.

    Attributes:
        path: File to read it from, or ``""``.
        env: Variable to read it from, or ``""``.
    """

    path: str = ""
    env: str = ""


class Output(NamedTuple):
    """Where a result goes besides the local store.

    Attributes:
        type: ``image``, ``docker``, ``oci``, ``tar`` or ``local``.
        destination: A file or directory; ``-`` for standard output; ``""`` for the local store.
        attributes: Everything else that was said.
    """

    type: str
    destination: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


class BuildOptions(NamedTuple):
    """One build.

    Attributes:
        context: Directory, URL, ``-`` for standard input.
        dockerfile: Path as given with ``-f``; ``-`` for standard input; ``""`` for ``Dockerfile`` in the context.
        tags: Names for the result.
        target: Stage to build; ``""`` for the last.
        build_args: Values for ARG.
        labels: Labels to add.
        annotations: Annotations of the manifest.
        platforms: What to build for; empty for the host's.
        no_cache: Take nothing from the cache.
        no_cache_filter: Stages that take nothing from the cache.
        pull: Ask the registry for base images even when they are here.
        network: Network of RUN steps.
        extra_hosts: ``name:address`` for ``/etc/hosts`` of RUN steps.
        shm_size: Bytes of ``/dev/shm``; 0 for the default.
        ulimits: ``(name, soft, hard)``.
        resources: Limits of RUN steps, by the names of Docker's ``HostConfig``: ``Memory`` (bytes), ``CpuQuota`` ...
        cgroup_parent: Control group for RUN steps.
        volumes: ``source:target[:options]``: host directories for RUN steps.
        secrets: By id.
        ssh: Agent sockets or key files by id.
        contexts: Further contexts by name.
        allow: Entitlements such as ``security.insecure`` and ``network.host``.
        outputs: Where the result goes; empty for the local store.
        squash: ``""``, ``new`` (layers of this build become one) or ``all``.
        unset_env: Variables of the base that the result must not have.
        unset_labels: Labels of the base that the result must not have.
        unset_volumes: Volumes of the base that the result must not have.
        unset_ports: Exposed ports of the base that the result must not have.
        rewrite_times: Files that a RUN writes get the time of its inputs.
        epoch: ``SOURCE_DATE_EPOCH`` in seconds, or ``None``.
        locked: Every input from outside must be as the lock file says.
        allow_leaks: Secrets that may appear in layers.
        secrets_gate: What files and values that look like credentials do: ``warn``, ``error`` or ``off``.
        cache_from: Caches to read, as attributes.
        cache_to: Caches to write, as attributes.
        keep_failed: Make an image of what a failed RUN left.
        environ: The caller's environment, for values that flags only name.
        explain: Find out why each step ran.
        checks: Find out what BuildKit's checks have to say.
    """

    context: str
    dockerfile: str = ""
    tags: tuple[Reference, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = MappingProxyType({})
    labels: Mapping[str, str] = MappingProxyType({})
    annotations: Mapping[str, str] = MappingProxyType({})
    platforms: tuple[Platform, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()
    resources: tuple[tuple[str, int | str], ...] = ()
    cgroup_parent: str = ""
    volumes: tuple[str, ...] = ()
    secrets: Mapping[str, Secret] = MappingProxyType({})
    ssh: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    contexts: Mapping[str, str] = MappingProxyType({})
    allow: frozenset[str] = frozenset()
    outputs: tuple[Output, ...] = ()
    squash: str = ""
    unset_env: tuple[str, ...] = ()
    unset_labels: tuple[str, ...] = ()
    unset_volumes: tuple[str, ...] = ()
    unset_ports: tuple[str, ...] = ()
    rewrite_times: bool = True
    epoch: int | None = None
    locked: bool = False
    allow_leaks: frozenset[str] = frozenset()
    secrets_gate: str = "warn"
    cache_from: tuple[Mapping[str, str], ...] = ()
    cache_to: tuple[Mapping[str, str], ...] = ()
    keep_failed: bool = False
    environ: Mapping[str, str] = MappingProxyType({})
    explain: bool = False
    checks: bool = False
