# SPDX-License-Identifier: Apache-2.0
"""Charts of the demo's report."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from edgectl.demo.charts import Series, cumulative, line_chart, ticks


def test_cumulative_ends_at_the_greatest_sample_and_a_hundred_percent() -> None:
    points = cumulative([3.0, 1.0, 2.0, 2.0])
    assert points == ((1.0, 25.0), (2.0, 50.0), (2.0, 75.0), (3.0, 100.0))


def test_cumulative_of_many_samples_keeps_both_ends_in_200_points() -> None:
    points = cumulative([float(value) for value in range(5000)])
    assert len(points) == 200
    assert points[0] == (0.0, 0.02)
    assert points[-1] == (4999.0, 100.0)


@pytest.mark.parametrize("values", [[0.0, 1.0], [13.2, 13.9], [-4.0, 900.0], [5.0, 5.0], [0.0], [1e-9, 2e-9]])
def test_ticks_enclose_the_values_evenly(values: list[float]) -> None:
    found = ticks(values)
    steps = [after - before for before, after in pairwise(found)]
    assert found[0] <= min(values)
    assert found[-1] >= max(values)
    assert 1 <= len(steps) <= 12
    assert max(steps) == pytest.approx(min(steps))


def test_a_chart_is_well_formed_and_escapes_its_names() -> None:
    text = line_chart([Series("<b>&", ((0.0, 1.0), (1.0, 2.0)))], x_label="a<b", y_label='"y"')
    figure = ET.fromstring(text)  # noqa: S314  # our own output
    assert "<b>&" in "".join(figure.itertext())
    assert len(figure.findall(".//polyline")) == 1


def test_a_chart_without_points_says_so() -> None:
    assert "No points" in line_chart([Series("empty", ())], x_label="x", y_label="y")
