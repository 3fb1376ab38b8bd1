# SPDX-License-Identifier: Apache-2.0
"""Which orders of stages are legal: a table of what each kind requires, provides and destroys, and one walk over it.

What is not destroyed is preserved: masks are cut along with their weights, and a quantized model stays one.
`docs/recipes.md` shows the table. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgectl_protos.errors import UsageError

from edgectl.compress.stages import Prune, Quantize, Sparsify, Stage, StageParameters


class Fact(StrEnum):
    """What may hold of a model between two stages, or of the run as a whole."""

    TRAINING_DATA = "training data"
    CALIBRATION_DATA = "calibration data"
    EVALUATION = "an evaluation"
    DEVICE = "a device to measure on"
    TEACHER = "a stage before it that trains or shrinks the model"
    FLOAT = "a model that is not quantized"
    MASKS = "masks"
    RANGES = "activation ranges"


@dataclass(frozen=True, slots=True)
class KindRules:
    """What one kind of stage asks for and leaves."""

    requires: tuple[Fact, ...] = ()
    provides: tuple[Fact, ...] = ()
    destroys: tuple[Fact, ...] = ()


RULES: Mapping[str, KindRules] = {
    "finetune": KindRules(requires=(Fact.TRAINING_DATA,), provides=(Fact.TEACHER,)),
    "prune": KindRules(provides=(Fact.TEACHER,), destroys=(Fact.RANGES,)),
    "sparsify": KindRules(provides=(Fact.TEACHER, Fact.MASKS), destroys=(Fact.RANGES,)),
    "distill": KindRules(requires=(Fact.TRAINING_DATA, Fact.TEACHER), provides=(Fact.TEACHER,)),
    "quantize": KindRules(requires=(Fact.FLOAT,), provides=(Fact.TEACHER, Fact.RANGES), destroys=(Fact.FLOAT,)),
}
_DATA_DRIVEN = {
    "taylor": Fact.TRAINING_DATA,
    "hessian": Fact.TRAINING_DATA,
    "activation": Fact.CALIBRATION_DATA,
}
_OF_THE_RUN = frozenset({Fact.TRAINING_DATA, Fact.CALIBRATION_DATA, Fact.EVALUATION, Fact.DEVICE})
_EXPLAINED: Mapping[Fact, tuple[str, str]] = {
    Fact.TRAINING_DATA: ("{stage}: there is no training data", "give training data, or leave the stage out"),
    Fact.CALIBRATION_DATA: ("{stage}: there is no calibration data", "give calibration data, or another importance"),
    Fact.EVALUATION: ("{stage}: there is no evaluation to hold max_degradation by", "give one, or leave it out"),
    Fact.DEVICE: ("{stage}: no device is given to measure on", "name one, or give the budget as macs"),
    Fact.TEACHER: (
        "{stage} is the first stage, where the teacher would be the student itself",
        "put finetune before it, or remove it",
    ),
    Fact.FLOAT: (
        "{stage} is given more than once",
        "keep one of them; `overrides` gives single layers another scheme",
    ),
}


def requirements(parameters: StageParameters, kind: str) -> tuple[Fact, ...]:
    """What a stage asks for: its kind's requirements, and those of its parameters."""
    asked = list(RULES[kind].requires)
    if isinstance(parameters, Prune):
        if parameters.importance in _DATA_DRIVEN:
            asked.append(_DATA_DRIVEN[parameters.importance])
        if parameters.p95_ms is not None:
            asked.append(Fact.DEVICE)
    if isinstance(parameters, Quantize) and parameters.max_degradation is not None:
        asked.append(Fact.EVALUATION)
    if isinstance(parameters, Sparsify) and (parameters.epochs or parameters.criterion == "movement"):
        asked.append(Fact.TRAINING_DATA)
    return tuple(asked)


def check_legality(
    stages: Sequence[Stage], *, available: Iterable[Fact] = _OF_THE_RUN, place: str = "the stages"
) -> None:
    """Whether the stages may come in this order with the data and the device at hand.

    Args:
        stages: in order.
        available: what the run has; while a recipe is only read, everything it may yet be given.
        place: names the stages in messages.

    Raises:
        UsageError: one of them lacks what it requires; says which, and why.
    """
    holds = {Fact.FLOAT, *available}
    for stage in stages:
        for fact in requirements(stage.parameters, stage.kind):
            if fact not in holds:
                raise _illegal(stage, fact, place)
        _check_parameters(stage, place)
        rules = RULES[stage.kind]
        holds = (holds - set(rules.destroys)) | set(rules.provides)


def _illegal(stage: Stage, fact: Fact, place: str) -> UsageError:
    seen, action = _EXPLAINED[fact]
    return UsageError(
        f"{place}: {seen.format(stage=stage.kind if fact is Fact.FLOAT else stage.name)}",
        expected=fact.value,
        action=action,
    )


def _check_parameters(stage: Stage, place: str) -> None:
    """What no single field's rule can say."""
    parameters = stage.parameters
    if isinstance(parameters, Sparsify):
        if parameters.criterion == "movement" and not parameters.epochs:
            raise UsageError(
                f"{place}: {stage.name}: movement without epochs",
                expected="epochs of 1 or more: movement is seen in training",
            )
        if parameters.pattern is not None:
            kept, of = map(int, parameters.pattern.split(":"))
            if kept >= of:
                raise UsageError(f"{place}: {stage.name}: pattern {parameters.pattern}", expected="N:M with N below M")
    if isinstance(parameters, Prune) and parameters.device is not None and parameters.p95_ms is None:
        raise UsageError(f"{place}: {stage.name}: a device without p95_ms", expected="both, or no device")
