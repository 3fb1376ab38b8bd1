# SPDX-License-Identifier: Apache-2.0
"""Labels: what stands or falls together, and rectangles whatever goes."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.structured.label_space import LabelSpace


def atoms(space: LabelSpace, labels: torch.Tensor) -> list[frozenset[int]]:
    return [space.atoms(label) for label in labels.reshape(-1).tolist()]


def test_united_labels_have_one_leader_and_frozen_ones_need_nothing() -> None:
    space = LabelSpace()
    left, right = space.fresh(3), space.fresh(3)
    space.unite(left, right)
    assert atoms(space, left) == atoms(space, right)
    assert space.freeze(right[:1]) == 1
    assert space.freeze(left[:1]) == 0
    assert space.atoms(int(left[0])) == frozenset()


def test_a_line_seen_as_a_matrix_becomes_a_product_of_rows_and_columns() -> None:
    space = LabelSpace()
    line = space.fresh(6)
    rows, columns = space.axes(line.reshape(2, 3))
    assert rows is not None
    assert columns is not None
    assert atoms(space, line) == [
        space.atoms(int(row)) | space.atoms(int(column)) for row in rows for column in columns
    ]


def test_a_product_flattened_and_split_again_has_the_same_axes() -> None:
    space = LabelSpace()
    line = space.fresh(12)
    first = space.axes(line.reshape(3, 4))
    again = space.axes(space.product(first, (3, 4)).reshape(12).reshape(1, 3, 4))
    assert again[0] is None
    for one, other in zip(first, again[1:], strict=True):
        assert one is not None
        assert other is not None
        assert atoms(space, one) == atoms(space, other)


def test_products_are_united_axis_by_axis() -> None:
    space = LabelSpace()
    queries, keys = space.fresh(6), space.fresh(6)
    first, second = space.axes(queries.reshape(2, 3)), space.axes(keys.reshape(2, 3))
    space.unite(queries, keys)
    for one, other in zip(first, second, strict=True):
        assert one is not None
        assert other is not None
        assert atoms(space, one) == atoms(space, other)
    assert len(frozenset().union(*atoms(space, queries))) == 2 + 3


def test_freezing_an_element_of_a_product_keeps_its_row_and_its_column_alone() -> None:
    space = LabelSpace()
    line = space.fresh(6)
    space.axes(line.reshape(2, 3))
    space.freeze(line[:1])
    assert [len(needed) for needed in atoms(space, line)] == [0, 1, 1, 1, 2, 2]


def test_a_plain_label_united_with_a_product_needs_all_its_parts() -> None:
    space = LabelSpace()
    line, gates = space.fresh(4), space.fresh(4)
    space.axes(line.reshape(2, 2))
    space.unite(gates, line)
    assert atoms(space, gates) == atoms(space, line)


def test_products_of_other_shapes_that_meet_lose_freedom_but_stay_consistent() -> None:
    space = LabelSpace()
    left, right = space.fresh(12), space.fresh(12)
    space.axes(left.reshape(3, 4))
    space.axes(right.reshape(2, 6))
    space.unite(left, right)
    assert atoms(space, left) == atoms(space, right)


def test_labels_that_are_no_product_are_united_along_all_dimensions_but_one() -> None:
    space = LabelSpace()
    line = space.fresh(4)
    crossed = torch.stack([line, line.roll(1)])
    axes = space.axes(crossed)
    assert len(frozenset().union(*atoms(space, line))) == 1
    assert any(axis is not None for axis in axes)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_dimensions_are_a_product_in_any_order(order: tuple[int, ...]) -> None:
    space = LabelSpace()
    line = space.fresh(24)
    axes = space.axes(line.reshape(2, 3, 4).permute(order))
    assert [0 if axis is None else len(axis) for axis in axes] == [(2, 3, 4)[dim] for dim in order]
    assert len(frozenset().union(*atoms(space, line))) == 2 + 3 + 4
