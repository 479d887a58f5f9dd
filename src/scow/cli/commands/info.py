# SPDX-License-Identifier: Apache-2.0
"""``scow info``: the store, the host, and what scow uses of it."""

from __future__ import annotations

from scow.cli.commands.image_inspect import INSPECT_FORMAT_HELP
from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    name="info",
    usage="[OPTIONS]",
    summary="Display system-wide information",
    max_args=0,
    aliases=("system info", "info"),
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
)


_CLIENT = {"ClientInfo": {"Debug": False, "Context": "default", "Plugins": [], "Warnings": None}}


def main(argv: list[str]) -> int:
    """Print docker's page, or a template over its JSON."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    value = engine().info()
    if options.format:
        from scow.cli.inspection import show_one
        from scow.cli.template.values import Struct

        return show_one(Struct(sorted({**value, **_CLIENT}.items()), "system.dockerInfo"), options.format)
    print("\n".join(_page(value)))
    return 0


def _page(value: dict[str, Any]) -> list[str]:
    from scow.cli.format import binary_size

    lines = [
        "Client:",
        f" Version: {value['ServerVersion']}",
        " Context: default",
        " Debug Mode: false",
        "",
        "Server:",
        f" Containers: {value['Containers']}",
        f"  Running: {value['ContainersRunning']}",
        f"  Paused: {value['ContainersPaused']}",
        f"  Stopped: {value['ContainersStopped']}",
        f" Images: {value['Images']}",
        f" Server Version: {value['ServerVersion']}",
        f" Storage Driver: {value['Driver']}",
        *(f"  {name}: {text}" for name, text in value["DriverStatus"]),
        f" Logging Driver: {value['LoggingDriver']}",
        f" Cgroup Driver: {value['CgroupDriver']}",
        f" Cgroup Version: {value['CgroupVersion']}",
        " Plugins:",
        *(f"  {kind}: {' '.join(value['Plugins'][kind])}" for kind in ("Volume", "Network", "Log")),
        f" Swarm: {value['Swarm']['LocalNodeState']}",
        f" Runtimes: {' '.join(value['Runtimes']) or '<none>'}",
        f" Default Runtime: {value['DefaultRuntime'] or '<none>'}",
        f" Runtime Path: {value['OCIRuntime'] or '<none>'}",
        f" Monitor Path: {value['Monitor'] or '<none>'}",
        " Security Options:",
        *(line for option in value["SecurityOptions"] for line in _security(option)),
        f" Kernel Version: {value['KernelVersion']}",
        f" Operating System: {value['OperatingSystem']}",
        f" OSType: {value['OSType']}",
        f" Architecture: {value['Architecture']}",
        f" CPUs: {value['NCPU']}",
        f" Total Memory: {binary_size(value['MemTotal'])}",
        f" Name: {value['Name']}",
        f" ID: {value['ID']}",
        f" Docker Root Dir: {value['DockerRootDir']}",
        f" Debug Mode: {str(value['Debug']).lower()}",
        f" Experimental: {str(value['ExperimentalBuild']).lower()}",
        " Insecure Registries:",
        *(f"  {network}" for network in value["RegistryConfig"]["InsecureRegistryCIDRs"]),
        f" Live Restore Enabled: {str(value['LiveRestoreEnabled']).lower()}",
        f" Rootless: {str(value['Rootless']).lower()}",
        f" Mode: {value['Mode']['Name']} ({value['Mode']['Reason']})",
    ]
    if value["Mode"]["More"]:
        lines.append(f"  {value['Mode']['More']}")
    for title, name in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        if value[name]:
            lines.append(f" {title}: {value[name]}")
    lines += [f"WARNING: {warning}" for warning in value["Warnings"] or ()]
    return lines


def _security(option: str) -> list[str]:
    """``name=seccomp,profile=builtin`` as the page has it."""
    name, *rest = (word.partition("=") for word in option.split(","))
    return [f"  {name[2]}", *(f"   {key.capitalize()}: {value}" for key, _, value in rest)]
