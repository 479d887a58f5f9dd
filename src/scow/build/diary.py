# SPDX-License-Identifier: Apache-2.0
"""A build's diary: its record for the next build's explanations, and the story of the image it made."""

from __future__ import annotations

import json

from scow.build.graph import digest_of
from scow.build.recording import Recorder
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.base.database import Database
    from scow.build.cache import BuildCache
    from scow.build.explaining import Explained
    from scow.build.options import BuildOptions
    from scow.build.plan import Plan
    from scow.build.solver import Solver


class Diary:
    """Writes down one build.

    Args:
        db: The store's database.
        cache: Holds what is written.
        place: Names the Dockerfile.
        options: Of the build.
        plan: Its steps.
        solver: Knows how they came about.
    """

    def __init__(
        self, db: Database, cache: BuildCache, place: str, options: BuildOptions, plan: Plan, solver: Solver
    ) -> None:
        self._cache = cache
        self._options = options
        self._plan = plan
        self._solver = solver
        self._dockerfile = place
        self._recorder = Recorder(db, cache, digest_of([place, options.target, str(plan.platform)]))

    def write(self, image: str = "") -> tuple[Explained, ...]:
        """Write the record, and the story of an image when there is one.

        A build that took everything from the cache, as the last one did, adds nothing.

        Args:
            image: ID of what was made; ``""`` for a build that failed or made no image.

        Returns:
            Why each step ran or did not; empty when nobody asked and nothing happened.
        """
        from scow.build.explaining import explain

        recorder, vertices = self._recorder, self._plan.vertices
        same = recorder.is_last(vertices, self._solver)
        known = not image or self._cache.story(image) is not None
        if same and known and not self._options.explain:
            return ()
        before = recorder.last()
        record = recorder.make(vertices, self._solver, self._options.build_args, before)
        steps = tuple(explain(record, before, recorder.files))
        if not (same and known):
            # What made the image is worth more than a later build that found everything done.
            story = image if image and not (known and all(step.outcome in ("BASE", "CACHED") for step in steps)) else ""
            recorder.keep(record, story, self._story(record, steps) if story else "")
        return steps

    def _story(self, record: dict[str, Any], steps: tuple[Explained, ...]) -> str:
        value = {
            "dockerfile": self._dockerfile.replace("\0", " "),
            "target": self._options.target,
            "time": record["time"],
            "steps": [step._asdict() for step in steps],
        }
        return json.dumps(value, separators=(",", ":"))
