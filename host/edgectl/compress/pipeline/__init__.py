# SPDX-License-Identifier: Apache-2.0
"""Stages in a row, each measured."""

from edgectl.compress.pipeline.initial import initial_state, state_of
from edgectl.compress.pipeline.observer import PipelineObserver, SilentObserver
from edgectl.compress.pipeline.run import BASELINE, StageResult, run_stages
from edgectl.compress.pipeline.sources import Sources, split_sources
from edgectl.compress.pipeline.techniques import stage_steps

__all__ = [
    "BASELINE",
    "PipelineObserver",
    "SilentObserver",
    "Sources",
    "StageResult",
    "initial_state",
    "run_stages",
    "split_sources",
    "stage_steps",
    "state_of",
]
