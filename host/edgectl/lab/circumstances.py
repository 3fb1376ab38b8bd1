# SPDX-License-Identifier: Apache-2.0
"""What a figure depends on, found in its provenance and said in words: it may come from a board or any file. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgectl.lab.convert import printable

_MOST_CHARACTERS = 200
MOST_DEPTH = 6
"""Of what is in a provenance."""


def found_at(document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The entry below these keys, None where there is none."""
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def in_words(value: Any) -> str:
    """A short line, safe to print."""
    if value is None:
        return "not given"
    if isinstance(value, Mapping) and "unavailable" in value:
        return printable(f"unavailable: {value['unavailable']}")[:_MOST_CHARACTERS]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text)[:_MOST_CHARACTERS]


def is_shallow(value: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether nothing in there is nested deeper: what walks through it walks recursively."""
    if not isinstance(value, dict | list):
        return True
    entries = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(is_shallow(entry, depth - 1) for entry in entries)
