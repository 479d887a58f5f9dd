# SPDX-License-Identifier: Apache-2.0
"""``scow pull``: bring an image, or every tag of a repository, from a registry."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import (
    PROGRESS_FLAG,
    REGISTRY_FLAGS,
    TRUST_FLAG,
    client_options,
    load_transfers,
    pulled_lines,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.images.pulling import Pulled, PullPlan

COMMAND = Command(
    name="pull",
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    summary="Download an image from a registry",
    min_args=1,
    max_args=1,
    aliases=("image pull", "pull"),
    flags=(
        Flag("all-tags", "a", help="Download all tagged images in the repository"),
        *REGISTRY_FLAGS,
        TRUST_FLAG,
        Flag("dry-run", help="Say what would be downloaded, and download no layer"),
        Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
        PROGRESS_FLAG,
        Flag("quiet", "q", help="Suppress verbose output"),
    ),
)


def main(argv: list[str]) -> int:
    """Pull."""
    import sys

    from scow.cli import bars
    from scow.cli.context import engine
    from scow.oci.reference import Reference

    options = parse(COMMAND, argv)
    name = options.args[0]
    reference = Reference.parse(name)
    rawjson = options.progress == "rawjson"
    scow = engine(options, meanwhile=load_transfers)
    with (
        bars.shown(options.progress, quiet=options.quiet or options.dry_run, stream=sys.stdout) as progress,
        scow.transfers(client_options(options), progress) as transfers,
    ):
        if options.dry_run:
            return _show_plan(transfers.plan(name, platform=options.platform), as_json=rawjson)
        if not (reference.tag or reference.digest or options.all_tags):
            progress.line("Using default tag: latest")
        if options.all_tags:
            changed = []

            def each(pulled: Pulled) -> None:
                changed.append(pulled.changed)
                progress.line(pulled_lines(pulled)[0])

            transfers.pull_all(name, platform=options.platform, each=each)
            what = "Downloaded newer image for" if any(changed) else "Image is up to date for"
            progress.line(f"Status: {what} {reference.familiar}")
            shown = reference.familiar
        else:
            pulled = transfers.pull(name, platform=options.platform)
            for line in pulled_lines(pulled):
                progress.line(line)
            shown = (pulled.tagged or pulled.reference).familiar
    if not rawjson:
        print(shown)
    return 0


def _show_plan(plan: PullPlan, *, as_json: bool) -> int:
    from scow.cli.format import human_size

    layers = [layer for layer in plan.layers if not layer.has_blob]
    if as_json:
        import json

        rows = [
            {"digest": layer.desc.digest, "size": layer.desc.size, "present": layer.has_blob} for layer in plan.layers
        ]
        facts = {"digest": plan.top.digest, "changed": not plan.current, "missing": plan.missing, "layers": rows}
        print(json.dumps(facts, separators=(",", ":")))
        return 0
    for layer in plan.layers:
        state = "Already exists" if layer.has_blob else f"Would download {human_size(layer.desc.size, 3)}"
        print(f"{layer.desc.digest.encoded[:12]}: {state}")
    print(f"Digest: {plan.top.digest}")
    if plan.current:
        print(f"Status: Image is up to date for {plan.reference.familiar}")
    else:
        few = "1 layer" if len(layers) == 1 else f"{len(layers)} layers"
        print(f"Status: Would download {human_size(plan.missing, 3)} in {few}")
    return 0
