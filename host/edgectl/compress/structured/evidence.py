# SPDX-License-Identifier: Apache-2.0
"""What pruning may look at beside the weights: calibration items, a loss, a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.fx import GraphModule

from edgectl.compress.state import ModelState


class LatencyMeter(Protocol):
    """A device."""

    def p95_ms(self, state: ModelState) -> float:
        """The 95th percentile of the state's latency there, in ms."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is; a criterion that needs what is missing says so before any work.

    Attributes:
        calibration: gives the graph's inputs, batch by batch, anew at each call.
        training: gives batches that `loss` understands, anew at each call.
        loss: of a graph on such a batch, a scalar that can be differentiated.
        latency: measures a state on the device that a budget in milliseconds is for.
    """

    calibration: Callable[[], Iterable[tuple[torch.Tensor, ...]]] | None = None
    training: Callable[[], Iterable[Any]] | None = None
    loss: Callable[[GraphModule, Any], torch.Tensor] | None = None
    latency: LatencyMeter | None = None
