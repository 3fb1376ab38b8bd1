# SPDX-License-Identifier: Apache-2.0
"""Legal values of recipe fields: each rule says in words what it expects and turns a parsed scalar into a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Rule(Protocol):
    """What a field may hold."""

    @property
    def expected(self) -> str:
        """The legal values, in words."""
        ...

    def accept(self, value: object) -> int | float | str | None:
        """The value to store, or None where `value` is not legal."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """Integers from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def accept(self, value: object) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return None
        return value


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
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        number = float(value)
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return number if above and below else None


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few names."""

    names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.names)}"

    def accept(self, value: object) -> str | None:
        return value if isinstance(value, str) and value in self.names else None
