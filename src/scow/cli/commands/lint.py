# SPDX-License-Identifier: Apache-2.0
"""``scow lint``: advice about Dockerfiles, and repairs."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.dockerfile.lint.config import LintConfig
    from scow.dockerfile.lint.rule import Rule
    from scow.dockerfile.lint.run import Report
    from scow.dockerfile.lint.subject import BaseImage, Surroundings
    from scow.engine import Engine

COMMAND = Command(
    name="lint",
    usage="[OPTIONS] [FILE...]",
    summary="Check a Dockerfile for mistakes and bad practice",
    flags=(
        Flag("build-arg", kind="list", help="Set build-time variables"),
        Flag("explain", kind="string", type="rule", help="Show what a rule is about and exit"),
        Flag("failure-threshold", kind="enum", choices=("error", "warning", "info", "never"), default="warning",
             help='Exit with 1 when something at least this bad is found ("error", "warning", "info", "never")'),
        Flag("fix", help="Repair what is safe to repair"),
        Flag("format", kind="enum", choices=("text", "json", "sarif"), default="text",
             help='Format of the report ("text", "json", "sarif")'),
        Flag("ignore", kind="csv", type="rule", help="Rules to leave out, by name or number"),
        Flag("list", help="List the rules and exit"),
        Flag("only", kind="csv", type="rule", help='Rules to run, by name or number; "all", "buildkit"'),
        Flag("platform", kind="string", help="Platform that the build would be for"),
        Flag("trusted-registry", kind="csv", type="host", help="Registries that base images may come from"),
    ),
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Check files (``Dockerfile`` when none is named, ``-`` for standard input); the exit status says how bad it is."""
    import sys

    options = parse(COMMAND, argv)
    if options.list or options.explain:
        return _show(options)
    rules = _rules(options.only)
    config = _config(options)
    reports: list[Report] = []
    texts: list[str] = []
    for path in options.args or ["Dockerfile"]:
        text = _read(path)
        around = _surroundings(path, text, options)
        if options.fix:
            text = _fix(path, text, around, rules, config)
        reports.append(_lint(path, text, around, rules, config))
        texts.append(text)
    sys.stdout.buffer.write(_rendered(options.format, reports, texts).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    threshold = options.failure_threshold
    return int(
        any(
            (report.error and report.problems) or (threshold != "never" and report.reaches(threshold))
            for report in reports
        )
    )


def _lint(path: str, text: str, around: Surroundings, rules: tuple[Rule, ...] | None, config: LintConfig) -> Report:
    from scow.dockerfile.lint.run import lint
    from scow.dockerfile.parser import parse as parse_dockerfile

    return lint(parse_dockerfile(text, path), around, rules=rules, config=config)


def _fix(path: str, text: str, around: Surroundings, rules: tuple[Rule, ...] | None, config: LintConfig) -> str:
    """Repair the file in place; what came from standard input goes to standard output, and the report to stderr."""
    import os
    import sys

    from scow.dockerfile.lint.fix import fix

    fixed, count = fix(text, path, around, rules=rules, config=config)
    if path == "-":
        sys.stdout.buffer.write(fixed.encode("utf-8", "surrogateescape"))
    elif fixed != text:
        _replace(os.path.realpath(path), fixed.encode("utf-8", "surrogateescape"))
    if count:
        print(f"{path}: {count} {'repair' if count == 1 else 'repairs'} made", file=sys.stderr)
    return fixed


def _replace(path: str, content: bytes) -> None:
    """Put new content in the place of a file, whole or not at all."""
    import os

    temporary = f"{path}.{os.urandom(4).hex()}.scow-fix"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _rendered(form: str, reports: list[Report], texts: list[str]) -> str:
    from scow.dockerfile.lint import render

    if form == "json":
        return render.as_json(reports)
    if form == "sarif":
        from scow import __version__

        return render.as_sarif(reports, __version__)
    pairs = zip(reports, texts, strict=True)
    return "".join(render.as_text(report, text.removeprefix("\ufeff").split("\n")) for report, text in pairs)


def _rules(names: list[str]) -> tuple[Rule, ...] | None:
    from scow.dockerfile.lint.rules import BUILDKIT, RULES, by_name

    if not names:
        return None
    chosen: list[Rule] = []
    for name in names:
        chosen += RULES if name == "all" else BUILDKIT if name == "buildkit" else (by_name(name),)
    return tuple(dict.fromkeys(chosen))


def _config(options: Parsed) -> LintConfig:
    from scow.dockerfile.lint.config import LintConfig
    from scow.dockerfile.lint.rules import by_name

    for name in options.ignore:
        by_name(name)
    return LintConfig(skip=frozenset(options.ignore), experimental=frozenset(options.only))


def _read(path: str) -> str:
    import sys

    if path == "-":
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def _surroundings(path: str, text: str, options: Parsed) -> Surroundings:
    """What lies around the file: the ignore file, the names beside it, and base images that are in the store."""
    import os
    from dataclasses import replace

    from scow.dockerfile.lint.subject import Surroundings
    from scow.oci.platform import host_platform, parse_platform

    given = [entry.partition("=") for entry in options.build_arg]
    host = host_platform(os.uname().machine)
    target = parse_platform(options.platform, host) if options.platform else host
    folder = os.path.dirname(path) or "."
    around = Surroundings(
        build_args={name: value if sign else os.environ.get(name, "") for name, sign, value in given},
        build=host,
        target=target,
        ignore=_ignore(path, folder) if path != "-" else None,
        context=tuple(sorted(os.listdir(folder))) if path != "-" else None,
        registries=tuple(options.trusted_registry),
    )
    return replace(around, images=_images(path, text, around))


def _images(path: str, text: str, around: Surroundings) -> dict[str, BaseImage]:
    """What the store knows of the bases; nothing when there is no store. Advice never makes one."""
    import os

    from scow.cli.context import engine as open_engine
    from scow.cli.context import settings
    from scow.dockerfile.lint.dryrun import DryRun
    from scow.dockerfile.parser import parse as parse_dockerfile

    stages = DryRun(parse_dockerfile(text, path), around).stages
    names = sorted({run.base for run in stages if run.parent is None and run.base != "scratch"})
    if not names or not os.path.isdir(settings().root):
        return {}
    engine = open_engine(plain=True)
    found = {name: _base_image(engine, name) for name in names}
    return {name: image for name, image in found.items() if image is not None}


def _base_image(engine: Engine, name: str) -> BaseImage | None:
    from scow.dockerfile.lint.subject import BaseImage
    from scow.errors import ScowError
    from scow.images.knowledge import know

    try:
        known = know(engine.images, engine.snapshots, engine.leases, name)
    except (ScowError, OSError):
        return None
    config = known.config.config
    return BaseImage(
        env={name: value for name, _, value in (entry.partition("=") for entry in config.env)},
        shell=config.shell,
        user=config.user,
        workdir=config.working_dir,
        platform=known.config.platform,
        onbuild=config.on_build,
        healthcheck=config.healthcheck is not None,
        managers=known.managers,
        users=known.users,
    )


def _ignore(path: str, folder: str) -> tuple[str, ...]:
    """The patterns that a build of this file would use, with its folder as the context."""
    from scow.dockerfile.ignore import read

    for name in (f"{path}.dockerignore", f"{folder}/.dockerignore"):
        try:
            with open(name, "rb") as file:
                return tuple(read(file.read().decode("utf-8", "surrogateescape")))
        except FileNotFoundError:
            continue
    return ()


def _show(options: Parsed) -> int:
    from scow.dockerfile.lint.rules import RULES, by_name

    if options.explain:
        rule = by_name(options.explain)
        print(f"{rule.name} ({', '.join((rule.level, *rule.aliases))})\n\n{rule.summary}.\n\n{rule.why}\n")
        print(f"Bad:\n\n{_indent(rule.bad)}\nGood:\n\n{_indent(rule.good)}", end="")
        return 0
    width = max(len(rule.name) for rule in RULES)
    for rule in RULES:
        state = "experimental" if rule.experimental else "off" if not rule.on else rule.level
        print(f"{rule.name:<{width}}  {rule.aliases[0] if rule.aliases else '':<6}  {state:<12}  {rule.summary}")
    return 0


def _indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
