# SPDX-License-Identifier: Apache-2.0
"""Passing signals on to a container (``--sig-proxy``)."""

from __future__ import annotations

import signal

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_KEPT = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGURG,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGWINCH,
        signal.SIGPROF,
        signal.SIGALRM,
        signal.SIGVTALRM,
    }
)


def forward(pidfd: int) -> None:
    """Pass every signal that reaches this process on, but those that are about this process itself.

    Args:
        pidfd: The container's first process.
    """

    def pass_on(number: int, _frame: FrameType | None) -> None:
        try:
            signal.pidfd_send_signal(pidfd, number)
        except OSError:
            return

    for number in signal.valid_signals() - _KEPT:
        try:
            signal.signal(number, pass_on)
        except (OSError, ValueError):
            continue
