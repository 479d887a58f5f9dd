# SPDX-License-Identifier: Apache-2.0
"""What ``scow info`` says of the mode of working."""

from __future__ import annotations

from scow.containers import hostinfo
from scow.engine import Engine
from scow.errors import UnsupportedError
from scow.linux.standing import ROOT, SINGLE, Standing


def told(tmp_path, standing):
    service = Engine(str(tmp_path)).containers
    return hostinfo.info(service, {}, "overlay", "1", standing)


def test_the_mode_its_reason_and_what_would_give_more(tmp_path):
    said = told(tmp_path, Standing(SINGLE, "me has no subordinate ids in /etc/subuid", "More: usermod ..."))
    assert said["Mode"] == {
        "Name": "single",
        "Reason": "me has no subordinate ids in /etc/subuid",
        "More": "More: usermod ...",
    }
    assert said["Rootless"]
    assert "name=rootless" in said["SecurityOptions"]


def test_root_is_not_rootless(tmp_path):
    said = told(tmp_path, Standing(ROOT, "this is root"))
    assert not said["Rootless"]
    assert "name=rootless" not in said["SecurityOptions"]


def test_what_is_missing_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(hostinfo.cgroups, "home", lambda: "")
    monkeypatch.setattr(hostinfo, "TUN", str(tmp_path / "tun"))
    said = told(tmp_path, Standing(SINGLE, "no", "more"))
    assert said["CgroupDriver"] == "none"
    warnings = "\n".join(said["Warnings"])
    assert "no control group" in warnings
    assert "Delegate=yes" in warnings
    assert "cannot be opened" in warnings or "(Debian package: passt)" in warnings


def test_only_runtimes_that_can_work_are_listed(tmp_path, monkeypatch):
    def find(name):
        if name == "crun":
            raise UnsupportedError("crun does not work on this host")
        return f"/bin/{name}"

    monkeypatch.setattr(hostinfo, "find_runtime", find)
    said = told(tmp_path, Standing(ROOT, "this is root"))
    assert said["Runtimes"] == {"runc": {"path": "/bin/runc"}}
    assert (said["DefaultRuntime"], said["OCIRuntime"]) == ("runc", "/bin/runc")
