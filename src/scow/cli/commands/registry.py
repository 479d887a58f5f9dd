# SPDX-License-Identifier: Apache-2.0
"""``scow registry``: host a private registry, look into it, thin out its tags, free what it no longer needs."""

from __future__ import annotations

import os
import time

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.registry.storage import RegistryStore

_ROOT = Flag("root", kind="string", type="directory", help='Where the registry is kept (default "SCOW_ROOT/registry")')
_FORMAT = Flag("format", kind="string", help='Format output using a Go template, or "json"')

SERVE = Command(
    name="serve",
    usage="[OPTIONS]",
    summary="Serve a private registry",
    max_args=0,
    flags=(
        _ROOT,
        Flag("access", kind="string", type="file", help="Rules of what each account may do in which repositories"),
        Flag("access-log", help="Write a line for each request to the error output"),
        Flag(
            "address",
            kind="string",
            type="host:port",
            default="127.0.0.1:5000",
            help="Where to listen; port 0 takes any that is free",
        ),
        Flag("htpasswd", kind="string", type="file", help='Let in only the accounts of a file made with "htpasswd -B"'),
        Flag("max-blob-size", kind="bytes", help='The most bytes one layer may have (default "64g")'),
        Flag("no-delete", help="Refuse to delete tags, manifests and blobs"),
        Flag("read-only", help="Refuse everything but pulls"),
        Flag("sparse", help="Take manifests whose parts are missing too"),
        Flag(
            "tls-cert", kind="string", type="file", help="Certificate, with those above it; makes the server speak TLS"
        ),
        Flag("tls-key", kind="string", type="file", help="Key of the certificate"),
        Flag(
            "upload-expiry",
            kind="duration",
            help='Drop uploads that nobody has gone on with for so long (default "24h")',
        ),
    ),
)
LS = Command(
    name="ls",
    usage="[OPTIONS] [REPOSITORY]",
    summary="List the repositories of the registry, or the tags of one",
    max_args=1,
    flags=(_ROOT, _FORMAT, Flag("no-trunc", help="Don't truncate output"), Flag("quiet", "q", help="Only show names")),
)
GC = Command(
    name="gc",
    usage="[OPTIONS]",
    summary="Free what no image in the registry needs",
    max_args=0,
    flags=(
        _ROOT,
        Flag("dry-run", help="Only show what would go"),
        Flag(
            "older-than",
            kind="duration",
            help='Spare what was pushed within this time, as its image may be on its way (default "24h")',
        ),
        Flag("untagged", help="Manifests without a tag go too"),
    ),
)
PRUNE = Command(
    name="prune",
    usage="[OPTIONS] [REPOSITORY...]",
    summary="Remove old tags from the registry",
    flags=(
        _ROOT,
        Flag("dry-run", help="Only show what would go"),
        Flag("force", "f", help="Do not prompt for confirmation"),
        Flag("keep", kind="uint", type="number", help="Keep so many of the newest tags of each repository"),
        Flag("match", kind="list", type="pattern", help='Only tags that fit a pattern such as "nightly-*"'),
        Flag("older-than", kind="duration", help="Keep what was pushed within this time"),
        Flag("spare", kind="list", type="pattern", help="Never tags that fit a pattern"),
    ),
)
_PRUNING = "WARNING! This will remove tags from the registry. The images go with 'scow registry gc --untagged'."
_LOOPBACK = ("127.", "::1", "localhost")


def serve(argv: list[str]) -> int:
    """Serve until interrupted."""
    from scow.errors import InvalidArgumentError, UnsupportedError

    options = parse(SERVE, argv)
    if options.tls_key and not options.tls_cert:
        raise InvalidArgumentError("--tls-key needs --tls-cert")
    if options.access and not options.htpasswd:
        raise InvalidArgumentError("--access needs --htpasswd")
    try:
        from scow.registry.server import Listen, Server, parse_address
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the Python package {error.name} is missing", hint="Install it with 'pip install aiohttp bcrypt'."
        ) from error
    from scow.cli.report import note
    from scow.registry.front import DEFAULT_BLOB_SIZE, DEFAULT_UPLOAD_SECONDS, Policy

    host, port = parse_address(options.address)
    _warn(host, options)
    policy = Policy(
        options.read_only,
        not options.no_delete,
        options.sparse,
        options.max_blob_size or DEFAULT_BLOB_SIZE,
        options.upload_expiry / 1e9 or DEFAULT_UPLOAD_SECONDS,
    )
    listen = Listen(host, port, options.tls_cert, options.tls_key, options.htpasswd, options.access)
    store = _store(options)
    server = Server(store, policy, listen, _logged, requests=options.access_log)
    server.run(lambda url: note(f"serving {store.root} at {url}"))
    return 0


def _warn(host: str, options: Parsed) -> None:
    """Say what whoever can reach the server could do or see."""
    from scow.cli.report import note

    if host.startswith(_LOOPBACK):
        return
    if not options.htpasswd and not options.read_only:
        note("WARNING: whoever reaches this address can push to the registry; --htpasswd asks for accounts.")
    if options.htpasswd and not options.tls_cert:
        note("WARNING: passwords are sent in the clear; --tls-cert and --tls-key encrypt them.")


