# SPDX-License-Identifier: Apache-2.0
"""A study counts instructions only where it says so, and only on a device that does."""

from __future__ import annotations

import dataclasses

import pytest
from edgectl.cli.observers import trial_text
from edgectl.lab.protocol import COUNTED, SHORT
from edgectl.search.front import build_front
from edgectl.search.objectives import KNOWN_OBJECTIVES, Objective, check_objectives, measured_unit
from edgectl.search.trial import Trial, TrialState
from edgectl.workflows.candidate import CandidateEvaluator, _ends
from edgectl.workflows.search_file import parse_search
from edgectl.workflows.search_run import study_protocol
from edgectl_protos.errors import UsageError

from tests.unit.test_lab_units import MACHINE, REAL, RUNNER, info
from tests.unit.test_search_candidate import FilesOnly, Stopwatch
from tests.unit.test_search_configuration import STUDY

TIMED = parse_search(STUDY, source="study.yaml")
COUNTING = STUDY.replace("p50_ms: minimize", "insn: minimize").replace("protocol: short\n", "")
COUNTED_STUDY = parse_search(COUNTING, source="study.yaml")


def test_a_study_says_what_its_candidates_are_measured_in() -> None:
    assert (measured_unit(TIMED.objectives), measured_unit(COUNTED_STUDY.objectives)) == ("ms", "insn")
    assert study_protocol(TIMED, info(REAL)) is SHORT
    assert study_protocol(COUNTED_STUDY, info(RUNNER)) is COUNTED


def test_a_device_that_measures_otherwise_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"qemu-user cortex-a72 emulates, measures insn; expected one that measures ms"
    ):
        study_protocol(TIMED, info(RUNNER))
    with pytest.raises(UsageError, match="measures ms; expected one that measures insn"):
        study_protocol(COUNTED_STUDY, info(REAL))
    for study in (TIMED, COUNTED_STUDY):
        with pytest.raises(UsageError, match="neither ms nor insn"):
            study_protocol(study, info(MACHINE))


def test_a_candidate_that_was_counted_has_instructions_and_no_latency() -> None:
    evaluator = CandidateEvaluator(
        COUNTED_STUDY, build=FilesOnly(), device=Stopwatch(unit="insn"), protocol=COUNTED, clock=lambda: 0.0
    )
    genome = {dimension.name: next(_ends(dimension)) for dimension in COUNTED_STUDY.space.dimensions}
    evaluation = evaluator.evaluate(genome, progress=lambda *_: None)
    assert evaluation.objectives == {"accuracy": 0.95, "insn": 1.5, "program_bytes": 4096.0}


def test_times_and_instructions_are_not_optimized_together() -> None:
    with pytest.raises(UsageError, match="p50_ms and insn in one study"):
        check_objectives(KNOWN_OBJECTIVES)
    with pytest.raises(UsageError, match="in one study"):
        parse_search(STUDY.replace("p50_ms: minimize", "p50_ms: minimize, insn: minimize"), source="study.yaml")


def test_a_timing_protocol_in_a_counting_study_is_refused() -> None:
    with pytest.raises(UsageError, match="protocol is 'short'; expected none"):
        parse_search(STUDY.replace("p50_ms: minimize", "insn: minimize"), source="study.yaml")


def test_instructions_are_shown_as_such() -> None:
    objectives = (Objective("accuracy", "maximize"), Objective("insn", "minimize"))
    trial = Trial(0, 0, {}, TrialState.COMPLETE, objectives={"accuracy": 0.9, "insn": 12_865_639.0})
    assert trial_text(trial) == "accuracy 90.00%, 12,865,639 insn"
    axis = build_front([trial], objectives, name="study").axes[1]
    assert (axis.title, axis.text(12_865_639.0)) == ("instructions (million)", "12.866 million")
    small = dataclasses.replace(trial, objectives={"accuracy": 0.9, "insn": 33_462.0})
    axis = build_front([small], objectives, name="study").axes[1]
    assert (axis.title, axis.text(33_462.0)) == ("instructions", "33,462")
