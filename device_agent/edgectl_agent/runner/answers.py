# SPDX-License-Identifier: Apache-2.0
"""The JSON lines of edge-runner's measuring modes, read as values. What cannot be read is a `RunnerError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from edgectl_protos.errors import RunnerError

_Value = TypeVar("_Value")


def read_answer(line: bytes, mode: str, build: Callable[[Any], _Value]) -> _Value:
    """What `build` makes of the JSON in `line`.

    Raises:
        RunnerError: it is no JSON, or lacks what `build` reads.
    """
    try:
        return build(json.loads(line))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise RunnerError(
            f"edge-runner {mode} printed {line[:80]!r}", expected="its JSON lines", action="check --runner"
        ) from error


def is_error(line: bytes) -> bool:
    """Whether the runner says why it ends; its exit code and stderr say it better."""
    return line.startswith(b'{"error"')
