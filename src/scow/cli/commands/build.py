# SPDX-License-Identifier: Apache-2.0
"""``scow build``: an image from a Dockerfile."""

from __future__ import annotations

import os
import sys
import time

from scow.cli import classic
from scow.cli.buildflags import COMMAND, read
from scow.cli.flags import parse
from scow.cli.report import note
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.build.explaining import Explained
    from scow.build.failures import StepFailedError
    from scow.build.options import BuildOptions
    from scow.build.reproducing import Verified
    from scow.cli.buildlog import Shown
    from scow.cli.flags import Parsed
    from scow.dockerfile.lint.run import Problem
    from scow.engine import Engine
    from scow.images.store import ImageRecord

__all__ = ["COMMAND", "main"]


def main(argv: list[str]) -> int:
    """Build an image."""
    from scow.cli.context import engine

    flags = parse(COMMAND, argv)
    options = read(flags, os.environ)
    if flags.check or flags.call != "build":
        from scow.cli.buildcalls import call

        return call("check" if flags.check else flags.call, flags, options)
    return _build(engine(flags, meanwhile=_load_next), flags, options)


def _load_next() -> None:
    """What every build needs first."""
    from scow.base import sqlite
    from scow.build import builder

    del sqlite, builder


def _build(here: Engine, flags: Parsed, options: BuildOptions) -> int:
    from scow.build.failures import StepFailedError
    from scow.cli.buildlog import make
    from scow.errors import InvalidArgumentError

    pushes = flags.push or any(
        output.type == "registry" or output.attributes.get("push") == "true" for output in options.outputs
    )
    if pushes and not options.tags:
        raise InvalidArgumentError("tag is needed when pushing to registry", hint="Give one with --tag.")
    shown = make("quiet" if flags.quiet else flags.progress)
    begun = time.monotonic()
    try:
        verified = here.builder.verify(options, shown) if flags["verify-reproducible"] else None
        result = verified.result if verified is not None else here.builder.build(options, shown)
    except InvalidArgumentError as error:
        shown.close()
        if _faulty(error):
            return 1
        raise
    except StepFailedError as error:
        shown.close()
        _explain(flags, error.steps)
        status = _failed(shown, error)
        return _shell(here, error.image, status) if error.image else status
    shown.close()
    _explain(flags, result.steps)
    _warn(result.problems)
    for leak in result.suspicions:
        note(f"WARNING: {leak}")
    if result.emulated:
        note(_emulated(result.emulated, time.monotonic() - begun))
    if result.image is not None:
        _write_results(here, flags, options, result.image)
        if pushes:
            _push(here, options)
        if any(output.destination == "-" for output in options.outputs):
            pass  # standard output is an archive
        elif flags.quiet:
            sys.stdout.write(f"{result.image.id}\n")
        elif classic.asked_for(os.environ):
            classic.succeeded(result.image.id, options.tags)
    return _tell(flags, verified) if verified is not None else 0


def _warn(problems: tuple[Problem, ...]) -> None:
    """Say what the checks found."""
    if problems:
        note(f"\n {len(problems)} warning{'s' * (len(problems) > 1)} found (scow build --check says more):")
        for problem in problems:
            note(f" - {problem.rule.name}: {problem.message} (line {problem.line})")


def _emulated(seconds: float, whole: float) -> str:
    """How much of a build went into running foreign programs."""
    share = min(100, round(100 * seconds / max(whole, seconds, 0.001)))
    return f"Emulated: {seconds:.1f} s of {whole:.1f} s ({share} %); a machine of that kind would be faster"


def _explain(flags: Parsed, steps: tuple[Explained, ...]) -> None:
    """Say of every step why it ran or not, when that was asked for."""
    if flags.explain:
        from scow.build.explaining import render

        for line in render(steps):
            note(line)


def _tell(flags: Parsed, verified: Verified) -> int:
    """Say whether the second build made the same."""
    from scow.build.reproducing import render

    for line in render(verified, os.path.basename(flags.file) or "Dockerfile"):
        note(line)
    return int(bool(verified.differences))


def _faulty(error: InvalidArgumentError) -> bool:
    """Show what is wrong with a Dockerfile; false when that is not what is wrong."""
    from scow.dockerfile.errors import DockerfileError

    if not isinstance(error, DockerfileError):
        return False
    note(error.snippet)
    known = error.line and error.kind not in ("missing-image", "lint")
    where = f"dockerfile parse error on line {error.line}: " if known else ""
    note(f"ERROR: failed to build: failed to solve: {error.location}: {where}{error.message}")
    if error.hint:
        note(f"Hint: {error.hint}")
    return True


def _failed(shown: Shown, error: StepFailedError) -> int:
    shown.failure(error.step, error.excerpt)
    note(f"ERROR: failed to build: failed to solve: {error.message}")
    if error.hint:
        note(f"Hint: {error.hint}")
    return classic.failed(error.__cause__) if classic.asked_for(os.environ) else 1


def _shell(here: Engine, image: str, status: int) -> int:
    """Open a shell in what a failed step left; without a terminal, say how to."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        note(f"Hint: what the step left is the image {image[7:19]}: scow run --rm -it {image[7:19]}")
        return status
    from scow.cli.commands.run import main as run

    note("A shell in what the step left; leave it with exit.")
    run(["--rm", "-it", image])
    here.remove_image(image, force=True)
    return status


def _push(here: Engine, options: BuildOptions) -> None:
    """Push every tag; signed, when only signed ones are believed."""
    if not here.settings.content_trust:
        for tag in options.tags:
            here.push(tag.canonical)
        return
    from scow.cli.signing import Signer, open_trust

    with open_trust(here) as trust:
        signer = Signer(trust, [tag.with_default_tag() for tag in options.tags])
        signer.finish([here.push(tag.canonical) for tag in options.tags], note)


def _write_results(here: Engine, flags: Parsed, options: BuildOptions, image: ImageRecord) -> None:
    if flags.iidfile:
        _write(flags.iidfile, "image ID file", image.id)
    if flags["metadata-file"]:
        import json

        value = {
            "containerimage.config.digest": image.id,
            "containerimage.descriptor": {
                "mediaType": image.media_type,
                "digest": image.manifest,
                "size": here.content.stat(image.manifest).size,
                "platform": {"architecture": image.architecture, "os": image.os},
            },
            "containerimage.digest": image.manifest,
            "image.name": ",".join(tag.canonical for tag in options.tags),
        }
        _write(flags["metadata-file"], "metadata file", json.dumps(value, indent=2) + "\n")


def _write(path: str, what: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidArgumentError(f"cannot write the {what} {path!r}: {error.strerror}") from None
