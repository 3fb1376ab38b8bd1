# SPDX-License-Identifier: Apache-2.0
"""The search space: named dimensions and the operators on genomes drawn from them.

A genome has exactly one value per dimension. Every operator takes its randomness as an argument and returns a new
genome that lies within the space.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

Value = int | float | str
Genome = dict[str, Value]
GenomeKey = tuple[Value, ...]

CONTINUOUS_STEP = 0.15  # standard deviation of a mutation, as a part of the range
DIGITS = 10  # after the point, for bounds and grid values
GRID_TOLERANCE = 1e-6  # of a step: how far from a grid point a value may lie


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a set of values without order."""

    name: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UsageError(f"dimension {self.name} has no values", expected="at least one")
        wrong = [value for value in self.values if isinstance(value, bool) or not isinstance(value, int | float | str)]
        if wrong:
            raise UsageError(f"dimension {self.name} holds {wrong[0]!r}", expected="numbers or text")
        if len(set(self.values)) != len(self.values):
            raise UsageError(f"dimension {self.name} repeats a value: {list(self.values)}", expected="each value once")

    @property
    def size(self) -> int | None:
        return len(self.values)

    def nth(self, index: int) -> Value:
        return self.values[index]

    def sample(self, rng: random.Random) -> Value:
        return rng.choice(self.values)

    def neighbour(self, value: Value, rng: random.Random) -> Value:
        others = [other for other in self.values if other != value]
        return rng.choice(others) if others else value

    def contains(self, value: Value) -> bool:
        return not isinstance(value, bool) and value in self.values

    def document(self) -> dict[str, object]:
        return {"choice": list(self.values)}


