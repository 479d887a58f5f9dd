# SPDX-License-Identifier: Apache-2.0
"""Files as block devices."""

from __future__ import annotations

import errno
import os

import pytest

from fakes.busybox import until
from scow.errors import DeniedError, NotFoundError, UnavailableError, UnsupportedError
from scow.linux.loop import _error, attach


def test_a_missing_file_is_named() -> None:
    with pytest.raises(NotFoundError, match="'/none'"):
        attach("/none")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, DeniedError),
        (errno.ENOENT, UnsupportedError),
        (errno.EINVAL, UnsupportedError),
        (errno.EIO, UnavailableError),
    ],
)
def test_errors(number, kind) -> None:
    assert type(_error(OSError(number, ""), "/x")) is kind


@pytest.mark.root
def test_a_device_shows_the_file_and_goes_with_its_last_user(tmp_path) -> None:
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this kernel has no loop devices")
    path = tmp_path / "file"
    path.write_bytes(b"begin" + bytes(1019))
    loop = attach(str(path))

    def shown() -> str:
        try:
            with open(f"/sys/block/{os.path.basename(loop.path)}/loop/backing_file") as file:
                return file.read().strip()
        except OSError:
            return ""

    assert shown() == str(path)
    with open(loop.path, "rb") as device:
        assert device.read(5) == b"begin"
        with pytest.raises(PermissionError), open(loop.path, "r+b", buffering=0) as writable:
            writable.write(b"x" * 512)
    os.close(loop.fd)
    assert until(lambda: shown() != str(path)), "it may be somebody else's by now"
