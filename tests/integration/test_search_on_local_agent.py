# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from edgectl.demo.digits import load_data
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import SHORT
from edgectl.search.front import build_front, front_document
from edgectl.search.loop import run_search
from edgectl.search.samplers import RandomSampler
from edgectl.search.study import Study
from edgectl.search.trial import Trial, TrialState
from edgectl.workflows.candidate import CandidateEvaluator
from edgectl.workflows.candidate_build import RecipeBuilder
from edgectl.workflows.search_file import parse_search

STUDY = """\
version: 1
name: tiny
model: edgectl.demo.digits:build_model
model_arguments: {depth: 1}
data: edgectl.demo.digits:load_data
seed: 1
stages:
  - finetune: {epochs: 1, learning_rate: 0.004}
  - prune: {macs: 0.3, round_to: 4}
  - quantize: {calibration_items: 32}
space:
  model.width: {choice: [4, 8]}
  quantize.scheme: {choice: [none, int8]}
"""


class Phases:
    """The phases of each candidate, in order."""

    def __init__(self) -> None:
        self.phases: list[list[str]] = []

    def candidate_started(self, trial: Trial, total: int) -> None:
        assert total == 2
        assert trial.state is TrialState.RUNNING
        self.phases.append([])

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None:
        assert 0.0 <= fraction <= 1.0, trial
        if phase not in self.phases[-1]:
            self.phases[-1].append(phase)

    def candidate_finished(self, trial: Trial) -> None:
        assert trial.finished


def test_candidates_are_trained_lowered_sent_and_timed_on_a_real_agent(tmp_path: Path) -> None:
    configuration = parse_search(STUDY, source="study.yaml")
    observer = Phases()
    with LocalAgent(tmp_path / "agent") as agent, AgentClient(agent.address) as client:
        evaluator = CandidateEvaluator(
            configuration,
            build=RecipeBuilder(configuration.data, validation=configuration.validation, seed=configuration.seed),
            device=client,
            protocol=SHORT,
        )
        study = Study.open(
            str(tmp_path / "study.log"),
            name=configuration.name,
            space=configuration.space,
            objectives=configuration.objectives,
            settings=configuration.comparable_settings(device={"name": client.info.name}),
        )
        sampler = RandomSampler(configuration.space)
        outcome = run_search(configuration.space, evaluator, sampler, study, candidates=2, seed=0, observer=observer)

    document = front_document(build_front(outcome.trials, configuration.objectives, name="tiny"))
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE] * 2
    for trial in outcome.trials:
        assert 0.0 < trial.objectives["accuracy"] <= 1.0
        assert trial.objectives["p50_ms"] > 0
        assert trial.figures["samples"] >= 300  # type: ignore[operator]
        assert trial.figures["delegated_fraction"] == 1.0
        assert set(trial.figures["seconds"]) == {"train", "lower", "send", "measure"}  # type: ignore[arg-type]
    assert document["pareto"]
    assert observer.phases[0][-3:] == ["lower", "send", "measure"]
    assert document["candidates"][0]["program_bytes"] != document["candidates"][1]["program_bytes"]  # type: ignore[call-overload,index]


def test_candidates_are_judged_on_training_items_that_they_are_not_trained_on() -> None:
    splits = RecipeBuilder("edgectl.demo.digits:load_data", validation=0.25, seed=1).splits()
    given = load_data()
    trained, judged, training, test = (
        {item.numpy().tobytes() for item in part}
        for part in (splits.train_inputs, splits.test_inputs, given.train_inputs, given.test_inputs)
    )
    assert trained | judged == training
    assert not judged & trained
    assert not judged & test
    assert len(splits.test_inputs) == pytest.approx(0.25 * len(given.train_inputs), abs=5)
