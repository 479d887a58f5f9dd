# SPDX-License-Identifier: Apache-2.0
"""Doing one thing to several containers: the name is printed when it worked, the failure told when not."""

from __future__ import annotations

import sys

from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scow.containers.service import Containers
    from scow.containers.store import Container


def for_each(
    names: Iterable[str], action: Callable[[Containers, Container], object], *, quiet: bool = False, lead: str = ""
) -> int:
    """Find each container and do something to it.

    Args:
        names: As the user wrote them.
        action: What to do; a result other than ``None`` is printed instead of the name.
        quiet: Whether nothing is printed.
        lead: Put before a failure's message; ``{}`` in it stands for the name.

    Returns:
        Exit status: 0, or that of the first failure.
    """
    from scow.cli.context import engine

    containers = engine().containers
    status = 0
    for name in names:
        try:
            result = action(containers, containers.find(name))
        except ScowError as error:
            from scow.cli.report import report

            sys.stdout.flush()
            error.message = lead.format(name) + error.message
            code = report(error)
            status = status or code
        else:
            if not quiet:
                sys.stdout.write(f"{name if result is None else result}\n")
                sys.stdout.flush()
    return status
