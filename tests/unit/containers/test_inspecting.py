# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from scow.containers.inspecting import inspect
from scow.engine import Engine


def test_links_name_both_ends(tmp_path, make):
    service = Engine(str(tmp_path)).containers
    web = make("web")
    service.store.insert(web)
    user = make("user", host={"Links": ["web:w", "web", web.id, "gone:g"]})
    service.store.insert(user)
    assert inspect(service, user)["HostConfig"]["Links"] == [
        "/web:/user/w",
        "/web:/user/web",
        f"/web:/user/{web.id}",
        "/gone:/user/g",
    ]
    assert not inspect(service, web)["HostConfig"]["Links"]
