# SPDX-License-Identifier: Apache-2.0
"""Building from a context that a test writes."""

from __future__ import annotations

from fakes.busybox import IMAGE


def write(ctx, dockerfile, **files):
    """Fill a context; ``BASE`` in the Dockerfile is the image the store holds, ``__`` in a file's name is ``/``."""
    (ctx / "Dockerfile").write_text(dockerfile.replace("BASE", IMAGE))
    for name, text in files.items():
        (ctx / name.replace("__", "/")).parent.mkdir(parents=True, exist_ok=True)
        (ctx / name.replace("__", "/")).write_text(text)
    return str(ctx)


def build(scow, *words, **options):
    """Build without a word; what is printed is the image's ID."""
    return scow("build", "-q", *words, **options)
