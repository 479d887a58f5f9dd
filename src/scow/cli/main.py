# SPDX-License-Identifier: Apache-2.0
"""The command table, the global flags, and the way from words to a command module.

Importing this module loads nothing but ``sys``; the module of a command is loaded when the command is run. What goes
wrong is rendered by :mod:`scow.cli.report`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.cli.flags import Command

COMMON, MANAGEMENT, OTHER, HIDDEN = "Common Commands", "Management Commands", "Commands", ""

# Words -> (module in scow.cli.commands, summary, group of the root help). "volume:ls" stands for the table LS and the
# function ls of volume.py, a plain name for COMMAND and main. Only one-word entries have a group. A family may have
# families in it.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "run": ("run", "Create and run a new container from an image", COMMON),
    "exec": ("exec", "Execute a command in a running container", COMMON),
    "ps": ("ps", "List containers", COMMON),
    "build": ("build", "Build an image from a Dockerfile", COMMON),
    "pull": ("pull", "Download an image from a registry", COMMON),
    "push": ("push", "Upload an image to a registry", COMMON),
    "images": ("images", "List images", COMMON),
    "login": ("login", "Authenticate to a registry", COMMON),
    "logout": ("logout", "Log out from a registry", COMMON),
    "search": ("search", "Search a registry for images", COMMON),
    "version": ("version", "Show the scow version information", COMMON),
    "info": ("info", "Display system-wide information", COMMON),
    "attach": ("attach", "Attach local standard input, output, and error streams to a running container", OTHER),
    "commit": ("commit", "Create a new image from a container's changes", OTHER),
    "completion": ("completion", "Print the completion script for a shell", OTHER),
    "copy": ("copy", "Copy an image between registries, the store, archives and layouts", OTHER),
    "cp": ("cp", "Copy files/folders between a container and the local filesystem", OTHER),
    "create": ("create", "Create a new container", OTHER),
    "diff": ("diff", "Inspect changes to files or directories on a container's filesystem", OTHER),
    "events": ("events", "Get real time events from the store", OTHER),
    "export": ("export", "Export a container's filesystem as a tar archive", OTHER),
    "help": ("help", "Show the help of a command", OTHER),
    "history": ("history", "Show the history of an image", OTHER),
    "import": ("import_", "Import the contents from a tarball to create a filesystem image", OTHER),
    "inspect": ("inspect", "Return low-level information on Docker objects", OTHER),
    "kill": ("kill", "Kill one or more running containers", OTHER),
    "lint": ("lint", "Check a Dockerfile for mistakes and bad practice", OTHER),
    "load": ("load", "Load an image from a tar archive or STDIN", OTHER),
    "lock": ("lock", "Write down the digests that a build depends on", OTHER),
    "logs": ("logs", "Fetch the logs of a container", OTHER),
    "outdated": ("outdated", "List local images that have a newer version in their registry", OTHER),
    "pause": ("pause", "Pause all processes within one or more containers", OTHER),
    "port": ("port", "List port mappings or a specific mapping for the container", OTHER),
    "rename": ("rename", "Rename a container", OTHER),
    "restart": ("restart", "Restart one or more containers", OTHER),
    "rm": ("rm", "Remove one or more containers", OTHER),
    "rmi": ("rmi", "Remove one or more images", OTHER),
    "save": ("save", "Save one or more images to a tar archive (streamed to STDOUT by default)", OTHER),
    "start": ("start", "Start one or more stopped containers", OTHER),
    "stats": ("stats", "Display a live stream of container(s) resource usage statistics", OTHER),
    "stop": ("stop", "Stop one or more running containers", OTHER),
    "tag": ("tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", OTHER),
    "tags": ("tags", "List the tags of a repository", OTHER),
    "top": ("top", "Display the running processes of a container", OTHER),
    "unpause": ("unpause", "Unpause all processes within one or more containers", OTHER),
    "update": ("update", "Update configuration of one or more containers", OTHER),
    "wait": ("wait", "Block until one or more containers stop, then print their exit codes", OTHER),
    "why": ("why", "Explain why a build step ran or came from the cache", OTHER),
    "debug": ("debug", "Answer conformance kits", HIDDEN),
    "base create": ("base:create", "Make a base image from a distribution's packages", ""),
    "builder build": ("build", "Build an image from a Dockerfile", ""),
    "builder df": ("builder:df", "Show the disk usage of the build cache", ""),
    "builder prune": ("builder:prune", "Remove build cache", ""),
    "container attach": ("attach", "Attach local standard input, output, and error streams to a running container", ""),
    "container commit": ("commit", "Create a new image from a container's changes", ""),
    "container cp": ("cp", "Copy files/folders between a container and the local filesystem", ""),
    "container create": ("create", "Create a new container", ""),
    "container diff": ("diff", "Inspect changes to files or directories on a container's filesystem", ""),
    "container exec": ("exec", "Execute a command in a running container", ""),
    "container export": ("export", "Export a container's filesystem as a tar archive", ""),
    "container inspect": ("container_inspect", "Display detailed information on one or more containers", ""),
    "container kill": ("kill", "Kill one or more running containers", ""),
    "container logs": ("logs", "Fetch the logs of a container", ""),
    "container ls": ("ps", "List containers", ""),
    "container pause": ("pause", "Pause all processes within one or more containers", ""),
    "container port": ("port", "List port mappings or a specific mapping for the container", ""),
    "container prune": ("container_prune", "Remove all stopped containers", ""),
    "container rename": ("rename", "Rename a container", ""),
    "container restart": ("restart", "Restart one or more containers", ""),
    "container rm": ("rm", "Remove one or more containers", ""),
    "container run": ("run", "Create and run a new container from an image", ""),
    "container start": ("start", "Start one or more stopped containers", ""),
    "container stats": ("stats", "Display a live stream of container(s) resource usage statistics", ""),
    "container stop": ("stop", "Stop one or more running containers", ""),
    "container top": ("top", "Display the running processes of a container", ""),
    "container unpause": ("unpause", "Unpause all processes within one or more containers", ""),
    "container update": ("update", "Update configuration of one or more containers", ""),
    "container wait": ("wait", "Block until one or more containers stop, then print their exit codes", ""),
    "context du": ("context:du", "Show what takes space in a build context", ""),
    "context ls": ("context:ls", "List the files of a build context", ""),
    "context why": ("context:why", "Explain why a file is in a build context or not", ""),
    "image build": ("build", "Build an image from a Dockerfile", ""),
    "image delete": ("image_delete", "Delete an image from a registry", ""),
    "image history": ("history", "Show the history of an image", ""),
    "image import": ("import_", "Import the contents from a tarball to create a filesystem image", ""),
    "image inspect": ("image_inspect", "Display detailed information on one or more images", ""),
    "image load": ("load", "Load an image from a tar archive or STDIN", ""),
    "image ls": ("images", "List images", ""),
    "image prune": ("image_prune", "Remove unused images", ""),
    "image pull": ("pull", "Download an image from a registry", ""),
    "image push": ("push", "Upload an image to a registry", ""),
    "image rm": ("rmi", "Remove one or more images", ""),
    "image save": ("save", "Save one or more images to a tar archive (streamed to STDOUT by default)", ""),
    "image tag": ("tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", ""),
    "manifest annotate": ("manifest:annotate", "Add additional information to an image of a local image index", ""),
    "manifest append": ("manifest:append", "Add an image to a local image index", ""),
    "manifest create": ("manifest:create", "Create a local image index for later annotating and pushing", ""),
    "manifest inspect": ("manifest:inspect", "Display an image manifest or image index", ""),
    "manifest push": ("manifest:push", "Push an image index to a registry", ""),
    "manifest rm": ("manifest:rm", "Delete one or more local image indexes", ""),
    "network connect": ("network:connect", "Connect a container to a network", ""),
    "network create": ("network:create", "Create a network", ""),
    "network disconnect": ("network:disconnect", "Disconnect a container from a network", ""),
    "network inspect": ("network:inspect", "Display detailed information on one or more networks", ""),
    "network ls": ("network:ls", "List networks", ""),
    "network prune": ("network:prune", "Remove all unused networks", ""),
    "network rm": ("network:rm", "Remove one or more networks", ""),
    "registry gc": ("registry:gc", "Free what no image in the registry needs", ""),
    "registry ls": ("registry:ls", "List the repositories of the registry, or the tags of one", ""),
    "registry prune": ("registry:prune", "Remove old tags from the registry", ""),
    "registry serve": ("registry:serve", "Serve a private registry", ""),
    "system boot": (
        "system:boot",
        "Start the containers whose restart policy asks for it, after the machine has started",
        "",
    ),
    "system df": ("system:df", "Show disk usage", ""),
    "system events": ("events", "Get real time events from the store", ""),
    "system fsck": ("system:fsck", "Check every digest and every link of the store", ""),
    "system info": ("info", "Display system-wide information", ""),
    "system prune": ("system:prune", "Remove unused data", ""),
    "trust inspect": ("trust:inspect", "Return low-level information about keys and signatures", ""),
    "trust key generate": ("trust_key:generate", "Generate and load a signing key-pair", ""),
    "trust key load": ("trust_key:load", "Load a private key file for signing", ""),
    "trust revoke": ("trust:revoke", "Remove trust for an image", ""),
    "trust sign": ("trust:sign", "Sign an image", ""),
    "trust signer add": ("trust_signer:add", "Add a signer", ""),
    "trust signer remove": ("trust_signer:remove", "Remove a signer", ""),
    "volume create": ("volume:create", "Create a volume", ""),
    "volume inspect": ("volume:inspect", "Display detailed information on one or more volumes", ""),
    "volume ls": ("volume:ls", "List volumes", ""),
    "volume prune": ("volume:prune", "Remove unused local volumes", ""),
    "volume rm": ("volume:rm", "Remove one or more volumes", ""),
}

FAMILIES: dict[str, str] = {
    "base": "Make base images",
    "builder": "Manage builds",
    "container": "Manage containers",
    "context": "Look into build contexts",
    "image": "Manage images",
    "manifest": "Manage image manifests and image indexes",
    "network": "Manage networks",
    "registry": "Host a private registry",
    "system": "Manage the store",
    "trust": "Manage trust on images",
    "trust key": "Manage keys for signing images",
    "trust signer": "Manage entities who can sign images",
    "volume": "Manage volumes",
}

# Second words, and first words, that mean another entry.
ALIASES: dict[str, str] = {
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "image list": "image ls",
    "image remove": "image rm",
    "index": "manifest",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}


def main(argv: list[str]) -> int:
    """Run one command line.

    Args:
        argv: The words after the program's name.

    Returns:
        The exit status of the process.
    """
    if argv and argv[0] in ("--version", "-v"):
        from scow import __version__

        sys.stdout.write(f"scow version {__version__}\n")
        return 0
    path = ""
    try:
        words = argv
        if argv and argv[0][:1] == "-":
            from scow.cli.globals import read_globals

            after = read_globals(argv)
            if after is None:
                return 0
            words = after
        path, rest = find(words)
        if path in COMMANDS:
            status = load(path)[1](rest)
            sys.stdout.flush()  # while a closed pipe or a full disk can still be reported
            return status
        from scow.cli.help import run_family

        return run_family(path, rest)
    except BaseException as error:
        from scow.cli.report import render

        return render(error, path)


def find(words: list[str]) -> tuple[str, list[str]]:
    """Split words into the entry they name and the rest.

    Returns:
        A key of COMMANDS, or of FAMILIES, or "" for the program itself or a first word that is unknown; and the words
        that were not used.
    """
    if not words:
        return "", words
    first = ALIASES.get(words[0], words[0])
    if first in COMMANDS:
        return first, words[1:]
    if first not in FAMILIES:
        return "", words
    path = first
    for used, word in enumerate(words[1:], 2):
        both = f"{path} {word}"
        both = ALIASES.get(both, both)
        if both in COMMANDS:
            return both, words[used:]
        if both not in FAMILIES:
            return path, words[used - 1 :]
        path = both
    return path, []


def load(path: str) -> tuple[Command, Callable[[list[str]], int]]:
    """Import the module of an entry of COMMANDS; return its table and its function."""
    name, _, member = COMMANDS[path][0].partition(":")
    module = __import__(f"scow.cli.commands.{name}", fromlist=("COMMAND",))
    if member:
        return getattr(module, member.upper()), getattr(module, member)
    return module.COMMAND, module.main
