# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.errors import CancelledError, CorruptError, NotFoundError
from scow.images.fetching import first_failure


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([CancelledError("stopped"), CorruptError("wrong"), NotFoundError("later")], "wrong"),
        ([NotFoundError("none"), CorruptError("wrong")], "none"),
        ([CancelledError("stopped"), CancelledError("too")], "stopped"),
    ],
)
def test_the_failure_that_others_follow_from_is_told(failures, told):
    with pytest.raises(Exception, match=told) as caught, first_failure():
        raise ExceptionGroup("several", failures)
    assert caught.value in failures
