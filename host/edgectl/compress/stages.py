# SPDX-License-Identifier: Apache-2.0
"""The stages a recipe may hold: one frozen dataclass of parameters per kind, each field with its rule. No torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edgectl.compress.rules import OneOf, Real, Rule, Whole

MAXIMUM_EPOCHS = 10_000
_EPOCHS = Whole(1, MAXIMUM_EPOCHS)
_RATE = Real(0, 10, open_low=True)
_BATCH = Whole(1, 65_536)
_DECAY = Real(0, 10)
_OPTIMIZERS = OneOf(("adamw", "sgd"))


def _ruled(rule: Rule, **keywords: Any) -> Any:
    return field(metadata={"rule": rule}, **keywords)


@dataclass(frozen=True, slots=True)
class FinetuneParameters:
    """Cross-entropy training with a cosine schedule."""

    epochs: int = _ruled(_EPOCHS, default=10)
    learning_rate: float = _ruled(_RATE, default=0.001)
    batch_size: int = _ruled(_BATCH, default=64)
    optimizer: str = _ruled(_OPTIMIZERS, default="adamw")
    weight_decay: float = _ruled(_DECAY, default=0.0001)


@dataclass(frozen=True, slots=True)
class PruneParameters:
    """Removal of whole channels; `amount` is the share of `unit` to remove."""

    amount: float = _ruled(Real(0, 1, open_low=True, open_high=True))
    unit: str = _ruled(OneOf(("macs", "parameters", "channels")), default="macs")
    round_to: int = _ruled(Whole(1, 256), default=8)
    importance: str = _ruled(OneOf(("group_magnitude", "magnitude", "random")), default="group_magnitude")


@dataclass(frozen=True, slots=True)
class DistillParameters:
    """Training against the uncompressed model's softened outputs; `alpha` weighs them against the labels."""

    epochs: int = _ruled(_EPOCHS, default=10)
    temperature: float = _ruled(Real(0, 1000, open_low=True), default=4.0)
    alpha: float = _ruled(Real(0, 1), default=0.7)
    learning_rate: float = _ruled(_RATE, default=0.001)
    batch_size: int = _ruled(_BATCH, default=64)
    optimizer: str = _ruled(_OPTIMIZERS, default="adamw")
    weight_decay: float = _ruled(_DECAY, default=0.0001)


@dataclass(frozen=True, slots=True)
class QuantizeParameters:
    """Post-training quantization; the ranges come from `calibration_items` training items drawn at random."""

    scheme: str = _ruled(OneOf(("static_int8",)), default="static_int8")
    calibration_items: int = _ruled(Whole(1, 65_536), default=256)


StageParameters: TypeAlias = FinetuneParameters | PruneParameters | DistillParameters | QuantizeParameters

STAGE_KINDS: dict[str, type[StageParameters]] = {
    "finetune": FinetuneParameters,
    "prune": PruneParameters,
    "distill": DistillParameters,
    "quantize": QuantizeParameters,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a recipe; `name` is unique within its recipe."""

    kind: str
    name: str
    parameters: StageParameters


def stage_rules(kind: str) -> dict[str, Rule]:
    """The rule of each parameter of a stage kind, in order."""
    return {item.name: item.metadata["rule"] for item in dataclasses.fields(STAGE_KINDS[kind])}


def required_parameters(kind: str) -> tuple[str, ...]:
    """The parameters of a stage kind that have no default."""
    return tuple(item.name for item in dataclasses.fields(STAGE_KINDS[kind]) if item.default is dataclasses.MISSING)


def name_stages(steps: list[tuple[str, StageParameters]]) -> tuple[Stage, ...]:
    """Stages with unique names: a kind's second use is called KIND-2."""
    seen: dict[str, int] = {}
    stages = []
    for kind, parameters in steps:
        seen[kind] = seen.get(kind, 0) + 1
        name = kind if seen[kind] == 1 else f"{kind}-{seen[kind]}"
        stages.append(Stage(kind=kind, name=name, parameters=parameters))
    return tuple(stages)
