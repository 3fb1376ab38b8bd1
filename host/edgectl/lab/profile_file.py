# SPDX-License-Identifier: Apache-2.0
"""A profile that was saved as JSON, read back. The file may come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgectl_protos.errors import UsageError

from edgectl.lab.circumstances import is_shallow
from edgectl.lab.convert import printable
from edgectl.lab.profile import Profile, ProfiledCall, ProfiledOperator

_MAX_BYTES = 64 << 20
_MAX_ENTRIES = 100_000
_MAX_COUNT = 1 << 31
_MAX_US = 1e15


def read_profile(path: Path) -> Profile:
    """The profile that `edgectl profile -o json` wrote; its ETDump is not in there.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", expected="the JSON of an earlier `edgectl profile`", action="correct the path"
        ) from error
    if len(data) > _MAX_BYTES:
        raise _no_profile(str(path), f"is longer than {_MAX_BYTES} bytes")
    return parse_profile(data, source=str(path))


def parse_profile(data: bytes, *, source: str) -> Profile:
    """The profile in `data`; `source` names it where it is refused.

    Raises:
        UsageError: it is none.
    """
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_profile(source, "is no JSON") from error
    if not isinstance(document, dict) or document.get("unit") != "us" or "calls" not in document:
        raise _no_profile(source, "is JSON of something else")
    return _Reader(source).profile(document)


class _Reader:
    """Takes a document apart; whatever is not as it is written is refused with its place."""

    def __init__(self, source: str) -> None:
        self._source = source

    def profile(self, document: dict[str, Any]) -> Profile:
        provenance = document.get("provenance")
        if not isinstance(provenance, dict) or not is_shallow(provenance):
            raise self._wrong("provenance")
        execute_us = self._time(document, "execute_p50_us")
        if execute_us == 0:
            raise self._wrong("execute_p50_us")
        calls = enumerate(self._list(document, "calls"))
        return Profile(
            runs=self._count(document, "runs"),
            threads=self._count(document, "threads"),
            execute_p50_us=execute_us,
            calls=tuple(self._call(entry, f"calls[{index}]") for index, entry in calls),
            device=self._text(document, "device"),
            bundle_digest=self._text(document, "bundle_digest"),
            provenance=provenance,
        )

    def _call(self, entry: Any, place: str) -> ProfiledCall:
        kind = entry.get("kind") if isinstance(entry, dict) else None
        if kind not in ("delegate", "kernel"):
            raise self._wrong(f"{place}.kind")
        operators = enumerate(self._list(entry, "operators", place))
        return ProfiledCall(
            index=self._count(entry, "index", place),
            kind="kernel" if kind == "kernel" else "delegate",
            name=self._text(entry, "name", place),
            p50_us=self._time(entry, "p50_us", place),
            operators=tuple(self._operator(one, f"{place}.operators[{index}]") for index, one in operators),
        )

    def _operator(self, entry: Any, place: str) -> ProfiledOperator:
        if not isinstance(entry, dict):
            raise self._wrong(place)
        return ProfiledOperator(self._text(entry, "name", place), self._time(entry, "p50_us", place))

    def _text(self, entry: dict[str, Any], key: str, place: str = "") -> str:
        value = entry.get(key)
        if isinstance(value, str):
            return printable(value)
        raise self._wrong(f"{place}.{key}")

    def _count(self, entry: dict[str, Any], key: str, place: str = "") -> int:
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT:
            return value
        raise self._wrong(f"{place}.{key}")

    def _time(self, entry: dict[str, Any], key: str, place: str = "") -> float:
        value = entry.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_US:
            return float(value)
        raise self._wrong(f"{place}.{key}")

    def _list(self, entry: dict[str, Any], key: str, place: str = "") -> list[Any]:
        value = entry.get(key)
        if isinstance(value, list) and len(value) <= _MAX_ENTRIES:
            return value
        raise self._wrong(f"{place}.{key}")

    def _wrong(self, place: str) -> UsageError:
        return _no_profile(self._source, f"has no {place.removeprefix('.')} that can be read")


def _no_profile(source: str, seen: str) -> UsageError:
    return UsageError(
        f"{source} {seen}",
        expected="what `edgectl profile -o json` writes",
        action="save one with: edgectl profile MODEL --on DEVICE -o json > FILE",
    )
