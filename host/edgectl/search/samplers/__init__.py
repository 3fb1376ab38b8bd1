# SPDX-License-Identifier: Apache-2.0
"""Where the next candidate comes from: one file per sampler, one protocol for all."""

from __future__ import annotations

from edgectl.search.samplers.evolution import EvolutionSampler
from edgectl.search.samplers.protocol import Sampler
from edgectl.search.samplers.random import RandomSampler

__all__ = ["EvolutionSampler", "RandomSampler", "Sampler"]