@dataclass(frozen=True, slots=True)
class Integers:
    """Whole numbers low, low + step, ... up to and including high."""

    name: str
    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        for label, number in (("low", self.low), ("high", self.high), ("step", self.step)):
            if isinstance(number, bool) or not isinstance(number, int):
                raise UsageError(f"dimension {self.name} has {label} {number!r}", expected="a whole number")
        _check_grid(self.name, self.low, self.high, self.step)

    @property
    def size(self) -> int | None:
        return (self.high - self.low) // self.step + 1

    def nth(self, index: int) -> int:
        return self.low + index * self.step

    def sample(self, rng: random.Random) -> int:
        return self.nth(rng.randrange(self.size or 1))

    def neighbour(self, value: Value, rng: random.Random) -> int:
        return self.nth(_nearby_index((int(value) - self.low) // self.step, self.size or 1, rng))

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def document(self) -> dict[str, object]:
        return {"integers": [self.low, self.high], "step": self.step}


@dataclass(frozen=True, slots=True)
class Floats:
    """Numbers low, low + step, ... up to and including high; any number between them where there is no step."""

    name: str
    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        bounds = (("low", self.low), ("high", self.high), *((("step", self.step),) if self.step is not None else ()))
        for label, number in bounds:
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise UsageError(f"dimension {self.name} has {label} {number!r}", expected="a finite number")
        _check_grid(self.name, self.low, self.high, self.step)
        object.__setattr__(self, "low", round(float(self.low), DIGITS))
        object.__setattr__(self, "high", round(float(self.high), DIGITS))

    @property
    def size(self) -> int | None:
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def nth(self, index: int) -> float:
        # Rounding makes 0.1 + 2 * 0.1 the 0.3 that was written down, so that equal genomes compare equal.
        return min(round(self.low + index * (self.step or 0.0), DIGITS), self.high)

    def sample(self, rng: random.Random) -> float:
        return rng.uniform(self.low, self.high) if self.size is None else self.nth(rng.randrange(self.size))

    def neighbour(self, value: Value, rng: random.Random) -> float:
        if self.size is None or self.step is None:
            moved = float(value) + rng.gauss(0.0, CONTINUOUS_STEP * (self.high - self.low))
            return min(max(moved, self.low), self.high)
        return self.nth(_nearby_index(round((float(value) - self.low) / self.step), self.size, rng))

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) <= GRID_TOLERANCE

    def document(self) -> dict[str, object]:
        return {"floats": [self.low, self.high], "step": self.step}


Dimension = Choice | Integers | Floats


@dataclass(frozen=True, slots=True)
class SearchSpace:
    dimensions: tuple[Dimension, ...]
    _by_name: dict[str, Dimension] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise UsageError("the search space has no dimension", expected="at least one, such as model.width")
        by_name = {dimension.name: dimension for dimension in self.dimensions}
        if len(by_name) != len(self.dimensions):
            raise UsageError("two dimensions of the search space share a name", expected="one dimension for each name")
        object.__setattr__(self, "_by_name", by_name)

    @property
    def size(self) -> int | None:
        """Number of different genomes; None where a dimension is continuous."""
        total = 1
        for dimension in self.dimensions:
            if dimension.size is None:
                return None
            total *= dimension.size
        return total

    def nth(self, index: int) -> Genome:
        """The genome at `index` (0 <= index < size) of a space without continuous dimensions, in a fixed order."""
        genome: Genome = {}
        for dimension in self.dimensions:
            if dimension.size is None:
                raise ValueError(f"dimension {dimension.name} is continuous: its genomes cannot be counted")
            index, place = divmod(index, dimension.size)
            genome[dimension.name] = dimension.nth(place)
        return genome

    def sample(self, rng: random.Random) -> Genome:
        return {dimension.name: dimension.sample(rng) for dimension in self.dimensions}

    def mutate(self, genome: Genome, rng: random.Random) -> Genome:
        """Each dimension moves with probability 1/n, one at least, to a value near its own."""
        movable = [dimension for dimension in self.dimensions if dimension.size != 1]
        if not movable:
            return dict(genome)
        moved = [dimension for dimension in movable if rng.random() < 1.0 / len(movable)]
        changed = dict(genome)
        for dimension in moved or [rng.choice(movable)]:
            changed[dimension.name] = dimension.neighbour(genome[dimension.name], rng)
        return changed

    def crossover(self, a: Genome, b: Genome, rng: random.Random) -> Genome:
        """Uniform crossover: each value from either parent with equal chance."""
        return {d.name: (a if rng.random() < 0.5 else b)[d.name] for d in self.dimensions}

    def validate(self, genome: Mapping[str, Value]) -> None:
        """Raises:
        UsageError: a key is missing or unknown, or a value lies outside its dimension.
        """
        for name in genome:
            if name not in self._by_name:
                raise UsageError(
                    f"the genome has a key {name!r} that is no dimension", expected=describe_known(name, self._by_name)
                )
        for dimension in self.dimensions:
            if dimension.name not in genome:
                raise UsageError(f"the genome lacks {dimension.name}", expected="a value for every dimension")
            value = genome[dimension.name]
            if not dimension.contains(value):
                raise UsageError(f"{dimension.name} is {value!r}", expected=f"one of {dimension.document()}")

    def key(self, genome: Mapping[str, Value]) -> GenomeKey:
        """The genome as a hashable value: equal for equal genomes."""
        return tuple(genome[dimension.name] for dimension in self.dimensions)

    def document(self) -> dict[str, dict[str, object]]:
        """The space as JSON, to compare with the one a study was made for."""
        return {dimension.name: dimension.document() for dimension in self.dimensions}


def _check_grid(name: str, low: float, high: float, step: float | None) -> None:
    if low > high:
        raise UsageError(f"dimension {name} runs from {low} to {high}", expected="low <= high")
    if step is None:
        return
    if step <= 0:
        raise UsageError(f"dimension {name} has step {step}", expected="a step above 0")
    steps = (high - low) / step
    if abs(steps - round(steps)) > GRID_TOLERANCE:
        raise UsageError(f"dimension {name}: {high} is not a whole number of steps of {step} above {low}")


def _nearby_index(index: int, count: int, rng: random.Random) -> int:
    """Another grid index: a step either way, each further step half as likely; turned back at the ends."""
    if count == 1:
        return index
    distance = 1
    while distance < count - 1 and rng.random() < 0.5:
        distance += 1
    sign = rng.choice((-1, 1))
    for candidate in (index + sign * distance, index - sign * distance):
        if 0 <= candidate < count:
            return candidate
    return count - 1 if sign > 0 else 0  # only an inner index can leave by both ends
