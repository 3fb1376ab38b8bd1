# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from edgectl_protos.quantiles import quantile


@pytest.mark.parametrize("count", [1, 2, 3, 10, 20, 101])
@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_quantiles_interpolate_as_numpy_does(count: int, fraction: float) -> None:
    values = sorted(np.random.default_rng(count).normal(size=count).tolist())
    assert quantile(values, fraction) == pytest.approx(np.quantile(values, fraction), rel=1e-12)
