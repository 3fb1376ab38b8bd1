# SPDX-License-Identifier: Apache-2.0
"""Training, lowering and measuring as they share the cores: where they pause, and that no measurement waits for itself.

`CoreLease.timed` refuses a thread that is still working: entered around every measurement, it is the check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from edgectl.compress.data import DataSplits
from edgectl.compress.pipeline import SilentObserver, run_stages, split_sources, stage_steps, state_of
from edgectl.compress.recipe import parse_recipe
from edgectl.compress.stages import Distill, Finetune, Quantize, name_stages
from edgectl.cores import CoreLease
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import SHORT
from edgectl.lower.program import lower
from edgectl.search.loop import SilentObserver as SilentSearch
from edgectl.workflows.compress_run import compress
from edgectl.workflows.search_file import parse_search
from edgectl.workflows.search_run import search
from torch import nn

RECIPE = """\
version: 1
name: tiny
model: edgectl.demo.digits:build_model
model_arguments: {width: 8, depth: 1}
data: edgectl.demo.digits:load_data
stages:
  - finetune: {epochs: 1}
"""
STUDY = RECIPE + "protocol: short\nspace:\n  model.width: {choice: [4, 8]}\n"


class Watched:
    """A lease that counts its pause points, and the measurements made within it."""

    def __init__(self, state: Path) -> None:
        self.lease = CoreLease(state)
        self.breaths = 0
        self.measurements = 0
        self.doing: list[str] = []

    def working(self, doing: str) -> AbstractContextManager[None]:
        self.doing.append(doing)
        return self.lease.working(doing)

    def breathe(self) -> None:
        self.breaths += 1
        self.lease.breathe()

    @contextmanager
    def timed(self) -> Iterator[None]:
        with self.lease.timed():
            self.measurements += 1
            yield


def splits() -> DataSplits:
    items, targets = torch.randn(64, 1, 8, 8), torch.arange(64) % 3
    return DataSplits(items, targets, items, targets, tuple("abc"))


def test_stages_breathe_at_every_step_and_hold_nothing_between_them(tmp_path: Path) -> None:
    work, data = Watched(tmp_path), splits()
    plan = name_stages(
        [
            Finetune(epochs=2, batch_size=16),
            Distill(epochs=3, batch_size=16),
            Quantize(calibration_items=32),
        ]
    )
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    breaths = []
    for _ in run_stages(state_of(model, data), data, plan, seed=0, observer=SilentObserver(), work=work):
        with work.timed():
            breaths.append(work.breaths)
    baseline, finetune, distill, quantize = (
        after - before for before, after in zip([0, *breaths], breaths, strict=False)
    )
    assert baseline >= 1
    assert finetune >= 1 + stage_steps(plan[0], split_sources(data)) == 9
    assert distill >= 1 + stage_steps(plan[1], split_sources(data)) == 13
    assert quantize >= 3
    assert {"finetune stage", "distill stage", "quantize stage", "training"} <= set(work.doing)


def test_lowering_breathes_between_its_phases_and_gives_the_same_program(tmp_path: Path) -> None:
    work = Watched(tmp_path)
    state = state_of(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), splits())
    program = lower(state, work=work)
    assert work.breaths >= 3
    assert program.data == lower(state).data
    with work.timed():
        assert list((tmp_path / "cores").glob("work-*")) == []


def test_recipes_and_searches_rest_while_they_are_timed(tmp_path: Path) -> None:
    work = Watched(tmp_path / "state")
    with LocalAgent(tmp_path / "agent") as agent, AgentClient(agent.address) as client:
        configuration = parse_search(STUDY, source="study.yaml")
        run = compress(
            parse_recipe(RECIPE, source="tiny.yaml"),
            output_dir=tmp_path / "out",
            device=client,
            protocol=SHORT,
            observer=SilentObserver(),
            work=work,
            timed=work.timed,
        )
        assert work.measurements == len(run.measurements) == 2
        assert work.breaths > 23  # the training steps alone
        search(
            configuration,
            output_dir=tmp_path / "study",
            client=client,
            candidates=2,
            observer=SilentSearch(),
            work=work,
            timed=work.timed,
        )
    assert work.measurements == 4
    assert work.doing.count("candidate") == 2
