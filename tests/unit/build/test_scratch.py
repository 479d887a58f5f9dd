# SPDX-License-Identifier: Apache-2.0
"""Places of one build, and builds beside it that sweep."""

from __future__ import annotations

import os
import threading

from scow.build import scratch
from scow.build.scratch import Scratch


def test_a_place_goes_with_its_build_and_is_left_alone_meanwhile(tmp_path):
    with Scratch(str(tmp_path), str(tmp_path / "run")) as first:
        with Scratch(str(tmp_path), str(tmp_path / "run")) as second:
            assert os.path.isdir(first.path)
            assert os.stat(second.path).st_mode & 0o777 == 0o711
        assert not os.path.exists(second.path)
        assert os.listdir(first.path) == []
    assert os.listdir(tmp_path / "tmp") == []


def test_what_a_killed_build_left_is_swept(tmp_path):
    """Also when it was killed while it removed what it had: no file in it says that it is over."""
    left = tmp_path / "tmp/build-gone"
    (left / "context").mkdir(parents=True)
    (left / "context/big").write_bytes(b"x")
    with Scratch(str(tmp_path), str(tmp_path / "run")):
        assert not left.exists()


def test_secrets_have_a_place_that_goes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_SHARED_MEMORY", str(tmp_path / "none"))
    left = tmp_path / "run/secrets/gone"
    left.mkdir(parents=True)
    with Scratch(str(tmp_path), str(tmp_path / "run")) as place:
        assert os.path.isdir(place.memory)
        assert place.memory == place.memory
        assert os.listdir(tmp_path / "run/secrets") == [os.path.basename(place.memory)]
    assert os.listdir(tmp_path / "run/secrets") == []


def test_many_builds_begin_and_end_at_once(tmp_path):
    failures = []

    def work():
        try:
            for _ in range(100):
                with Scratch(str(tmp_path), str(tmp_path / "run")) as place, open(f"{place.path}/x", "xb"):
                    pass
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(tmp_path / "tmp") == []
