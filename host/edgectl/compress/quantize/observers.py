# SPDX-License-Identifier: Apache-2.0
"""What turns the values that pass by in calibration into the steps of an int8 activation.

`histogram` is torchao's (bins dropped from the ends while the squared error falls); `percentile` keeps 99.99 % of the
values; `mse` tries narrower ranges and takes the one with the least expected squared error of rounding and
clipping over the histogram (as in Nagel et al. 2021, section 2.3).
"""

from __future__ import annotations

from typing import Any

import torch
from torchao.quantization.pt2e.observer import (
    HistogramObserver,
    MinMaxObserver,
    ObserverBase,
    UniformQuantizationObserverBase,
)

from edgectl.compress.quantize.spec import Steps

SMALLEST_STEP = 2**-12  # of an activation, as XNNPACK's own configuration has it
_KEPT = 0.9999
_CANDIDATES = 100
_NARROWEST = 0.1


class PercentileObserver(HistogramObserver):  # type: ignore[misc]
    """The range that holds 99.99 % of what was seen."""

    def _non_linear_param_search(self) -> tuple[torch.Tensor, torch.Tensor]:
        total = self.histogram.sum()
        running = torch.cumsum(self.histogram, dim=0)
        tail = (1 - _KEPT) / 2 * total
        width = (self.max_val - self.min_val) / self.bins
        first = int(torch.searchsorted(running, tail))
        last = int(torch.searchsorted(running, total - tail))
        return self.min_val + width * first, self.min_val + width * (min(last, self.bins - 1) + 1)


class SquaredErrorObserver(HistogramObserver):  # type: ignore[misc]
    """The range with the least expected squared error, of some 300 that are drawn in from both ends."""

    def _non_linear_param_search(self) -> tuple[torch.Tensor, torch.Tensor]:
        width = (self.max_val - self.min_val) / self.bins
        centers = self.min_val + width * (torch.arange(self.bins) + 0.5)
        best, least = (1.0, 1.0), float("inf")
        shares = torch.linspace(_NARROWEST, 1.0, _CANDIDATES).tolist()
        for side in ("both", "above", "below"):  # a range is seldom even
            for share in shares:
                candidate = {"both": (share, share), "above": (best[0], share), "below": (share, best[1])}[side]
                error = self._error(centers, *candidate)
                if error < least:
                    best, least = candidate, error
        return self._ends(*best)

    def _ends(self, below: float, above: float) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.clamp(self.min_val * below, max=0.0), torch.clamp(self.max_val * above, min=0.0)

    def _error(self, centers: torch.Tensor, below: float, above: float) -> float:
        low, high = self._ends(below, above)
        step = float(high - low) / 255
        if step == 0.0:
            return float("inf")
        beyond = (centers - torch.clamp(centers, float(low), float(high))).square()
        return float((self.histogram * torch.where(beyond > 0, beyond, step**2 / 12)).sum())


class KnownSteps(ObserverBase):  # type: ignore[misc]
    """Steps found before; `calculate_qparams` gives them back exactly."""

    def __init__(self, steps: Steps, like: Any) -> None:
        super().__init__(dtype=like.dtype, is_dynamic=False)
        self.steps = steps
        self.qscheme, self.quant_min, self.quant_max = like.qscheme, like.quant_min, like.quant_max

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        # float64: the literal that goes into the graph is then the very number that was stored.
        return torch.tensor([self.steps.scale], dtype=torch.float64), torch.tensor([self.steps.zero_point])


OBSERVERS: dict[str, type[UniformQuantizationObserverBase]] = {
    "minmax": MinMaxObserver,
    "histogram": HistogramObserver,
    "percentile": PercentileObserver,
    "mse": SquaredErrorObserver,
}


def steps_of(observer: Any) -> Steps:
    """The steps an observer of activations has arrived at."""
    scale, zero_point = observer.calculate_qparams()
    return Steps(float(scale), int(zero_point))
