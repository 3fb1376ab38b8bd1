# SPDX-License-Identifier: Apache-2.0
"""Kendall's tau with its intervals, and the cells of NAS-Bench-201, against what is known of both."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("0->1", "0->2", "1->2", "0->3", "1->3", "2->3")


@pytest.fixture(autouse=True)
def _rank_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize(
    ("one", "other", "tau"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 2 / 3),
        ([1, 1, 2, 3], [1, 2, 3, 4], 5 / np.sqrt(5 * 6)),  # tau-b: the tied pair counts in one of the roots only
    ],
)
def test_tau_of_known_rankings(one: list[float], other: list[float], tau: float) -> None:
    from rank.kendall import kendall_tau

    assert kendall_tau(one, other) == pytest.approx(tau)


def test_interval_holds_the_estimate_and_a_better_figure_is_seen_to_be_better() -> None:
    from rank.kendall import compare

    noise = random.Random(0)
    truth = [float(value) for value in range(40)]
    good = [value + noise.gauss(0, 2) for value in truth]
    poor = [value + noise.gauss(0, 20) for value in truth]
    found = compare(good, poor, truth, seed=1)
    for interval in (found.first, found.second, found.difference):
        assert interval.low <= interval.estimate <= interval.high
    assert found.difference.low > 0
    assert found.difference.estimate == pytest.approx(found.first.estimate - found.second.estimate)
    assert compare(good, poor, truth, seed=1) == found


def test_figure_compared_with_itself_differs_by_nothing() -> None:
    from rank.kendall import compare

    figure = [value ^ 1 for value in range(30)]
    found = compare(figure, figure, list(range(30)), seed=0)
    assert (found.difference.low, found.difference.estimate, found.difference.high) == (0.0, 0.0, 0.0)


@pytest.fixture
def all_cells(tmp_path: Path) -> Path:
    """The whole space, the edges in the file's order, every latency its index."""
    chosen = np.array(list(itertools.product(range(len(OPERATIONS)), repeat=len(EDGES))), dtype=np.uint8)
    path = tmp_path / "cells.npz"
    latencies = np.arange(len(chosen), dtype=np.float32)
    np.savez(path, ops=np.array(OPERATIONS), edges=np.array(EDGES), arch=chosen, raspberry_pi_4_ms=latencies)
    return path


def test_disconnected_cells_are_left_out_and_the_rest_drawn_once_each(all_cells: Path) -> None:
    from rank.cells import draw, read_cells

    cells = read_cells(all_cells)
    assert len(cells) == 15_625 - 341
    assert all(cell.raspberry_pi_4_ms == cell.index for cell in cells)
    drawn = draw(cells, 40, seed=3)
    assert len({cell.index for cell in drawn}) == 40
    assert draw(cells, 40, seed=3) == drawn != draw(cells, 40, seed=4)


@pytest.mark.parametrize(
    ("operations", "computed"),
    [
        ("skip_connect none none nor_conv_1x1 nor_conv_3x3 none", (0, 3, 4)),
        ("none none nor_conv_3x3 skip_connect none nor_conv_1x1", (2, 3, 5)),  # of zeros, and computed all the same
        ("nor_conv_1x1 nor_conv_3x3 none nor_conv_1x1 none none", (3,)),  # nobody reads nodes 1 and 2
    ],
)
def test_edges_that_lead_to_the_output_are_computed_and_others_are_not(
    operations: str, computed: tuple[int, ...]
) -> None:
    from rank.cells import computed_edges

    assert computed_edges(operations.split()) == computed


def test_another_file_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    from rank.cells import read_cells

    np.savez(tmp_path / "other.npz", arch=np.zeros((1, 6)))
    with pytest.raises(ValueError, match="edges, ops, raspberry_pi_4_ms"):
        read_cells(tmp_path / "other.npz")
