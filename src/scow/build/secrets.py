# SPDX-License-Identifier: Apache-2.0
"""Secrets and SSH agents that steps may use: read when a step asks for them, never written to a disk."""

from __future__ import annotations

import os
import select
import stat
import threading
from contextlib import contextmanager

from scow.errors import InvalidArgumentError, LimitError, NotFoundError, UnsupportedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping, Sequence

    from scow.build.options import BuildOptions
    from scow.dockerfile.mounts import Mount

_MAX_SECRET = 500 * 1024
"""Bytes; the bound that BuildKit has."""
_CHUNK = 64 * 1024


def secret_name(mount: Mount) -> str:
    """The id of the secret that a mount asks for."""
    return mount.source or mount.id or mount.target.rpartition("/")[2]


def secret_value(options: BuildOptions, identity: str) -> bytes | None:
    """The bytes of a secret; ``None`` when the build was given none of this name.

    Raises:
        NotFoundError: It was given, but its file cannot be read.
        LimitError: It is too large.
    """
    secret = options.secrets.get(identity)
    if secret is None:
        return None
    if secret.env:
        value = options.environ.get(secret.env)
        if value is None:
            raise NotFoundError(f"the environment has no variable {secret.env!r} for the secret {identity!r}")
        return value.encode("utf-8", "surrogateescape")
    try:
        with open(secret.path, "rb") as file:
            data = file.read(_MAX_SECRET + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the secret {identity!r}: {error.strerror}: {secret.path!r}") from error
    if len(data) > _MAX_SECRET:
        raise LimitError(f"the secret {identity!r} is larger than {_MAX_SECRET} bytes")
    return data


@contextmanager
def forward_agent(path: str, sources: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Answer on a socket for an agent of the host, or for keys.

    Args:
        path: Where the socket is made.
        sources: A socket, or files with private keys; empty for the agent of ``environ``.
        environ: Holds ``SSH_AUTH_SOCK``.

    Raises:
        InvalidArgumentError: There is no agent.
        UnsupportedError: Keys are given, and the host has no ssh-agent.
    """
    upstream = sources[0] if sources else environ.get("SSH_AUTH_SOCK", "")
    if not upstream:
        raise InvalidArgumentError(
            "no SSH agent is known to forward", hint="start one and set SSH_AUTH_SOCK, or give --ssh default=KEYFILE"
        )
    try:
        mode = os.stat(upstream).st_mode
    except OSError as error:
        raise NotFoundError(f"cannot use the SSH agent or key {upstream!r}: {error.strerror}") from error
    if stat.S_ISSOCK(mode):
        with _relay(path, upstream):
            yield
        return
    with _own_agent(path, sources):
        yield


@contextmanager
def _own_agent(path: str, keys: Sequence[str]) -> Iterator[None]:
    """An agent of our own that holds the keys."""
    import shutil
    import subprocess

    agent, add = shutil.which("ssh-agent"), shutil.which("ssh-add")
    if agent is None or add is None:
        raise UnsupportedError("keys can only be forwarded with ssh-agent", hint="install openssh-client")
    # by its name in its directory: the path of a socket may have 107 bytes, and stores lie where users want them
    place, name = os.path.split(path)
    words = [agent, "-D", "-a", name]
    process = subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if os.path.exists(path) or process.poll() is not None:
                break
            threading.Event().wait(0.01)
        done = subprocess.run(
            [add, "-q", *map(os.path.abspath, keys)],
            env={"SSH_AUTH_SOCK": name, "SSH_ASKPASS_REQUIRE": "never"},
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise InvalidArgumentError(f"cannot use the SSH key: {reason[-1] if reason else 'ssh-add failed'}")
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _relay(path: str, upstream: str) -> Iterator[None]:
    """Pass connections on to another socket."""
    import socket

    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stop_reader, stop_writer = os.pipe()
    workers: list[threading.Thread] = []

    def serve() -> None:
        while True:
            ready = select.select([server.fileno(), stop_reader], [], [])[0]
            if stop_reader in ready:
                return
            connection, _ = server.accept()
            worker = threading.Thread(target=_pass_on, args=(connection, upstream, stop_reader), daemon=True)
            workers.append(worker)
            worker.start()

    place, name = os.path.split(path)
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        server.bind(f"/proc/self/fd/{directory}/{name}")  # a path may be too long, see above
        server.listen(16)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(stop_writer)
            thread.join()
            for worker in workers:
                worker.join()
    finally:
        os.close(directory)
        server.close()
        os.close(stop_reader)


def _pass_on(connection: socket.socket, upstream: str, stop: int) -> None:
    import socket

    with connection, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        try:
            agent.connect(upstream)
            pairs = {connection.fileno(): (connection, agent), agent.fileno(): (agent, connection)}
            while True:
                ready = select.select([*pairs, stop], [], [])[0]
                if stop in ready:
                    return
                for source, sink in (pairs[side] for side in ready):
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    sink.sendall(data)
        except OSError:
            return
