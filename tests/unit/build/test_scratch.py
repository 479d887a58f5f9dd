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
        assert os.listdir(first.path) == ["lock"]
    assert os.listdir(tmp_path / "tmp") == []


def test_what_a_killed_build_left_is_swept(tmp_path):
    left = tmp_path / "tmp/build-gone"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (left / "context").mkdir()
    with Scratch(str(tmp_path), str(tmp_path / "run")):
        assert not left.exists()


def test_a_sweep_makes_no_lock_where_one_was_just_removed(tmp_path):
    """Its owner, about to remove the directory, would find it full."""
    going = tmp_path / "tmp/build-going"
    going.mkdir(parents=True)
    with Scratch(str(tmp_path), str(tmp_path / "run")):
        assert os.listdir(going) == []


def test_a_place_that_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, swept = scratch.FileLock, []

    def meddle(path):
        if not swept:
            swept.append(path)
            os.rmdir(os.path.dirname(path))
            os.makedirs(os.path.dirname(path))
            original = lock(path).exclusive()

            class Swept:
                def exclusive(self):
                    return self

                def __enter__(self):
                    original.__enter__()
                    os.unlink(path)
                    os.rmdir(os.path.dirname(path))

                def __exit__(self, *error):
                    return original.__exit__(*error)

            return Swept()
        return lock(path)

    monkeypatch.setattr(scratch, "FileLock", meddle)
    with Scratch(str(tmp_path), str(tmp_path / "run")) as place:
        assert os.listdir(place.path) == ["lock"]
    assert len(swept) == 1


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
