# SPDX-License-Identifier: Apache-2.0
"""The cache of stages: an interrupted or edited run does again only what changed, and gives the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from edgectl.compress import Finetune, Prune, Quantize
from edgectl.compress.data import DataSplits
from edgectl.compress.pipeline import SilentObserver, StageResult, run_stages, state_of
from edgectl.compress.pipeline.cache import FOLDER, StageCache
from edgectl.compress.stages import StageParameters, name_stages

from tests.prunable_models import CLASSES, ITEM_SHAPE, Chain

PLAN = (Finetune(epochs=1, batch_size=16), Prune(macs=0.4), Finetune(epochs=1, batch_size=16), Quantize())


class Counting(SilentObserver):
    """Counts the steps of training; presses Ctrl-C when a stage is done."""

    def __init__(self, stop_after: str = "") -> None:
        self.steps = 0
        self.stop_after = stop_after

    def stage_advanced(self, loss: float) -> None:  # noqa: ARG002
        self.steps += 1

    def stage_finished(self, result: StageResult) -> None:
        if result.name == self.stop_after:
            raise KeyboardInterrupt


def splits(seed: int = 0) -> DataSplits:
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = torch.randn(32, *ITEM_SHAPE, generator=generator), torch.arange(32) % CLASSES
    return DataSplits(inputs, targets, inputs[:10] + 1, targets[:10], tuple("abcde"))


def run(
    cache: StageCache | None,
    plan: tuple[StageParameters, ...] = PLAN,
    *,
    seed: int = 0,
    data: int = 0,
    observer: Counting | None = None,
) -> tuple[list[StageResult], int]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = state_of(Chain(), splits(data))
    heard = observer or Counting()
    stages = name_stages(list(plan))
    return list(run_stages(state, splits(data), stages, seed=seed, observer=heard, cache=cache)), heard.steps


def same(one: StageResult, other: StageResult) -> bool:
    pairs = zip(one.state.graph.parameters(), other.state.graph.parameters(), strict=True)
    figures = (one.name, one.metrics, one.macs, one.nonzeros) == (other.name, other.metrics, other.macs, other.nonzeros)
    return figures and all(torch.equal(a, b) for a, b in pairs)


def test_second_run_trains_nothing_and_gives_the_same(tmp_path: Path) -> None:
    plain, _ = run(None)
    first, trained = run(StageCache(tmp_path))
    second, again = run(StageCache(tmp_path))
    assert (trained, again) == (4, 0)
    for results in zip(plain, first, second, strict=True):
        assert same(results[0], results[1])
        assert same(results[1], results[2])
    assert all("taken from the cache" in result.notes for result in second[1:])
    assert second[-1].correct is not None
    assert first[-1].correct is not None
    assert (second[-1].correct == first[-1].correct).all()
    assert second[-1].state.quantization.ranges == first[-1].state.quantization.ranges


def test_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(StageCache(tmp_path), observer=Counting("prune"))
    _, steps = run(StageCache(tmp_path))
    assert steps == 2  # the second finetune alone


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ((*PLAN[:3], Quantize(observer="minmax")), 0),
        ((PLAN[0], Prune(macs=0.3), *PLAN[2:]), 2),
        ((Finetune(epochs=2, batch_size=16), *PLAN[1:]), 6),
    ],
)
def test_edited_plan_runs_from_the_edit_on(tmp_path: Path, changed: tuple[StageParameters, ...], steps: int) -> None:
    run(StageCache(tmp_path))
    assert run(StageCache(tmp_path), changed)[1] == steps


def test_other_seed_and_other_data_are_other_runs(tmp_path: Path) -> None:
    run(StageCache(tmp_path), PLAN[:1])
    assert run(StageCache(tmp_path), PLAN[:1], seed=1)[1] == 2
    assert run(StageCache(tmp_path), PLAN[:1], data=1)[1] == 2


def test_damaged_entry_is_made_anew(tmp_path: Path) -> None:
    run(StageCache(tmp_path), PLAN[:1])
    (entry,) = (tmp_path / FOLDER).iterdir()
    (entry / "state.json").write_text("{")
    results, steps = run(StageCache(tmp_path), PLAN[:1])
    assert steps == 2
    assert "taken from the cache" not in results[-1].notes


def test_oldest_entries_go_where_there_is_no_room(tmp_path: Path) -> None:
    run(StageCache(tmp_path), PLAN[:1])
    (first,) = (tmp_path / FOLDER).iterdir()
    os.utime(first, (1, 1))
    room = sum(file.stat().st_size for file in first.iterdir()) * 3 // 2
    run(StageCache(tmp_path, most_bytes=room), PLAN[:1], seed=1)
    (left,) = (tmp_path / FOLDER).iterdir()
    assert left != first


def test_folder_that_cannot_be_written_only_costs_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    results, steps = run(StageCache(tmp_path / "file"), PLAN[:1])
    assert (len(results), steps) == (2, 2)
