# SPDX-License-Identifier: Apache-2.0
"""``scow ps``: list containers."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.format import Listing
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="ps",
    usage="[OPTIONS]",
    summary="List containers",
    max_args=0,
    aliases=("container ls", "container list", "container ps", "ps"),
    flags=(
        Flag("all", "a", help="Show all containers (default shows just running)"),
        Flag("filter", "f", kind="filter", help="Filter output based on conditions provided"),
        Flag(
            "format",
            kind="string",
            help=(
                "Format output using a custom template:\n'table':            Print output in table format with column"
                " headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n"
                "'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go"
                " template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting"
                " output with templates"
            ),
        ),
        Flag("last", "n", kind="int", default=-1, help="Show n last created containers (includes all states)"),
        Flag("latest", "l", help="Show the latest created container (includes all states)"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only display container IDs"),
        Flag("size", "s", help="Display total file sizes"),
    ),
)
_COMMAND_WIDTH = 20


def main(argv: list[str]) -> int:
    """List containers."""
    from scow.cli.context import engine
    from scow.cli.format import config_format
    from scow.containers.listing import select

    options = parse(COMMAND, argv)
    containers = engine().containers
    last = 1 if options.latest and options.last < 0 else options.last
    chosen = select(containers, options.filter, everything=options.all, last=last if last > 0 else -1)
    template = options.format or ("" if options.quiet else config_format("psFormat"))
    if options.format and options.quiet:
        template = template if template == "raw" else ""
        from scow.cli.report import note

        note("WARNING: Ignoring custom format, because both --format and --quiet are set.")
    with_size = options.size or ((".Size" in template or "json ." in template) and not options.quiet)
    rows = [
        container_row(containers, container, whole=options["no-trunc"], with_size=with_size) for container in chosen
    ]
    quiet = "ID" if options.quiet else ""
    return show(listing(size=options.size), rows, template, quiet=quiet)


def show(shape: Listing, rows: list[dict[str, Any]], template: str, *, quiet: str) -> int:
    """Print the list.

    Raises:
        TemplateError: In the words of this command: docker tries the template before it asks for the containers.
    """
    from scow.cli.template.parser import TemplateError

    try:
        return shape.show(rows, template, quiet=quiet)
    except TemplateError as error:
        what = "execute" if "executing" in error.message else "parse"
        error.message = error.message.replace("template parsing error", f"failed to {what} template", 1)
        raise


def listing(*, size: bool = False) -> Listing:
    """How containers are listed."""
    from scow.cli.format import Listing

    columns = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
    return Listing(
        {
            "ID": "CONTAINER ID",
            "Names": "NAMES",
            "Image": "IMAGE",
            "Command": "COMMAND",
            "CreatedAt": "CREATED AT",
            "RunningFor": "CREATED",
            "Ports": "PORTS",
            "State": "STATE",
            "Status": "STATUS",
            "Size": "SIZE",
            "Labels": "LABELS",
            "Mounts": "MOUNTS",
            "LocalVolumes": "LOCAL VOLUMES",
            "Networks": "NETWORKS",
            "Platform": "PLATFORM",
            "Label": "",
        },
        default=(*columns, "Size") if size else columns,
        kind="*formatter.ContainerContext",
        raw=_RAW + "size: {{.Size}}\n" * size,
        raw_quiet="container_id: {{.ID}}",
    )


_RAW = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{.State}}\n"
    "status: {{.Status}}\nnames: {{.Names}}\nlabels: {{.Labels}}\nports: {{.Ports}}\n"
)


def container_row(containers: Containers, container: Container, *, whole: bool, with_size: bool) -> dict[str, Any]:
    """One line of the table, as the fields that a template may name.

    Args:
        containers: The room.
        container: The container.
        whole: Whether nothing is cut.
        with_size: Whether its size is worked out.
    """
    import time

    from scow.cli.format import Method, human_age
    from scow.cli.portlist import show_ports
    from scow.cli.template.values import NilPointer
    from scow.containers.inspecting import ports
    from scow.containers.listing import find_images, network_names

    labels: dict[str, str] = container.config.get("Labels") or {}
    volumes = [mount for mount in container.mounts if mount["Type"] == "volume"]
    moment = time.localtime(container.created)
    return {
        "ID": container.id if whole else container.id[:12],
        "Names": container.name,
        "Image": _image(find_images(containers, container), container.image, whole=whole),
        "Command": _command(container, whole=whole),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", moment),
        "RunningFor": human_age(container.created, time.time()),
        "Ports": show_ports(ports(container)),
        "State": container.status,
        "Status": status(container),
        "Size": _size(containers, container) if with_size else "0B",
        "Labels": ",".join(f"{name}={labels[name]}" for name in sorted(labels)),
        "Mounts": _mounts(container, whole=whole),
        "LocalVolumes": str(len(volumes)),
        "Networks": ",".join(network_names(container)),
        "Platform": NilPointer("*v1.Platform"),  # what only docker's containerd store knows
        "Label": Method(lambda name: labels.get(name, "")),
    }


def _image(name: str, identity: str, *, whole: bool) -> str:
    """An image in docker's short form: no default registry, no digest, an ID only in part."""
    from scow.oci.reference import InvalidReferenceError, Reference

    short = identity.removeprefix("sha256:")[:12]
    if whole or name.removeprefix("sha256:").startswith(short):
        return name if whole else short
    try:
        return Reference.parse(name)._replace(digest=None).familiar
    except InvalidReferenceError:
        return name


def _command(container: Container, *, whole: bool) -> str:
    import json

    from scow.cli.format import ellipsis

    words = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
    text = " ".join([*words[:1], *(f"'{word}'" if " " in word else word for word in words[1:])])
    if not whole:
        text = ellipsis(text, _COMMAND_WIDTH)
    return json.dumps(text, ensure_ascii=False)


def _mounts(container: Container, *, whole: bool) -> str:
    from scow.cli.format import ellipsis

    names = [mount.get("Name") or mount["Source"] for mount in container.mounts if mount["Type"] != "tmpfs"]
    return ",".join(name if whole else ellipsis(name, 15) for name in names)


def _size(containers: Containers, container: Container) -> str:
    from scow.cli.format import human_size
    from scow.containers.sizes import sizes

    own, total = sizes(containers, container)
    return f"{human_size(own, 3)} (virtual {human_size(total, 3)})"


def status(container: Container) -> str:
    """How a container is, as ``ps`` says it."""
    import time

    from scow.cli.format import human_duration

    at = time.time()
    if container.status == "restarting":
        return f"Restarting ({container.exit_code}) {human_duration(at - container.finished)} ago"
    if container.status == "exited":
        return f"Exited ({container.exit_code}) {human_duration(at - container.finished)} ago"
    if container.is_alive:
        text = f"Up {human_duration(at - container.started)}"
        if container.status == "paused":
            return text + " (Paused)"
        health = container.health.get("Status")
        if health and health != "none":
            text += f" ({'health: starting' if health == 'starting' else health})"
        return text
    words: dict[str, str] = {"created": "Created", "dead": "Dead"}
    return words.get(container.status, container.status)
