# SPDX-License-Identifier: Apache-2.0
"""Where commands get the engine from: the one place that turns this process's environment into settings."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.engine import Engine
    from scow.settings import Settings


def settings() -> Settings:
    """Read the settings from the environment of this process."""
    from scow.settings import Settings

    return Settings.from_env(os.environ)


def engine() -> Engine:
    """Open the library over the store that the environment names."""
    from scow.engine import Engine

    return Engine.from_settings(settings())
