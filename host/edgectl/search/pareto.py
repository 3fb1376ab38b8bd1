# SPDX-License-Identifier: Apache-2.0
"""Pareto dominance over points of mixed directions. Pure; every value must be finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import le

from edgectl.search.objectives import Direction

Point = Sequence[float]


def pareto_indices(points: Sequence[Point], directions: Sequence[Direction]) -> tuple[int, ...]:
    """Indices, ascending, of the points that no other point dominates; equal points are all kept.

    A point dominates another when it is at least as good in every objective and better in one.

    Raises:
        ValueError: a point has another number of values than there are directions, or a value is not finite.
    """
    costs = _as_costs(points, directions)
    return tuple(i for i, cost in enumerate(costs) if not any(_dominates(other, cost) for other in costs))


def nondominated_ranks(points: Sequence[Point], directions: Sequence[Direction]) -> tuple[int, ...]:
    """The front each point belongs to, 0 being the Pareto front (Deb et al. 2002, section III-A).

    Raises:
        ValueError: as `pareto_indices`.
    """
    costs = _as_costs(points, directions)
    beaten_by = [[j for j, other in enumerate(costs) if _dominates(other, cost)] for cost in costs]
    ranks = [0] * len(costs)
    # Whatever dominates a point comes before it in lexicographic order, so its rank is known by then.
    for i in sorted(range(len(costs)), key=costs.__getitem__):
        ranks[i] = max((ranks[j] + 1 for j in beaten_by[i]), default=0)
    return tuple(ranks)


def crowding_distances(points: Sequence[Point]) -> tuple[float, ...]:
    """How far apart each point's neighbours lie, summed over objectives that are scaled to [0, 1].

    The crowding-distance assignment of NSGA-II (Deb, Pratap, Agarwal, Meyarivan 2002, section III-B): the ends of every
    objective get infinity. Points are those of one front; directions do not matter.
    """
    distances = [0.0] * len(points)
    for axis in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda i: points[i][axis])
        low, high = points[order[0]][axis], points[order[-1]][axis]
        distances[order[0]] = distances[order[-1]] = math.inf
        if high == low:
            continue
        for before, middle, after in zip(order, order[1:], order[2:], strict=False):
            distances[middle] += (points[after][axis] - points[before][axis]) / (high - low)
    return tuple(distances)


def hypervolume_2d(points: Sequence[Point], directions: Sequence[Direction], *, reference: Point) -> float:
    """Area that the points dominate up to `reference`, in the product of the two objectives' units.

    Points that are not better than the reference in both objectives add nothing.

    Raises:
        ValueError: there are not two objectives, or as `pareto_indices`.
    """
    if len(directions) != 2:
        raise ValueError(f"hypervolume_2d takes 2 objectives, got {len(directions)}")
    *costs, bound = _as_costs([*points, reference], directions)
    area = 0.0
    lowest = bound[1]
    for first, second in sorted(costs):
        if first < bound[0] and second < lowest:
            area += (bound[0] - first) * (lowest - second)
            lowest = second
    return area


def _as_costs(points: Sequence[Point], directions: Sequence[Direction]) -> list[tuple[float, ...]]:
    signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
    costs = []
    for point in points:
        if len(point) != len(signs):
            raise ValueError(f"point {tuple(point)} has {len(point)} values, expected {len(signs)}")
        if not all(math.isfinite(value) for value in point):
            raise ValueError(f"point {tuple(point)} has a value that is not finite")
        costs.append(tuple(sign * value for sign, value in zip(signs, point, strict=True)))
    return costs


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(map(le, a, b))
