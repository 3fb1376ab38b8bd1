# SPDX-License-Identifier: Apache-2.0
"""A study: every try at every candidate, in Optuna's storage, so that it outlives the process at any instant.

States of a try:  start -> RUNNING -> COMPLETE | FAILED | INTERRUPTED
RUNNING is written, with the genome, before anything is evaluated. A try that is found RUNNING when a search begins
belonged to a process that died: it becomes INTERRUPTED, and `unfinished` hands its genome out again before any new one
is asked for. A candidate that takes its process down MAX_DEATHS times is recorded as failed: it would do so for ever.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgectl_protos.errors import EdgectlError, UsageError

from edgectl.search.evaluator import Evaluation, Json
from edgectl.search.objectives import Objective, check_objectives
from edgectl.search.space import Choice, Dimension, Genome, Integers, SearchSpace
from edgectl.search.storage import damaged, open_storage
from edgectl.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

MAX_DEATHS = 3
DEFINITION_ATTRIBUTE = "edgectl"
DIED = "interrupted: the process that evaluated it died"


class Study:
    """One process writes to a study at a time (`storage.sole_searcher` holds the others off a journal)."""

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        *,
        name: str,
        location: str,
        space: SearchSpace,
        objectives: tuple[Objective, ...],
    ) -> None:
        self._storage = storage
        self._study_id = study_id
        self.name = name
        self.location = location
        self.space = space
        self.objectives = objectives

    @classmethod
    def open(
        cls,
        location: str,
        *,
        name: str,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: Mapping[str, Json] | None = None,
    ) -> Study:
        """The study of this name at a file path or database URL, made where there is none.

        Args:
            location: path of a journal file, or a database URL that Optuna's RDBStorage takes.
            name: several studies may share a location.
            space: what genomes are drawn from.
            objectives: in this order they become the values of Optuna's trials.
            settings: whatever else makes results comparable (model, data, training); JSON.

        Raises:
            UsageError: the study is damaged, or was made with another space, other objectives or settings.
        """
        checked = check_objectives(objectives)
        storage = open_storage(location)
        definition: dict[str, Mapping[str, object]] = {
            "space": space.document(),
            "objectives": {objective.name: objective.direction for objective in checked},
            "settings": dict(settings or {}),
        }
        study_id = _find_or_create(storage, name=name, objectives=checked)
        study = cls(storage, study_id, name=name, location=location, space=space, objectives=checked)
        stored = storage.get_study_user_attrs(study_id).get(DEFINITION_ATTRIBUTE)
        if stored is None and storage.get_n_trials(study_id) == 0:
            storage.set_study_user_attr(study_id, DEFINITION_ATTRIBUTE, definition)
            _name_metrics(storage, name=name, objectives=checked)
        elif not isinstance(stored, dict):
            raise UsageError(
                f"study {name} in {location} was not made by edgectl search", action="choose another name or file"
            )
        else:
            _check_same(stored, definition, name=name)
        study.trials()
        return study

    def trials(self) -> tuple[Trial, ...]:
        """Every try, in the order they were started."""
        frozen = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return tuple(self._trial(one) for one in frozen)

    def finished(self) -> tuple[Trial, ...]:
        """The tries with a result, good or bad, in the order of their candidates."""
        return tuple(sorted((t for t in self.trials() if t.finished), key=lambda trial: trial.candidate))

    def next_candidate(self) -> int:
        return max((trial.candidate for trial in self.trials()), default=-1) + 1

    def unfinished(self) -> Trial | None:
        """The last try at the first candidate that was begun and has no result."""
        last = {trial.candidate: trial for trial in self.trials()}
        waiting = (last[candidate] for candidate in sorted(last) if not last[candidate].finished)
        return next(waiting, None)

    def recover(self) -> None:
        """Marks what a dead process left RUNNING. Only the sole searcher of a study may call it."""
        deaths: dict[int, int] = {}
        for trial in self.trials():
            if trial.state is TrialState.RUNNING or trial.reason == DIED:
                deaths[trial.candidate] = deaths.get(trial.candidate, 0) + 1
            if trial.state is TrialState.RUNNING:
                if deaths[trial.candidate] < MAX_DEATHS:
                    self.interrupt(trial, reason=DIED)
                else:
                    self._end(trial, {"reason": f"its process died {MAX_DEATHS} times", "error_code": "process_died"})

    def start(self, genome: Genome, *, candidate: int) -> Trial:
        """Records, in one operation, that this genome is being evaluated."""
        import optuna

        self.space.validate(genome)
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=dict(genome),
            distributions={dimension.name: _distribution(dimension) for dimension in self.space.dimensions},
            user_attrs={"candidate": candidate},
        )
        trial_id = self._storage.create_new_trial(self._study_id, template)
        return self._trial(self._storage.get_trial(trial_id))

    def complete(self, trial: Trial, evaluation: Evaluation, *, seconds: float) -> Trial:
        values = [float(evaluation.objectives[objective.name]) for objective in self.objectives]
        return self._end(trial, {"figures": dict(evaluation.figures), "seconds": seconds}, values=values)

    def fail(self, trial: Trial, error: EdgectlError, *, seconds: float) -> Trial:
        return self._end(trial, {"reason": error.message, "error_code": str(error.code), "seconds": seconds})

    def interrupt(self, trial: Trial, *, reason: str) -> Trial:
        return self._end(trial, {"interrupted": True, "reason": reason})

    def _end(self, trial: Trial, attributes: Mapping[str, object], *, values: list[float] | None = None) -> Trial:
        """Attributes first: until the state is written the try counts as RUNNING, and will be made again."""
        from optuna.trial import TrialState as OptunaState

        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)
        state = OptunaState.FAIL if values is None else OptunaState.COMPLETE
        self._storage.set_trial_state_values(trial_id, state, values)
        return self._trial(self._storage.get_trial(trial_id))

    def _trial(self, frozen: FrozenTrial) -> Trial:
        attributes = frozen.user_attrs
        genome: Genome = dict(frozen.params)
        candidate = attributes.get("candidate")
        try:
            self.space.validate(genome)
        except EdgectlError as error:
            raise damaged(self.location, f"trial {frozen.number} outside the space ({error.seen})") from error
        if not isinstance(candidate, int) or candidate < 0:
            raise damaged(self.location, f"trial {frozen.number} without a candidate number")
        values = frozen.values if frozen.state.name == "COMPLETE" else ()
        if values is None or len(values) not in (0, len(self.objectives)):
            raise damaged(self.location, f"trial {frozen.number} without a value for each objective")
        figures = attributes.get("figures", {})
        return Trial(
            number=frozen.number,
            candidate=candidate,
            genome={dimension.name: genome[dimension.name] for dimension in self.space.dimensions},
            state=_state(frozen.state.name, interrupted=bool(attributes.get("interrupted"))),
            objectives={o.name: value for o, value in zip(self.objectives, values, strict=False)},
            figures=figures if isinstance(figures, dict) else {},
            reason=str(attributes.get("reason", "")),
            error_code=str(attributes.get("error_code", "")),
            seconds=float(attributes.get("seconds", 0.0)),
        )


def _state(name: str, *, interrupted: bool) -> TrialState:
    if interrupted:
        return TrialState.INTERRUPTED
    return {"COMPLETE": TrialState.COMPLETE, "FAIL": TrialState.FAILED}.get(name, TrialState.RUNNING)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if isinstance(dimension, Integers):
        return IntDistribution(dimension.low, dimension.high, step=dimension.step)
    return FloatDistribution(dimension.low, dimension.high, step=dimension.step)


def _find_or_create(storage: BaseStorage, *, name: str, objectives: Iterable[Objective]) -> int:
    from optuna.study import StudyDirection

    try:
        return int(storage.get_study_id_from_name(name))
    except KeyError:
        directions = [
            StudyDirection.MAXIMIZE if objective.direction == "maximize" else StudyDirection.MINIMIZE
            for objective in objectives
        ]
        return int(storage.create_new_study(directions, name))


def _name_metrics(storage: BaseStorage, *, name: str, objectives: Iterable[Objective]) -> None:
    """Names the values for optuna-dashboard."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.load_study(study_name=name, storage=storage).set_metric_names([o.name for o in objectives])


def _check_same(stored: Mapping[str, object], wanted: Mapping[str, Mapping[str, object]], *, name: str) -> None:
    """The order of objectives is that of Optuna's values, and the order of dimensions that of random draws."""
    for part, now in wanted.items():
        before = stored.get(part)
        in_order = part == "settings" or not isinstance(before, dict) or list(before) == list(now)
        if before == now and in_order:
            continue
        raise UsageError(
            f"study {name} differs in its {part}: {_difference(before, now)}",
            expected="the same space, objectives and settings as before: other results cannot be compared",
            action="undo the change, or give the study another name",
        )


def _difference(before: object, now: object) -> str:
    """The first thing that differs, in words."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"it was {before!r} and is now {now!r}"
    for key in [*before, *(key for key in now if key not in before)]:
        if key not in now:
            return f"{key} was {before[key]!r} and is gone"
        if key not in before:
            return f"{key} is new ({now[key]!r})"
        if before[key] != now[key]:
            return f"{key} was {before[key]!r} and is now {now[key]!r}"
    return "the order differs"