def _logged(line: str) -> None:
    from scow.cli.report import note

    note(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}")


def _root(options: Parsed) -> str:
    from scow.cli.context import settings

    return os.path.abspath(options.root or os.path.join(settings().root, "registry"))


def _store(options: Parsed) -> RegistryStore:
    from scow.registry.storage import RegistryStore

    return RegistryStore(_root(options))


def _existing(options: Parsed) -> RegistryStore:
    """Open a registry to look into it, without making one.

    Raises:
        NotFoundError: There is none.
    """
    from scow.errors import NotFoundError

    root = _root(options)
    if not os.path.exists(os.path.join(root, "scow.db")):
        raise NotFoundError(f"there is no registry in {root!r}", hint="Name another directory with --root.")
    return _store(options)


def ls(argv: list[str]) -> int:
    """List repositories, or the tags of one."""
    from scow.cli.format import Listing
    from scow.errors import NotFoundError

    options = parse(LS, argv)
    store = _existing(options)
    if not options.args:
        listing = Listing(
            {"Name": "REPOSITORY", "Tags": "TAGS", "Manifests": "MANIFESTS", "Size": "SIZE", "PushedSince": "PUSHED"}
            | {"Pulls": "PULLS", "PushedAt": "PUSHED AT", "Description": "DESCRIPTION"},
            default=("Name", "Tags", "Manifests", "Size", "PushedSince"),
            kind="*registry.repositoryContext",
        )
        return listing.show(_repositories(store), options.format, quiet="Name" if options.quiet else "")
    name = options.args[0]
    if not store.metadata.exists(name):
        raise NotFoundError(f"the registry has no repository {name!r}")
    listing = Listing(
        {"Tag": "TAG", "Digest": "DIGEST", "MediaType": "MEDIA TYPE", "PushedSince": "PUSHED", "PushedAt": "PUSHED AT"},
        default=("Tag", "Digest", "MediaType", "PushedSince"),
        kind="*registry.tagContext",
    )
    rows = _tags(store, name, whole=options.no_trunc)
    return listing.show(rows, options.format, quiet="Tag" if options.quiet else "")


def _repositories(store: RegistryStore) -> Iterator[dict[str, Any]]:
    from scow.cli.format import human_size

    for found in store.metadata.survey():
        yield {
            "Name": found.name,
            "Tags": str(found.tags),
            "Manifests": str(found.manifests),
            "Size": human_size(found.size, 3),
            "Pulls": str(found.pulls),
            "Description": found.description,
            **_pushed(found.pushed),
        }


def _tags(store: RegistryStore, name: str, *, whole: bool) -> Iterator[dict[str, Any]]:
    for tag, manifest in store.metadata.tagged(name):
        yield {
            "Tag": tag,
            "Digest": manifest.digest if whole else manifest.digest[:19],
            "MediaType": manifest.media_type,
            **_pushed(manifest.pushed),
        }


def _pushed(moment: float) -> dict[str, str]:
    from scow.base.clock import rfc3339
    from scow.cli.format import human_age

    return {
        "PushedSince": human_age(moment, time.time()) if moment else "",
        "PushedAt": rfc3339(moment) if moment else "",
    }


def gc(argv: list[str]) -> int:
    """Free what is not needed, and say what that was."""
    from scow.cli.format import human_size
    from scow.registry.collecting import DEFAULT_AGE, collect

    options = parse(GC, argv)
    age = options.older_than / 1e9 if options.changed("older-than") else DEFAULT_AGE
    found = collect(_existing(options), age=age, untagged=options.untagged, dry_run=options.dry_run)
    would = "would be " if options.dry_run else ""
    for repository, digest in found.manifests:
        print(f"{would}deleted: {repository}@{digest}")
    for digest in found.blobs:
        print(f"{would}freed: {digest}")
    print(f"Total {'reclaimable' if options.dry_run else 'reclaimed'} space: {human_size(found.size + found.uploads)}")
    return 0


def prune(argv: list[str]) -> int:
    """Ask, take tags away, and say which."""
    from scow.cli.prompt import confirm
    from scow.errors import InvalidArgumentError
    from scow.registry.retention import Rule, prune_tags

    options = parse(PRUNE, argv)
    if not options.changed("keep") and not options.changed("older-than"):
        raise InvalidArgumentError("nothing says what is kept", hint="Give --keep, --older-than or both.")
    store = _existing(options)
    if not options.dry_run and not options.force and not confirm(_PRUNING):
        return 0
    rule = Rule(options.keep, options.older_than / 1e9, options.match, options.spare)
    for repository, tag in prune_tags(store, rule, options.args, dry_run=options.dry_run):
        print(f"{'would be ' if options.dry_run else ''}untagged: {repository}:{tag}")
    return 0
