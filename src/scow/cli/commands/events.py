# SPDX-License-Identifier: Apache-2.0
"""``scow events``: what happens in the store."""

from __future__ import annotations

import sys
import time

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.template.values import Struct
    from scow.containers.events import Event

COMMAND = Command(
    name="events",
    usage="[OPTIONS]",
    summary="Get real time events from the store",
    max_args=0,
    aliases=("system events", "events"),
    flags=(
        Flag("filter", "f", kind="filter", help="Filter output based on conditions provided"),
        Flag("format", kind="string", help="Format output using a custom template"),
        Flag("since", kind="string", help="Show all events created since timestamp"),
        Flag("until", kind="string", help="Stream events until this timestamp"),
    ),
)
_BAD_TEMPLATE_STATUS = 64
_FILTERS = frozenset({"container", "daemon", "event", "image", "label", "network", "plugin", "scope", "type", "volume"})


def main(argv: list[str]) -> int:
    """Print events as they happen."""
    from scow.base.clock import parse_moment
    from scow.cli.context import engine
    from scow.cli.report import note
    from scow.cli.template.evaluator import Template
    from scow.cli.template.parser import TemplateError
    from scow.containers.events import Event

    options = parse(COMMAND, argv)
    at = time.time()
    since = parse_moment(options.since, at) if options.since else at
    until = parse_moment(options.until, at) if options.until else None
    wanted: dict[str, list[str]] = {}
    for key, value in options.filter:
        if key not in _FILTERS:
            raise InvalidArgumentError(f"Invalid filter '{key}'")
        wanted.setdefault(key, []).append(value)
    text = "{{json .}}" if options.format == "json" else options.format
    as_json = text.replace(" ", "") == "{{json.}}"
    try:
        template = Template(text) if text else None
        if template:
            template.render(typed(Event(0, at, "", "", "", {}), as_json=as_json))
    except TemplateError as error:
        note(error.message.replace("template parsing error", "Error parsing format", 1))
        return _BAD_TEMPLATE_STATUS
    events = engine(plain=True).containers.events
    for event in events.follow(since, lambda: until is None or time.time() < until):
        if (until is None or event.at <= until) and _matches(event, wanted):
            line = template.render(typed(event, as_json=as_json)) if template else show(event)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


def _matches(event: Event, wanted: dict[str, list[str]]) -> bool:
    return all(any(_match(event, key, value) for value in values) for key, values in wanted.items())


def _match(event: Event, key: str, value: str) -> bool:
    if key == "type":
        return event.kind == value
    if key == "event":
        return event.action == value or event.action.partition(":")[0] == value
    if key == "scope":
        return value == "local"
    if key == "label":
        name, equals, text = value.partition("=")
        return name in event.attributes and (not equals or event.attributes[name] == text)
    if key == "image":
        name = event.attributes.get("name" if event.kind == "image" else "image", "")
        return value in {event.actor, name, name.rpartition(":")[0]}
    if event.kind != key:
        return False
    return event.actor.startswith(value) or event.attributes.get("name") == value


def document(event: Event) -> dict[str, Any]:
    """An event as docker's JSON."""
    whole = int(event.at * 1e9)
    found: dict[str, Any] = {}
    if event.kind in {"container", "image"}:
        found = {"status": event.action, "id": event.actor}
        if "image" in event.attributes:
            found["from"] = event.attributes["image"]
    return {
        **found,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "scope": "local",
        "time": whole // 10**9,
        "timeNano": whole,
    }


def typed(event: Event, *, as_json: bool) -> Struct:
    """An event as Go's struct: with the names of its JSON members, or with those of its fields."""
    from scow.cli.template.values import Struct

    found = document(event)
    found["Actor"] = Struct([("ID", event.actor), ("Attributes", event.attributes)], "events.Actor")
    if as_json:
        return Struct(found.items(), "events.Message")
    fields = {
        "Status": found.get("status", ""),
        "ID": found.get("id", ""),
        "From": found.get("from", ""),
        "Type": event.kind,
        "Action": event.action,
        "Actor": found["Actor"],
        "Scope": found["scope"],
        "Time": found["time"],
        "TimeNano": found["timeNano"],
    }
    return Struct(fields.items(), "events.Message")


def show(event: Event) -> str:
    """An event as a line."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(event.at))
    nanoseconds = int(event.at * 1e9) % 10**9
    zone = time.strftime("%z", time.localtime(event.at))
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    rest = ", ".join(f"{name}={event.attributes[name]}" for name in sorted(event.attributes))
    return f"{moment}.{nanoseconds:09d}{zone} {event.kind} {event.action} {event.actor}" + (
        f" ({rest})" if rest else ""
    )
