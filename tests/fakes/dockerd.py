# SPDX-License-Identifier: Apache-2.0
"""A docker daemon without networks, and docker's client for it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from fakes.busybox import until
from fakes.docker_registry import need, short_folder


class Dockerd:
    """Started at once; stop it in the end. ``env`` is for docker's client."""

    def __init__(self, folder):
        need("dockerd", "docker")
        self.short = short_folder()
        address = f"unix://{self.short}/d.sock"
        self.env = {**os.environ, "DOCKER_HOST": address, "DOCKER_CONFIG": f"{folder}/dcfg"}
        self.log = open(f"{folder}/dockerd.log", "wb")  # noqa: SIM115
        argv = ["dockerd", "--data-root", f"{folder}/docker", "--exec-root", f"{self.short}/exec"]
        argv += ["--pidfile", f"{folder}/d.pid", "-H", address, "--bridge=none", "--iptables=false"]
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log)
        assert until(lambda: self.process.poll() is not None or self._answers())
        if self.process.poll() is not None:
            self.stop()
            pytest.skip("dockerd does not start here")

    def _answers(self):
        return subprocess.run(["docker", "version"], env=self.env, capture_output=True).returncode == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        assert until(self._is_clean), "what it has started goes on"

    def _is_clean(self):
        """Take its folder away, whatever its children may still be writing there."""
        shutil.rmtree(self.short, ignore_errors=True)
        return not os.path.exists(self.short)
