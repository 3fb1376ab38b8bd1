# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from edgectl.search.objectives import Objective
from edgectl.search.samplers import EvolutionSampler, RandomSampler, Sampler
from edgectl.search.space import SearchSpace
from edgectl.search.testing.sampler_contract import SamplerContract


class TestRandomSampler(SamplerContract):
    def make_sampler(self, space: SearchSpace, objectives: tuple[Objective, ...]) -> Sampler:  # noqa: ARG002
        return RandomSampler(space)


class TestEvolutionSampler(SamplerContract):
    def make_sampler(self, space: SearchSpace, objectives: tuple[Objective, ...]) -> Sampler:
        return EvolutionSampler(space, objectives, population=12, warmup=8)
