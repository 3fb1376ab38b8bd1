# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
from edgectl.search.objectives import Direction
from edgectl.search.pareto import crowding_distances, hypervolume_2d, nondominated_ranks, pareto_indices
from hypothesis import given
from hypothesis import strategies as st

MIXED: tuple[Direction, ...] = ("maximize", "minimize", "minimize")
Points = list[tuple[float, ...]]


def points(axes: int = 3) -> st.SearchStrategy[Points]:
    return st.lists(st.tuples(*[st.integers(-4, 4).map(float)] * axes), max_size=14)


def better(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Written from the definition, apart from the code under test."""
    gains = [x - y if direction == "maximize" else y - x for x, y, direction in zip(a, b, MIXED, strict=True)]
    return min(gains) >= 0 and max(gains) > 0


@given(points())
def test_the_front_is_exactly_what_nothing_dominates(cloud: Points) -> None:
    front = pareto_indices(cloud, MIXED)
    for i, point in enumerate(cloud):
        assert (i in front) == (not any(better(other, point) for other in cloud))


@given(points())
def test_everything_off_the_front_is_dominated_from_the_front(cloud: Points) -> None:
    front = pareto_indices(cloud, MIXED)
    for i, point in enumerate(cloud):
        assert i in front or any(better(cloud[j], point) for j in front)


@given(points())
def test_rank_zero_is_the_front_and_each_rank_is_dominated_by_the_one_before(cloud: Points) -> None:
    ranks = nondominated_ranks(cloud, MIXED)
    assert tuple(i for i, rank in enumerate(ranks) if rank == 0) == pareto_indices(cloud, MIXED)
    for i, rank in enumerate(ranks):
        if rank:
            assert any(ranks[j] == rank - 1 and better(cloud[j], cloud[i]) for j in range(len(cloud)))


@given(points(), st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order_of_points(cloud: Points, rng: object) -> None:
    order = list(range(len(cloud)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = pareto_indices([cloud[i] for i in order], MIXED)
    assert sorted(order[i] for i in shuffled) == list(pareto_indices(cloud, MIXED))


def test_equal_points_are_all_on_the_front() -> None:
    assert pareto_indices([(1.0, 2.0), (1.0, 2.0), (0.0, 3.0)], ("maximize", "minimize")) == (0, 1)


def test_no_points_have_an_empty_front() -> None:
    assert pareto_indices([], MIXED) == ()
    assert crowding_distances([]) == ()


@pytest.mark.parametrize("point", [(1.0, 2.0), (1.0, 2.0, math.nan), (1.0, 2.0, math.inf)])
def test_a_point_that_cannot_be_compared_is_refused(point: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="point"):
        pareto_indices([(1.0, 2.0, 3.0), point], MIXED)


def test_crowding_distance_of_a_worked_example() -> None:
    # Scaled to [0, 1] in both objectives, (1, 3)'s neighbours lie 2/4 apart in the first and 3/4 in the second, ...
    front = [(0.0, 4.0), (1.0, 3.0), (2.0, 1.0), (4.0, 0.0)]
    assert crowding_distances(front) == (math.inf, 2 / 4 + 3 / 4, 3 / 4 + 3 / 4, math.inf)


@given(points())
def test_the_ends_of_every_objective_are_never_crowded_out(cloud: Points) -> None:
    distances = crowding_distances(cloud)
    for axis in range(3 if cloud else 0):
        values = [point[axis] for point in cloud]
        for end in (min(values), max(values)):
            assert any(value == end and math.isinf(distance) for value, distance in zip(values, distances, strict=True))


def test_hypervolume_of_a_worked_example() -> None:
    staircase = [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (2.0, 3.0)]
    # Columns of width 1 up to accuracy 3 under reference latency 5: 4 high, 3 high, 1 high.
    assert hypervolume_2d(staircase, ("maximize", "minimize"), reference=(0.0, 5.0)) == 4 + 3 + 1


@given(points(2))
def test_hypervolume_is_the_count_of_dominated_unit_squares(cloud: Points) -> None:
    counted = sum(any(x <= column and y <= row for x, y in cloud) for column in range(-4, 5) for row in range(-4, 5))
    assert hypervolume_2d(cloud, ("minimize", "minimize"), reference=(5.0, 5.0)) == counted
