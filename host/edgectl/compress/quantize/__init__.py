# SPDX-License-Identifier: Apache-2.0
"""Quantization to what XNNPACK runs: a spec over the float master, calibrated, trained through, and made final."""

from __future__ import annotations

from edgectl.compress.quantize.assignment import Assignment, calibrate_within
from edgectl.compress.quantize.calibration import calibrate, recalibrate
from edgectl.compress.quantize.materialization import materialize, runnable
from edgectl.compress.quantize.spec import QuantizationSpec, Steps
from edgectl.compress.quantize.stage import quantize
from edgectl.compress.quantize.training_graph import training_graph, write_back

__all__ = [
    "Assignment",
    "QuantizationSpec",
    "Steps",
    "calibrate",
    "calibrate_within",
    "materialize",
    "quantize",
    "recalibrate",
    "runnable",
    "training_graph",
    "write_back",
]
