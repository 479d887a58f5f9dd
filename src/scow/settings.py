# SPDX-License-Identifier: Apache-2.0
"""What the environment decides: paths, limits, switches.

The environment is passed in, never read here, so that a program can hold several engines with different settings.
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Settings(NamedTuple):
    """Everything that can be set from outside.

    Attributes:
        root: Where images, layers and containers are kept (``SCOW_ROOT``).
        run_root: Where state lives that a reboot may lose (``SCOW_RUN_ROOT``).
        config_dir: docker's client configuration (``DOCKER_CONFIG``), for credentials and formats.
        snapshotter: ``erofs``, ``overlay``, ``copying``, or ``""`` to let the host decide (``SCOW_SNAPSHOTTER``).
        max_layer_size: Most bytes one uncompressed layer may have (``SCOW_MAX_LAYER_SIZE``).
        max_layer_entries: Most entries in one layer (``SCOW_MAX_LAYER_ENTRIES``).
        max_ratio: Most bytes one compressed byte may expand to, beyond the first 64 MiB (``SCOW_MAX_RATIO``).
        build_cache_size: Most bytes of build cache; the least recently used goes first (``SCOW_BUILD_CACHE_SIZE``).
        content_trust: Only signed tags are believed (``DOCKER_CONTENT_TRUST``: anything but empty, 0 or false).
        default_platform: Platform to pull and build for, or ``""`` for the host's (``DOCKER_DEFAULT_PLATFORM``).
        environ: The whole environment, for proxies and credential helpers.
        runtime: What runs new containers and build steps: ``runc``, ``crun``, or ``""`` for what is installed
            (``SCOW_RUNTIME``).
        trust_server: Where signatures are, or ``""`` for the registry itself (``DOCKER_CONTENT_TRUST_SERVER``).
        trust_max_offline: Seconds for which signatures seen before are believed when that server cannot be reached
            (``SCOW_TRUST_MAX_OFFLINE``, such as ``24h``).
    """

    root: str
    run_root: str
    config_dir: str
    snapshotter: str
    max_layer_size: int
    max_layer_entries: int
    max_ratio: int
    build_cache_size: int
    content_trust: bool
    default_platform: str
    environ: Mapping[str, str]
    runtime: str = ""
    trust_server: str = ""
    trust_max_offline: float = 0.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, root: str = "") -> Settings:
        """Read the settings from an environment.

        Args:
            environ: Such as ``os.environ``.
            root: Overrides ``SCOW_ROOT``.

        Raises:
            InvalidArgumentError: A variable cannot be understood.
        """
        get = environ.get
        snapshotter = get("SCOW_SNAPSHOTTER", "")
        if snapshotter not in {"", "auto", "erofs", "overlay", "copying"}:
            raise InvalidArgumentError(
                f"SCOW_SNAPSHOTTER is {snapshotter!r}", hint="Set it to erofs, overlay or copying, or leave it unset."
            )
        runtime = get("SCOW_RUNTIME", "")
        if runtime not in {"", "runc", "crun"}:
            raise InvalidArgumentError(
                f"SCOW_RUNTIME is {runtime!r}", hint="Set it to runc or crun, or leave it unset."
            )
        return cls(
            root=os.path.abspath(root or get("SCOW_ROOT") or _default_root(environ)),
            run_root=os.path.abspath(get("SCOW_RUN_ROOT") or _default_run_root(environ)),
            config_dir=get("DOCKER_CONFIG") or os.path.join(_home(environ), ".docker"),
            snapshotter="" if snapshotter == "auto" else snapshotter,
            max_layer_size=_size(environ, "SCOW_MAX_LAYER_SIZE", 256 << 30),
            max_layer_entries=_size(environ, "SCOW_MAX_LAYER_ENTRIES", 10_000_000),
            max_ratio=_size(environ, "SCOW_MAX_RATIO", 1000),
            build_cache_size=_size(environ, "SCOW_BUILD_CACHE_SIZE", 20 << 30),
            content_trust=get("DOCKER_CONTENT_TRUST", "") not in {"", "0", "f", "F", "false", "FALSE", "False"},
            default_platform=get("DOCKER_DEFAULT_PLATFORM", ""),
            environ=environ,
            runtime=runtime,
            trust_server=get("DOCKER_CONTENT_TRUST_SERVER", ""),
            trust_max_offline=_seconds(environ, "SCOW_TRUST_MAX_OFFLINE"),
        )


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _default_root(environ: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/var/lib/scow"
    return os.path.join(environ.get("XDG_DATA_HOME") or os.path.join(_home(environ), ".local/share"), "scow")


def _default_run_root(environ: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/run/scow"
    user = os.geteuid()
    private = environ.get("XDG_RUNTIME_DIR", "")
    # cron, su and some ssh name none; what they start must meet what a login has started
    if not private and _is_own_directory(f"/run/user/{user}"):
        private = f"/run/user/{user}"
    return os.path.join(private, "scow") if private else f"/tmp/scow-run-{user}"


def _is_own_directory(path: str) -> bool:
    """Whether a directory is there and this user's."""
    try:
        return os.stat(path).st_uid == os.geteuid() and os.path.isdir(path)
    except OSError:
        return False


def _seconds(environ: Mapping[str, str], name: str) -> float:
    """A duration such as ``24h``; 0 when it is not set."""
    text = environ.get(name, "").strip()
    if not text:
        return 0.0
    from scow.base.clock import parse_duration

    return parse_duration(text)


def _size(environ: Mapping[str, str], name: str, default: int) -> int:
    """A number, or a size such as ``512m`` or ``20g`` (powers of 1024)."""
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    number = text.rstrip("bkmgti")
    unit = text[len(number) :].rstrip("b").rstrip("i")
    if not number.isdigit() or unit not in _UNITS:
        raise InvalidArgumentError(f"{name} is {text!r}, which is not a size", hint="Write it as 512m or 20g.")
    return int(number) * _UNITS[unit]
