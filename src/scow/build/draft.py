# SPDX-License-Identifier: Apache-2.0
"""An image's configuration while instructions change it.

Source: OCI image-spec v1.1, config.md; Docker's additions.
"""

from __future__ import annotations

from scow.oci.model import ContainerConfig, History, ImageConfig
from scow.record import State, replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from scow.oci.digest import DiffID
    from scow.oci.model import Platform

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL: Final = ("/bin/sh", "-c")
COMMENT: Final = "buildkit.dockerfile.v0"


class Draft(State):
    """What the image will say of itself.

    Attributes:
        platform: What it is for.
        config: The ``config`` object so far.
        history: What the base tells, then one entry for each instruction; new ones have no time yet.
        inherited: How many entries of ``history`` are the base's.
        author: From MAINTAINER.
        commanded: This stage has a CMD, so that an ENTRYPOINT leaves it alone.
        extra: Further members of the configuration.
    """

    platform: Platform
    config: ContainerConfig = ContainerConfig()
    history: list[History] = []  # noqa: RUF012 - copied
    inherited: int = 0
    author: str = ""
    commanded: bool = False
    extra: Mapping[str, Any] = {}

    @classmethod
    def empty(cls, platform: Platform) -> Draft:
        """What ``FROM scratch`` begins with."""
        return cls(platform, ContainerConfig(working_dir="/", env=(f"PATH={DEFAULT_PATH}",)))

    @classmethod
    def on(cls, base: ImageConfig) -> Draft:
        """What ``FROM image`` begins with."""
        return cls(base.platform, base.config, list(base.history), len(base.history), base.author)

    def copy(self) -> Draft:
        """What ``FROM stage`` begins with: triggers are not inherited."""
        return Draft(self.platform, replace(self.config, on_build=()), list(self.history), self.inherited, self.author)

    def set(self, **changes: object) -> None:
        """Change fields of the config."""
        self.config = replace(self.config, **changes)

    def set_env(self, name: str, value: str) -> None:
        """Set a variable, in its old place when it had one."""
        entry = f"{name}={value}"
        env = list(self.config.env)
        for index, old in enumerate(env):
            if old.partition("=")[0] == name:
                env[index] = entry
                break
        else:
            env.append(entry)
        self.set(env=tuple(env))

    def record(self, created_by: str, *, layer: bool) -> None:
        """Add to the history."""
        self.history.append(History(None, created_by, comment=COMMENT, empty_layer=not layer))

    def finish(self, diff_ids: Sequence[DiffID], times: Sequence[int], created: int) -> ImageConfig:
        """The configuration of the result.

        Args:
            diff_ids: All layers, the base's included.
            times: When each layer of the build was made, seconds since the epoch.
            created: When the image was made, seconds since the epoch.
        """
        from scow.base.clock import rfc3339

        history: list[History] = []
        left = list(times)
        current = left[0] if left else created
        for index, entry in enumerate(self.history):
            if index < self.inherited or entry.created is not None:
                history.append(entry)
                continue
            if not entry.empty_layer and left:
                current = left.pop(0)
            history.append(replace(entry, created=rfc3339(current)))
        return ImageConfig(
            platform=self.platform,
            diff_ids=tuple(diff_ids),
            config=self.config,
            history=tuple(history),
            created=rfc3339(created),
            author=self.author,
            extra=self.extra,
        )
