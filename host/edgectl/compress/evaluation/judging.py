# SPDX-License-Identifier: Apache-2.0
"""What a state is judged by between two stages: a user's function, or labelled items that are held whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from edgectl_protos.errors import DatasetError, EdgectlError

from edgectl.compress.data.example import Example, Signature
from edgectl.compress.data.feeds import main_output
from edgectl.compress.data.running import run_batch
from edgectl.compress.data.splits import DataSplits
from edgectl.compress.evaluation.user_module import UserModule
from edgectl.compress.quantize import runnable
from edgectl.compress.reasons import first_line
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Metrics by name; for labelled items, which were right (bool [items]) and the share of each class that was."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    correct: npt.NDArray[np.bool_] | None = None
    per_class: Mapping[str, float] = field(default_factory=dict)


class Evaluation(Protocol):
    """Judges a state."""

    def judge(self, state: ModelState, *, work: Work = NEVER_PAUSED) -> Judged:
        """Its metrics, as the device will compute: through quantization where it is quantized."""
        ...


class SplitEvaluation:
    """Accuracy on the test items of splits."""

    def __init__(self, data: DataSplits) -> None:
        self._data = data

    def judge(self, state: ModelState, *, work: Work = NEVER_PAUSED) -> Judged:
        graph = runnable(state, work=work)
        work.breathe()
        with torch.no_grad():
            outputs = main_output(run_batch(graph, (self._data.test_inputs,), Example.of(state)))
        targets = self._data.test_targets
        correct = (outputs.argmax(dim=1) == targets).numpy()
        per_class = {
            label: float(correct[(targets == index).numpy()].mean())
            for index, label in enumerate(self._data.labels)
            if bool((targets == index).any())
        }
        return Judged({"accuracy": float(correct.mean())}, correct, per_class)


class FunctionEvaluation:
    """A user's function from a model to a number, or to numbers by name."""

    def __init__(self, function: Callable[[torch.nn.Module], Any], signature: Signature) -> None:
        self._function = function
        self._signature = signature

    def judge(self, state: ModelState, *, work: Work = NEVER_PAUSED) -> Judged:
        """See `Evaluation`.

        Raises:
            DatasetError: the function raises, or gives no numbers.
        """
        work.breathe()
        module = UserModule(runnable(state, work=work), Example.of(state, self._signature))
        try:
            with torch.no_grad():
                value = self._function(module)
        except EdgectlError:
            raise
        except Exception as error:
            raise DatasetError(f"evaluation raised {first_line(error)}", action="call it on the model alone") from error
        return Judged(_metrics(value))


def _metrics(value: Any) -> dict[str, float]:
    given = value if isinstance(value, Mapping) else {"accuracy": value}
    metrics: dict[str, float] = {}
    for name, number in given.items():
        try:
            metrics[str(name)] = float(number)
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"evaluation gave {name} as a {type(number).__name__}", expected="a number, or numbers by name"
            ) from error
        if math.isnan(metrics[str(name)]):
            raise DatasetError(f"evaluation gave NaN as {name}", expected="a number")
    return metrics
