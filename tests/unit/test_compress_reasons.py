# SPDX-License-Identifier: Apache-2.0
"""What is told of an exception, and what must not be told as one."""

from __future__ import annotations

import pytest
from edgectl.compress.reasons import first_line


def wrapped(error: BaseException) -> Exception:
    try:
        try:
            raise error
        except BaseException as inner:
            raise RuntimeError("the pass failed") from inner
    except RuntimeError as outer:
        return outer


def test_the_first_line_of_a_wrapped_error_is_the_outer_ones() -> None:
    assert first_line(wrapped(ValueError("deep"))) == "RuntimeError: the pass failed"


def test_an_interrupt_that_a_library_wrapped_stays_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        first_line(wrapped(KeyboardInterrupt()))
