# SPDX-License-Identifier: Apache-2.0
"""Asking before something is removed, as docker asks."""

from __future__ import annotations

import sys


def confirm(warning: str, between: str = "\n") -> bool:
    """Ask on stdout, read the answer from stdin.

    Args:
        warning: What is about to happen.
        between: Before the question.

    Returns:
        Whether the answer is yes; the end of input means no.
    """
    return ask(f"{warning}{between}Are you sure you want to continue?")


def ask(question: str) -> bool:
    """Ask on stdout, read the answer from stdin.

    Args:
        question: To be answered by yes or no.

    Returns:
        Whether the answer is yes; the end of input means no.
    """
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("y", "yes")
