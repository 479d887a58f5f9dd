# SPDX-License-Identifier: Apache-2.0
"""scow: Docker images without a daemon, as a command and as a typed library.

``from scow import Engine`` is the front door; it is resolved on first use so that importing :mod:`scow` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Engine", "__version__"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.engine import Engine


def __getattr__(name: str) -> object:
    """Resolve public names on first use (PEP 562)."""
    if name == "Engine":
        from scow.engine import Engine

        return Engine
    raise AttributeError(f"module 'scow' has no attribute {name!r}")
