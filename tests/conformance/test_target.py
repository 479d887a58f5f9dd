# SPDX-License-Identifier: Apache-2.0
"""Every copy target against the one suite."""

from __future__ import annotations

import threading

import pytest

from conformance.target import TargetSuite, push_image
from scow.content.layoutdir import LayoutDirectory
from scow.errors import NotFoundError, UnsupportedError


class TestLayoutDirectory(TargetSuite):
    @pytest.fixture
    def target(self, tmp_path):
        return LayoutDirectory(str(tmp_path / "layout"), create=True)

    def test_what_is_no_layout_is_refused(self, tmp_path):
        with pytest.raises(NotFoundError):
            LayoutDirectory(str(tmp_path))

    def test_unknown_version_is_refused(self, target):
        with open(f"{target.path}/oci-layout", "w") as file:
            file.write('{"imageLayoutVersion":"2.0.0"}')
        with pytest.raises(UnsupportedError):
            LayoutDirectory(target.path)

    def test_opens_again(self, target):
        desc = push_image(target)
        target.tag(desc, "v1")
        again = LayoutDirectory(target.path)
        assert again.resolve("").digest == desc.digest

    def test_tags_from_many_threads_are_all_kept(self, target):
        desc = push_image(target)
        threads = [threading.Thread(target=target.tag, args=(desc, f"v{number}")) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(target.resolve(f"v{number}").digest == desc.digest for number in range(8))
