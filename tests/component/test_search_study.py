# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from edgectl.search.evaluator import Evaluation, Json
from edgectl.search.objectives import Objective
from edgectl.search.space import Choice, Floats, Integers, SearchSpace
from edgectl.search.storage import sole_searcher
from edgectl.search.study import MAX_DEATHS, Study
from edgectl.search.trial import TrialState
from edgectl_protos.errors import CompileError, StateError, UsageError

WIDTH = Integers("model.width", 8, 32, 8)
SPACE = SearchSpace((WIDTH, Choice("quantize.scheme", ("none", "int8")), Floats("prune.macs", 0.0, 0.6, 0.1)))
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("p50_ms", "minimize"))
GENOME: dict[str, int | float | str] = {"model.width": 16, "quantize.scheme": "none", "prune.macs": 0.3}
GOOD = Evaluation({"accuracy": 0.9, "p50_ms": 1.5}, {"parameters": 1200, "phases": {"train": 0.5}})


def opened(
    location: Path | str,
    *,
    space: SearchSpace = SPACE,
    objectives: Sequence[Objective] = OBJECTIVES,
    settings: dict[str, Json] | None = None,
) -> Study:
    return Study.open(str(location), name="digits", space=space, objectives=objectives, settings=settings)


def filled(path: Path) -> Path:
    study = opened(path)
    study.complete(study.start(GENOME, candidate=0), GOOD, seconds=1.25)
    error = CompileError("aten.foo does not lower", action="replace it")
    study.fail(study.start({**GENOME, "model.width": 8}, candidate=1), error, seconds=0.5)
    return path


