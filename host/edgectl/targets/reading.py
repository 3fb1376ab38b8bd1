# SPDX-License-Identifier: Apache-2.0
"""Reading a table of a target's TOML file, value by value; a refusal names the table and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", re.ASCII)
_MAXIMUM_TEXT = 500
_MAXIMUM_ENTRIES = 64


class Table:
    """One table of a document; `where` is how messages call it.

    Every method raises `UsageError` for a value that is missing without a default, of the wrong type or out of range.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self._where = where
        self._values = values

    def refuse_unknown(self, shape: type, *, besides: tuple[str, ...] = ()) -> None:
        """Refuse a key that is no field of the dataclass `shape`, or one of `besides`, which do not come from here."""
        known = tuple(field.name for field in fields(shape) if field.name not in besides)
        for key in self._values:
            if key not in known:
                raise UsageError(f"{self._where}: unknown key {key[:80]!r}", expected=describe_known(key, known))

    def integer(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """A whole number from `low` to `high`, both allowed."""
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, value, f"a whole number from {low} to {high}")
        return value

    def text(self, key: str, *, default: str | None = None) -> str:
        """A line of printable text; empty only where that is the default."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or not value.isprintable() or len(value) > _MAXIMUM_TEXT:
            raise self._wrong(key, value, f"a line of at most {_MAXIMUM_TEXT} characters")
        if not value and default != "":
            raise self._wrong(key, value, "some text")
        return value

    def name(self, key: str, *, example: str, default: str | None = None) -> str:
        """A name of letters, digits, `_`, `.` and `-`: it may become a word on a command line."""
        value = self._values.get(key, default)
        if not _is_name(value) and not (value == "" and default == ""):
            raise self._wrong(key, value, f"a name such as {example}")
        return str(value)

    def names(self, key: str, *, example: str) -> tuple[str, ...]:
        """A list of names, at least one, none twice."""
        value = self._values.get(key)
        if not isinstance(value, list) or not 0 < len(value) <= _MAXIMUM_ENTRIES or not all(map(_is_name, value)):
            raise self._wrong(key, value, f"a list such as {example}")
        if len(set(value)) < len(value):
            raise self._wrong(key, value, "each name once")
        return tuple(value)

    def table(self, key: str) -> Table | None:
        """The table at `key`, or None where there is none."""
        if key not in self._values:
            return None
        value = self._values[key]
        if not isinstance(value, dict):
            raise self._wrong(key, value, f"a table [{key}]")
        return Table(f"{self._where}: {key}", value)

    def tables(self, key: str) -> tuple[Table, ...]:
        """The tables of the array at `key`; none where the key is absent."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or len(value) > _MAXIMUM_ENTRIES or not all(isinstance(e, dict) for e in value):
            raise self._wrong(key, value, f"tables [[{key}]], at most {_MAXIMUM_ENTRIES}")
        return tuple(Table(f"{self._where}: {key} {place}", entry) for place, entry in enumerate(value, start=1))

    def _wrong(self, key: str, value: object, expected: str) -> UsageError:
        seen = "missing" if value is None else repr(value)[:80]
        return UsageError(f"{self._where}: {key} {seen}", expected=expected)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
