# SPDX-License-Identifier: Apache-2.0
"""Go's text/template, with the functions docker adds: lexer -> parser -> evaluator, each in a module of its own."""

from __future__ import annotations
