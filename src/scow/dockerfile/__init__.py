# SPDX-License-Identifier: Apache-2.0
"""Dockerfile text to a syntax tree, and advice about it. Pure: no file, process or clock is touched.

Doors of this room:

- ``parser.parse(text, filename="Dockerfile") -> ast.Dockerfile``; raises ``errors.DockerfileError`` only.
- ``parser.parse_instructions(text, escape) -> tuple[ast.Instruction, ...]``: text without FROM, as ONBUILD triggers
  and ``commit --change`` have it.
- ``unparse.unparse(dockerfile) -> str``.
- ``words.expand(word, env, escape) -> Expansion(text, used, unset)`` and ``words.split(text, env, escape) ->
  Words(words, used, unset)``; ``env`` is a mapping; raise ``WordError``.
- ``mounts.parse_mount(value, expand) -> Mount``: a value of ``RUN --mount``; raises ``FlagValueError``.
- ``ignore.read(text) -> list[str]`` and ``ignore.IgnoreMatcher(patterns)``: ``excludes(path) -> bool``,
  ``decide(path) -> Decision(excluded, pattern)``, and for a walk ``enter(path, parent) -> Trail`` with
  ``Trail.excluded``, ``Trail.pattern`` and ``Trail.prunable``; raise ``IgnorePatternError``.
- ``platforms.automatic_args(build, target) -> dict[str, str]``: what TARGETPLATFORM and its kin hold.
- ``lint.run.lint(dockerfile, around, rules=..., config=...) -> Report``: advice; ``lint.rules.BUILDKIT`` are the checks
  of ``build --check``, ``lint.subject.Surroundings`` is what is known beside the file, ``lint.fix.fix`` repairs,
  ``lint.render`` prints.
"""
