# SPDX-License-Identifier: Apache-2.0
"""Flag tables like docker's, for tests of the grammar and of the pages made from it."""

from __future__ import annotations

from scow.cli.flags import Command, Flag

RUN = Command(
    name="run",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Create and run a new container from an image",
    min_args=1,
    interspersed=False,
    flags=(
        Flag("interactive", "i"),
        Flag("tty", "t"),
        Flag("rm"),
        Flag("sig-proxy", default=True),
        Flag("env", "e", kind="list"),
        Flag("publish", "p", kind="list"),
        Flag("name", kind="string"),
        Flag("user", "u", kind="string"),
        Flag("memory", "m", kind="bytes"),
        Flag("memory-swap", kind="swap"),
        Flag("cpus", kind="decimal"),
        Flag("health-interval", kind="duration"),
        Flag("health-retries", kind="int"),
        Flag("blkio-weight", kind="uint", bits=16),
        Flag("sysctl", kind="map"),
        Flag("security-opt", kind="csv"),
        Flag("squash", "s", kind="optional", implied="all"),
        Flag("pull", kind="enum", choices=("always", "missing", "never"), default="missing"),
        Flag("old", kind="string", deprecated="use --name instead"),
    ),
)
PS = Command(
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
            help="Format output using a custom template:\n"
            "'table':            Print output in table format with column headers (default)\n"
            "'table TEMPLATE':   Print output in table format using the given Go template\n"
            "'json':             Print in JSON format\n"
            "'TEMPLATE':         Print output using the given Go template.\n"
            "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag("last", "n", kind="int", default=-1, help="Show n last created containers (includes all states)"),
        Flag("latest", "l", help="Show the latest created container (includes all states)"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only display container IDs"),
        Flag("size", "s", help="Display total file sizes"),
    ),
)
