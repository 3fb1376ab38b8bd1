# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections import Counter

import pytest
from edgectl.search.space import Choice, Dimension, Floats, Integers, SearchSpace
from edgectl_protos.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

SPACE = SearchSpace(
    (
        Integers("model.width", 8, 32, 8),
        Choice("quantize.scheme", ("none", "int8")),
        Floats("prune.macs", 0.1, 0.7, 0.2),
    )
)


def integers() -> st.SearchStrategy[Dimension]:
    return st.builds(
        lambda low, steps, step: Integers("i", low, low + steps * step, step),
        st.integers(-50, 50),
        st.integers(0, 12),
        st.integers(1, 7),
    )


def floats() -> st.SearchStrategy[Dimension]:
    return st.builds(
        lambda low, steps, step: Floats("f", low / 10, low / 10 + steps * step / 10, step / 10),
        st.integers(-50, 50),
        st.integers(0, 12),
        st.integers(1, 7),
    )


def choices() -> st.SearchStrategy[Dimension]:
    return st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True).map(
        lambda values: Choice("c", tuple(values))
    )


def spaces() -> st.SearchStrategy[SearchSpace]:
    continuous = st.just(Floats("continuous", -1.0, 2.0))
    return st.tuples(integers(), floats(), choices(), continuous).map(SearchSpace)


@given(spaces(), st.integers(0, 2**32))
def test_sampled_mutated_and_crossed_genomes_stay_within_the_space(space: SearchSpace, seed: int) -> None:
    rng = random.Random(seed)
    a, b = space.sample(rng), space.sample(rng)
    for genome in (a, b, space.mutate(a, rng), space.crossover(a, b, rng)):
        space.validate(genome)


@given(spaces(), st.integers(0, 2**32))
def test_a_mutant_differs_from_its_parent_and_leaves_it_alone(space: SearchSpace, seed: int) -> None:
    rng = random.Random(seed)
    parent = space.sample(rng)
    before = dict(parent)
    mutant = space.mutate(parent, rng)
    assert parent == before
    assert mutant != parent


@given(st.one_of(integers(), floats(), choices()), st.integers(0, 2**32))
def test_every_neighbour_of_a_grid_value_is_another_value_where_there_is_one(dimension: Dimension, seed: int) -> None:
    rng = random.Random(seed)
    value = dimension.sample(rng)
    assert (dimension.neighbour(value, rng) != value) == (dimension.size != 1)


@given(st.tuples(integers(), floats(), choices()).map(SearchSpace))
def test_nth_counts_every_genome_once(space: SearchSpace) -> None:
    assert space.size is not None
    assert len({space.key(space.nth(index)) for index in range(space.size)}) == space.size


def test_neighbours_of_an_integer_are_mostly_one_step_away() -> None:
    rng = random.Random(0)
    jumps = Counter(abs(Integers("i", 0, 100).neighbour(50, rng) - 50) for _ in range(2000))
    assert jumps[1] > jumps[2] > jumps[3] > 0


def test_a_crossover_takes_from_both_parents() -> None:
    space = SearchSpace(tuple(Integers(f"x{i}", 0, 1) for i in range(20)))
    zeros, ones = space.nth(0), space.nth(2**20 - 1)
    child = space.crossover(zeros, ones, random.Random(0))
    assert 0 < sum(int(value) for value in child.values()) < 20


def test_a_stepped_float_is_the_number_that_was_written_down() -> None:
    assert [Floats("f", 0.1, 0.7, 0.2).nth(i) for i in range(4)] == [0.1, 0.3, 0.5, 0.7]


@pytest.mark.parametrize(
    ("genome", "named"),
    [
        ({"model.width": 16, "quantize.scheme": "none"}, "prune.macs"),
        ({"model.width": 17, "quantize.scheme": "none", "prune.macs": 0.1}, "17"),
        ({"model.width": 40, "quantize.scheme": "none", "prune.macs": 0.1}, "40"),
        ({"model.width": 16.0, "quantize.scheme": "none", "prune.macs": 0.1}, "16.0"),
        ({"model.width": 16, "quantize.scheme": "int4", "prune.macs": 0.1}, "int4"),
        ({"model.width": 16, "quantize.scheme": "none", "prune.macs": 0.2}, "0.2"),
        ({"model.width": 16, "quantize.scheme": "none", "prune.macs": float("nan")}, "nan"),
        ({"model.widht": 16, "quantize.scheme": "none", "prune.macs": 0.1}, "model.width"),
    ],
)
def test_a_genome_outside_the_space_is_refused_by_name(genome: dict[str, int | float | str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        SPACE.validate(genome)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice("c", ()),
        lambda: Choice("c", (1, 1)),
        lambda: Choice("c", (True,)),
        lambda: Integers("i", 4, 3),
        lambda: Integers("i", 0, 10, 3),
        lambda: Integers("i", 0, 10, 0),
        lambda: Floats("f", 0.0, float("inf")),
        lambda: Floats("f", 0.0, 1.0, 0.3),
        lambda: SearchSpace(()),
        lambda: SearchSpace((Integers("i", 0, 1), Choice("i", (1,)))),
    ],
)
def test_a_dimension_that_cannot_be_sampled_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError):
        make()
