# SPDX-License-Identifier: Apache-2.0
"""scow, docker and podman, each with a store of its own, behind the same few verbs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from fakes.docker_registry import need, short_folder
from fakes.dockerd import Dockerd


class Scow:
    name = "scow"

    def __init__(self, folder):
        self.env = {
            **os.environ,
            "SCOW_ROOT": f"{folder}/scow",
            "SCOW_RUN_ROOT": f"{folder}/scow-run",
            "DOCKER_CONFIG": f"{folder}/cfg",
        }

    def __call__(self, *argv):
        return run([os.path.join(os.path.dirname(sys.executable), "scow"), *argv], env=self.env)

    def push(self, ref):
        return self("push", ref)

    def pull(self, ref):
        return self("pull", "-q", ref)

    def identity(self, ref):
        return json.loads(self("inspect", ref))[0]["Id"]

    def run(self, ref):
        return self("run", "--rm", "--network", "none", ref, "/bin/busybox", "echo", "it runs")


class Docker(Scow):
    name = "docker"

    def __init__(self, folder):
        self.daemon = Dockerd(folder)
        self.env = self.daemon.env

    def __call__(self, *argv):
        return run(["docker", *argv], env=self.env)

    def stop(self):
        self.daemon.stop()


class Podman(Scow):
    name = "podman"

    def stop(self):
        # podman leaves its storage mounted on itself
        subprocess.run(["umount", f"{self.base[2]}/overlay"], capture_output=True)
        shutil.rmtree(self.short, ignore_errors=True)

    def __init__(self, folder):
        need("podman", "runc")
        conf = f"{folder}/containers.conf"
        self.short = short_folder()
        with open(conf, "w") as file:
            file.write('[containers]\ndefault_ulimits = []\npids_limit = 0\n[engine]\ncgroup_manager = "cgroupfs"\n')
            # not /run/libpod and its locks in /dev/shm, which every podman of root's shares
            file.write(f'tmp_dir = "{self.short}/libpod"\nlock_type = "file"\n')
        self.env = {**os.environ, "CONTAINERS_CONF": conf}
        self.base = ["podman", "--root", f"{folder}/podman", "--runroot", self.short, "--runtime", "runc"]

    def __call__(self, *argv):
        return run([*self.base, *argv], env=self.env)

    def push(self, ref):
        return self("push", "-q", "--tls-verify=false", ref)

    def pull(self, ref):
        return self("pull", "-q", "--tls-verify=false", ref)

    def identity(self, ref):
        return "sha256:" + json.loads(self("inspect", ref))[0]["Id"]


def run(argv, env):
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
