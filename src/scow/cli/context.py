# SPDX-License-Identifier: Apache-2.0
"""Where commands get the engine from: the one place that turns this process's environment into settings."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.cli.flags import Parsed
    from scow.engine import Engine
    from scow.settings import Settings


def settings() -> Settings:
    """Read the settings from the environment of this process."""
    from scow.settings import Settings

    return Settings.from_env(os.environ)


def engine(
    options: Parsed | None = None, *, plain: bool = False, meanwhile: Callable[[], object] | None = None
) -> Engine:
    """Open the library over the store that the environment names; before anything that may start a thread.

    Args:
        options: Of a command with ``--disable-content-trust``, which wins over the environment when it is given.
        plain: The command needs no ids but the user's own: it reads rows and moves blobs. Any other first goes where
            it may mount and own files; see ``Engine.enter``.
        meanwhile: Loads what the command needs next, should there be something to wait for.
    """
    from scow.engine import Engine

    wanted = settings()
    if options is not None and options.changed("disable-content-trust"):
        wanted = wanted._replace(content_trust=not options.disable_content_trust)
    opened = Engine.from_settings(wanted)
    if not plain:
        opened.enter(meanwhile)
    return opened
