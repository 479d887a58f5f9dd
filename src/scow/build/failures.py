# SPDX-License-Identifier: Apache-2.0
"""How a step of a build fails. Alone in its module so that the command line can know it without loading the solver."""

from __future__ import annotations

from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.build.explaining import Explained
    from scow.build.graph import Solved, Vertex


class StepFailedError(ScowError):
    """A step of a build did not succeed.

    Args:
        message: One sentence.
        step: Its number in the build.
        title: Its title.
        lines: First and last line in the Dockerfile.
        hint: What to do.
    """

    code = "build-step"

    def __init__(
        self, message: str, *, step: int = 0, title: str = "", lines: tuple[int, int] = (0, 0), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.title = title
        self.lines = lines
        self.excerpt = ""
        """The lines of the Dockerfile around the step, for a terminal."""
        self.left: Solved | None = None
        """What a failed RUN left, when that was asked for."""
        self.vertex: Vertex | None = None
        """The step."""
        self.image = ""
        """ID of an image of what the step left, when that was asked for."""
        self.steps: tuple[Explained, ...] = ()
        """Why each step up to here ran or did not, when that was asked for."""
