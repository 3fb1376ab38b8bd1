# SPDX-License-Identifier: Apache-2.0
"""Legal values of recipe fields: each rule says in words what it expects, turns a parsed value into one to store, and
writes itself as JSON schema. What `accept` takes, the schema takes, and nothing else. No torch.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Accepted: TypeAlias = bool | int | float | str | tuple[str, ...] | dict[str, str]
Schema: TypeAlias = dict[str, Any]


class Rule(Protocol):
    """What a field may hold."""

    @property
    def expected(self) -> str:
        """The legal values, in words."""
        ...

    def accept(self, value: object) -> Accepted | None:
        """The value to store, or None where `value` is not legal."""
        ...

    def schema(self) -> Schema:
        """The legal values as JSON schema, draft 2020-12."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """Integers from `low` to `high`, both included; 2.0 is one, as in JSON schema."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def accept(self, value: object) -> int | None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return None
        return value

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Real:
    """Finite numbers from `low` to `high`; each end is included unless it is said to be open."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def expected(self) -> str:
        low = "above" if self.open_low else "from"
        high = "below" if self.open_high else "up to"
        return f"a number {low} {self.low:g} and {high} {self.high:g}"

    def accept(self, value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # Compared before it is made a float: a huge integer has no float.
        if not math.isfinite(value) if isinstance(value, float) else not self.low <= value <= self.high:
            return None
        number = float(value)
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return number if above and below else None

    def schema(self) -> Schema:
        low = "exclusiveMinimum" if self.open_low else "minimum"
        high = "exclusiveMaximum" if self.open_high else "maximum"
        return {"type": "number", low: self.low, high: self.high}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few names."""

    names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.names)}"

    def accept(self, value: object) -> str | None:
        return value if isinstance(value, str) and value in self.names else None

    def schema(self) -> Schema:
        return {"enum": list(self.names)}


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    @property
    def expected(self) -> str:
        return "true or false"

    def accept(self, value: object) -> bool | None:
        return value if isinstance(value, bool) else None

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a regular expression matches from end to end."""

    pattern: str
    expected: str

    def accept(self, value: object) -> str | None:
        return value if isinstance(value, str) and re.fullmatch(self.pattern, value) else None

    def schema(self) -> Schema:
        return {"type": "string", "pattern": whole_text(self.pattern)}


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts, or one alone; stored as a tuple."""

    item: Rule
    most: int = 256

    @property
    def expected(self) -> str:
        return f"a list of at most {self.most}, each {self.item.expected}"

    def accept(self, value: object) -> tuple[str, ...] | None:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list | tuple) or len(given) > self.most:
            return None
        accepted = [self.item.accept(one) for one in given]
        return tuple(one for one in accepted if isinstance(one, str)) if None not in accepted else None

    def schema(self) -> Schema:
        item = self.item.schema()
        return {"anyOf": [item, {"type": "array", "maxItems": self.most, "items": item}]}


@dataclass(frozen=True, slots=True)
class Assignments:
    """A mapping from names to one of a few values."""

    key: Text
    value: OneOf
    most: int = 1024

    @property
    def expected(self) -> str:
        return f"a mapping of {self.key.expected} to {self.value.expected}"

    def accept(self, value: object) -> dict[str, str] | None:
        if not isinstance(value, dict) or len(value) > self.most:
            return None
        accepted = {self.key.accept(key): self.value.accept(item) for key, item in value.items()}
        if None in accepted or None in accepted.values():
            return None
        return {key: item for key, item in accepted.items() if key is not None and item is not None}

    def schema(self) -> Schema:
        return {
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
        }


def whole_text(pattern: str) -> str:
    """`pattern` anchored at both ends for JSON schema; in Python's dialect `$` alone would let a last newline by."""
    return rf"^(?:{pattern})$(?!\n)"