@pytest.fixture(params=["journal", "database"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "study.log") if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


def test_results_read_back_as_they_were_recorded(location: str) -> None:
    filled(location)  # type: ignore[arg-type]
    complete, failed = opened(location).trials()
    assert (complete.state, complete.genome, complete.candidate) == (TrialState.COMPLETE, GENOME, 0)
    assert complete.objectives == GOOD.objectives
    assert complete.figures == GOOD.figures
    assert complete.seconds == 1.25
    assert (failed.state, failed.error_code) == (TrialState.FAILED, "compile_failed")
    assert failed.reason == "aten.foo does not lower; replace it"
    assert failed.objectives == {}


def test_genome_values_keep_their_types(location: str) -> None:
    filled(location)  # type: ignore[arg-type]
    types = [type(value) for value in opened(location).trials()[0].genome.values()]
    assert types == [int, str, float]


def test_optuna_itself_reads_the_study(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.log")
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    loaded = optuna.load_study(study_name="digits", storage=optuna.storages.JournalStorage(backend))
    assert [trial.state.name for trial in loaded.trials] == ["COMPLETE", "FAIL"]
    assert [trial.params for trial in loaded.best_trials] == [GENOME]
    assert [direction.name for direction in loaded.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert loaded.metric_names == ["accuracy", "p50_ms"]


def test_a_try_left_running_is_interrupted_and_handed_out_first(location: str) -> None:
    left = opened(location).start(GENOME, candidate=0)
    study = opened(location)
    study.recover()
    (trial,) = study.trials()
    assert (trial.state, trial.number) == (TrialState.INTERRUPTED, left.number)
    assert "died" in trial.reason
    again = study.unfinished()
    assert again is not None
    assert (again.genome, again.candidate) == (GENOME, 0)
    assert study.finished() == ()


def test_a_try_that_was_made_again_is_not_handed_out_any_more(tmp_path: Path) -> None:
    study = opened(tmp_path / "study.log")
    study.start(GENOME, candidate=0)
    study.recover()
    study.complete(study.start(GENOME, candidate=0), GOOD, seconds=1.0)
    assert study.unfinished() is None
    assert [trial.candidate for trial in study.finished()] == [0]
    assert study.next_candidate() == 1


def test_a_candidate_that_keeps_killing_its_process_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    for _ in range(MAX_DEATHS):
        study = opened(path)
        study.start(GENOME, candidate=0)
        study.recover()
    study = opened(path)
    assert study.unfinished() is None
    (given_up,) = study.finished()
    assert (given_up.state, given_up.error_code) == (TrialState.FAILED, "process_died")


@pytest.mark.parametrize(
    ("space", "named"),
    [
        (SearchSpace((Integers("model.width", 8, 64, 8), *SPACE.dimensions[1:])), r"model\.width was .*32"),
        (SearchSpace(SPACE.dimensions[:2]), "prune.macs .*is gone"),
        (SearchSpace((*SPACE.dimensions, Integers("model.depth", 1, 3))), "model.depth is new"),
    ],
)
def test_a_study_is_not_reopened_with_another_space(tmp_path: Path, space: SearchSpace, named: str) -> None:
    path = filled(tmp_path / "study.log")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"differs in its space: {named}"):
        opened(path, space=space)
    assert path.read_bytes() == before


def test_a_study_is_not_reopened_with_other_objectives(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.log")
    with pytest.raises(UsageError, match="differs in its objectives: p50_ms was 'minimize' and is gone"):
        opened(path, objectives=OBJECTIVES[:1])


def test_a_study_is_not_reopened_with_its_objectives_in_another_order(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.log")
    with pytest.raises(UsageError, match="differs in its objectives: the order differs"):
        opened(path, objectives=OBJECTIVES[::-1])


def test_a_study_is_not_reopened_with_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    opened(path, settings={"model": "a:b", "epochs": 2})
    with pytest.raises(UsageError, match="differs in its settings: epochs was 2 and is now 3"):
        opened(path, settings={"model": "a:b", "epochs": 3})
    opened(path, settings={"epochs": 2, "model": "a:b"})


def test_a_study_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    optuna.create_study(study_name="digits", storage=storage).add_trial(optuna.create_trial(value=1.0))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="not made by edgectl"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_an_operation_at_the_end_is_taken_off_and_the_study_goes_on(tmp_path: Path, cut: int) -> None:
    path = filled(tmp_path / "study.log")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines) + lines[-1][:cut])
    study = opened(path)
    study.complete(study.start(GENOME, candidate=2), GOOD, seconds=1.0)
    assert [trial.candidate for trial in opened(path).finished()] == [0, 1, 2]


def test_half_an_operation_that_ended_a_try_leaves_the_try_to_be_made_again(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.log")
    path.write_bytes(path.read_bytes()[:-20])
    study = opened(path)
    study.recover()
    assert [trial.candidate for trial in study.finished()] == [0]
    again = study.unfinished()
    assert again is not None
    assert again.candidate == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:2], b"\x00\xff garbage\n", *lines[2:]],
        lambda lines: [*lines[:2], lines[2][:10] + b"\n", *lines[3:]],
        lambda lines: [*lines, b"[1, 2]\n"],
        lambda lines: [*lines, b'{"op_code": 99, "worker_id": "w"}\n'],
        lambda lines: [*lines, b'{"op_code": 4, "worker_id": "w", "study_id": 0}\n'],
        lambda lines: [*lines, b"PK\x03\x04 no journal at all"],
        lambda lines: [b"x" * 5_000_000, *lines],
        lambda lines: [line.replace(b'"candidate":0', b'"candidate":"0"') for line in lines],
        lambda lines: [line.replace(b'"values":[0.9,1.5]', b'"values":[0.9]') for line in lines],
    ],
)
def test_a_damaged_study_file_is_named_and_left_as_it_is(tmp_path: Path, damage: object) -> None:
    path = filled(tmp_path / "study.log")
    assert callable(damage)
    damaged = b"".join(damage(path.read_bytes().splitlines(keepends=True)))
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"study\.log is damaged"):
        opened(path)
    assert path.read_bytes() == damaged


def test_a_file_that_is_no_study_is_not_touched(tmp_path: Path) -> None:
    model = tmp_path / "model.pte"
    model.write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="damaged"):
        opened(model)
    assert model.read_bytes() == bytes(range(256))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("/proc/nowhere/study.log", "cannot be opened"),
        ("sqlite:////nowhere/at/all/study.db", "cannot be opened"),
        ("nosuchdatabase://user:secret@host/x", "cannot be opened"),
        ("://", "cannot be read"),
    ],
)
def test_a_place_that_cannot_hold_a_study_is_named_without_its_password(wrong: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        opened(wrong)
    assert "secret" not in caught.value.message


def test_a_directory_is_no_study_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        opened(tmp_path)


def test_a_second_search_on_one_study_file_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.log")
    with sole_searcher(str(path)):
        with pytest.raises(StateError, match="another search"), sole_searcher(str(path)):
            pass
        assert len(opened(path).finished()) == 2  # reading it goes on
    with sole_searcher(str(path)):
        assert len(opened(path).finished()) == 2


def test_nothing_is_printed_or_warned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled(tmp_path / "study.log")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_every_line_of_the_journal_is_one_json_operation(tmp_path: Path) -> None:
    for line in filled(tmp_path / "study.log").read_text().splitlines():
        assert isinstance(json.loads(line)["op_code"], int)
