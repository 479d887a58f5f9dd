# SPDX-License-Identifier: Apache-2.0
"""``scow why``: why the steps of an image ran or came from the cache when it was built."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.build.explaining import Explained

COMMAND = Command(
    name="why",
    usage="[OPTIONS] IMAGE [STEP]",
    summary="Explain why a build step ran or came from the cache",
    min_args=1,
    max_args=2,
    flags=(Flag("json", help="Print as JSON"),),
)


def main(argv: list[str]) -> int:
    """Tell how an image came about; STEP is a number, a line of the Dockerfile (``:9``), or part of a title."""
    import json

    from scow.base.clock import now
    from scow.build.explaining import Explained, render
    from scow.cli.context import engine
    from scow.cli.format import human_age

    options = parse(COMMAND, argv)
    here = engine()
    record = here.images.resolve(options.args[0])
    text = here.builder.cache.story(record.id)
    if text is None:
        raise NotFoundError(
            f"nothing is known of how {options.args[0]!r} was built",
            hint="only images that were built in this store have a story",
        )
    story = json.loads(text)
    steps = [Explained(step["title"], step["outcome"], tuple(step["reasons"]), step["line"]) for step in story["steps"]]
    chosen = _choose(steps, options.args[1]) if len(options.args) == 2 else steps
    if options.json:
        story["steps"] = [{"step": steps.index(step) + 1, **step._asdict()} for step in chosen]
        sys.stdout.write(json.dumps(story, indent=2) + "\n")
        return 0
    lines = [f"built {human_age(story['time'], now())} from {story['dockerfile']}", *render(chosen)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _choose(steps: list[Explained], wanted: str) -> list[Explained]:
    """The steps that a word means."""
    if wanted.isascii() and wanted.isdigit():
        found = steps[int(wanted) - 1 : int(wanted)] if int(wanted) else []
    elif wanted[:1] == ":" and wanted[1:].isdigit():
        found = [step for step in steps if step.line == int(wanted[1:])]
    else:
        found = [step for step in steps if wanted.lower() in step.title.lower()]
    if not found:
        raise NotFoundError(f"no step is {wanted!r}", hint=f"it has steps 1 to {len(steps)}; see them all without STEP")
    return found
