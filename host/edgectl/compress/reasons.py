# SPDX-License-Identifier: Apache-2.0
"""The reason another library or a user's code gave, fit for one line of a message. No torch."""

from __future__ import annotations

_LONGEST = 240


def first_line(error: BaseException) -> str:
    """The first non-empty line of an exception, with its type, cut to a readable length.

    Raises:
        KeyboardInterrupt: the exception came of one. Some libraries wrap what stops them in an error of their own, and
            Ctrl-C must not be told as a fault of the model.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
