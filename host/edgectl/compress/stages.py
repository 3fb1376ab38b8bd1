# SPDX-License-Identifier: Apache-2.0
"""The stages a pipeline may hold: one frozen dataclass per kind, each field with its rule. No torch.

Python and YAML are one to one: `Prune(macs=0.5)` is `- prune: {macs: 0.5}`. Values are checked when one is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from edgectl_protos.errors import UsageError

from edgectl.compress.rules import Assignments, Flag, OneOf, Real, Rule, Text, Texts, Whole

MAXIMUM_EPOCHS = 10_000
SCHEMES = ("int8", "int8_dynamic", "int4_weights", "fp16")
IMPORTANCES = (
    "group_magnitude",
    "magnitude",
    "batch_norm_scale",
    "lamp",
    "fpgm",
    "taylor",
    "hessian",
    "activation",
    "random",
)
_SCOPES = OneOf(("global", "layer"))
_SHARE = Real(0, 1, open_low=True, open_high=True)
_EPOCHS = Whole(1, MAXIMUM_EPOCHS)
_RATE = Real(0, 10, open_low=True)
_BATCH = Whole(1, 65_536)
_DECAY = Real(0, 10)
_OPTIMIZERS = OneOf(("adamw", "sgd"))
PLACE = Text(r"[^\x00-\x1f]{1,256}", "a module's name, or `re:` and a pattern")
_PLACES = Texts(PLACE)
DEVICE_NAME = Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "a device's name")
_PATTERN = Text(r"[1-9][0-9]?:[1-9][0-9]?", "N:M, as 2:4: N of each M stay")


def _ruled(rule: Rule, **keywords: Any) -> Any:
    return field(metadata={"rule": rule}, **keywords)


class Checked:
    """Each field's value passes its rule; of the fields in `exactly_one`, one is given.

    Raises:
        UsageError: a value is not legal; names the field.
    """

    __slots__ = ()
    exactly_one: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name, rule in stage_rules(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            accepted = rule.accept(value)
            if accepted is None:
                raise UsageError(f"{kind}: {name} is {value!r:.60}", expected=rule.expected)
            object.__setattr__(self, name, accepted)
        given = [name for name in self.exactly_one if getattr(self, name) is not None]
        if self.exactly_one and len(given) != 1:
            raise UsageError(
                f"{kind}: {' and '.join(given) or 'none'} of {', '.join(self.exactly_one)} given",
                expected="exactly one of them",
            )


@dataclass(frozen=True, slots=True)
class Prune(Checked):
    """Removal of whole channels: a share of the cost to remove, or the latency to reach on a device."""

    exactly_one: ClassVar[tuple[str, ...]] = ("macs", "parameters", "channels", "bytes", "p95_ms")

    macs: float | None = _ruled(_SHARE, default=None)
    parameters: float | None = _ruled(_SHARE, default=None)
    channels: float | None = _ruled(_SHARE, default=None)
    bytes: float | None = _ruled(_SHARE, default=None)
    p95_ms: float | None = _ruled(Real(0, 1e6, open_low=True), default=None)
    device: str | None = _ruled(DEVICE_NAME, default=None)
    importance: str = _ruled(OneOf(IMPORTANCES), default="group_magnitude")
    scope: str = _ruled(_SCOPES, default="global")
    steps: int = _ruled(Whole(1, 100), default=1)
    round_to: int = _ruled(Whole(1, 256), default=8)
    targets: tuple[str, ...] = _ruled(_PLACES, default=())
    exclude: tuple[str, ...] = _ruled(_PLACES, default=())
    reestimate_batch_norm: bool = _ruled(Flag(), default=True)

    @property
    def budget(self) -> tuple[str, float]:
        """The unit asked for and its value: a share to remove, or milliseconds to reach."""
        (found,) = ((name, getattr(self, name)) for name in self.exactly_one if getattr(self, name) is not None)
        return found


@dataclass(frozen=True, slots=True)
class Sparsify(Checked):
    """Single weights go to zero and stay there: a share of them, or all but N of each M along the inputs.

    With `epochs`, training goes on while the share rises along a cubic (Zhu, Gupta 2017) over the first `ramp` of the
    steps and recovers on the rest; without, all go at once.
    """

    exactly_one: ClassVar[tuple[str, ...]] = ("sparsity", "pattern")

    sparsity: float | None = _ruled(_SHARE, default=None)
    pattern: str | None = _ruled(_PATTERN, default=None)
    criterion: str = _ruled(OneOf(("magnitude", "movement")), default="magnitude")
    scope: str = _ruled(_SCOPES, default="global")
    epochs: int = _ruled(Whole(0, MAXIMUM_EPOCHS), default=0)
    ramp: float = _ruled(Real(0, 1), default=0.6)
    updates: int = _ruled(Whole(1, 10_000), default=20)
    learning_rate: float = _ruled(_RATE, default=0.001)
    batch_size: int = _ruled(_BATCH, default=64)
    optimizer: str = _ruled(_OPTIMIZERS, default="adamw")
    weight_decay: float = _ruled(_DECAY, default=0.0001)
    targets: tuple[str, ...] = _ruled(_PLACES, default=())
    exclude: tuple[str, ...] = _ruled(_PLACES, default=())


@dataclass(frozen=True, slots=True)
class Quantize(Checked):
    """Post-training quantization; the ranges come from `calibration_items` items."""

    scheme: str = _ruled(OneOf(SCHEMES), default="int8")
    observer: str = _ruled(OneOf(("minmax", "histogram", "percentile", "mse")), default="histogram")
    passes: tuple[str, ...] = _ruled(
        Texts(OneOf(("equalization", "bias_correction", "adaround", "smoothquant")), most=4), default=()
    )
    calibration_items: int = _ruled(Whole(1, 65_536), default=256)
    targets: tuple[str, ...] = _ruled(_PLACES, default=())
    exclude: tuple[str, ...] = _ruled(_PLACES, default=())
    overrides: Mapping[str, str] = _ruled(Assignments(PLACE, OneOf((*SCHEMES, "float"))), default_factory=dict)
    max_degradation: float | None = _ruled(Real(0, 100), default=None)


@dataclass(frozen=True, slots=True)
class Finetune(Checked):
    """Training against the labels with a cosine schedule."""

    epochs: int = _ruled(_EPOCHS, default=10)
    learning_rate: float = _ruled(_RATE, default=0.001)
    batch_size: int = _ruled(_BATCH, default=64)
    optimizer: str = _ruled(_OPTIMIZERS, default="adamw")
    weight_decay: float = _ruled(_DECAY, default=0.0001)
    targets: tuple[str, ...] = _ruled(_PLACES, default=())
    exclude: tuple[str, ...] = _ruled(_PLACES, default=())


@dataclass(frozen=True, slots=True)
class Distill(Checked):
    """Training against the uncompressed model's softened outputs; `alpha` weighs them against the labels."""

    epochs: int = _ruled(_EPOCHS, default=10)
    temperature: float = _ruled(Real(0, 1000, open_low=True), default=4.0)
    alpha: float = _ruled(Real(0, 1), default=0.7)
    learning_rate: float = _ruled(_RATE, default=0.001)
    batch_size: int = _ruled(_BATCH, default=64)
    optimizer: str = _ruled(_OPTIMIZERS, default="adamw")
    weight_decay: float = _ruled(_DECAY, default=0.0001)
    targets: tuple[str, ...] = _ruled(_PLACES, default=())
    exclude: tuple[str, ...] = _ruled(_PLACES, default=())


PruneParameters: TypeAlias = Prune
QuantizeParameters: TypeAlias = Quantize
StageParameters: TypeAlias = Prune | Sparsify | Quantize | Finetune | Distill

STAGE_KINDS: dict[str, type[StageParameters]] = {
    "finetune": Finetune,
    "prune": Prune,
    "sparsify": Sparsify,
    "distill": Distill,
    "quantize": Quantize,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a recipe; `name` is unique within its recipe."""

    kind: str
    name: str
    parameters: StageParameters


def kind_of(parameters: StageParameters) -> str:
    """The name by which a recipe calls a stage of this class."""
    return next(kind for kind, made in STAGE_KINDS.items() if isinstance(parameters, made))


def stage_rules(stage: type[Any]) -> dict[str, Rule]:
    """The rule of each parameter of a stage class, in order."""
    return {item.name: item.metadata["rule"] for item in dataclasses.fields(stage)}


def stage_document(parameters: Checked) -> dict[str, Any]:
    """The parameters as plain data, defaults written out, without what is not given."""
    values = {name: getattr(parameters, name) for name in stage_rules(type(parameters))}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def name_stages(steps: list[StageParameters]) -> tuple[Stage, ...]:
    """Stages with unique names: a kind's second use is called KIND-2."""
    seen: dict[str, int] = {}
    stages = []
    for parameters in steps:
        kind = kind_of(parameters)
        seen[kind] = seen.get(kind, 0) + 1
        name = kind if seen[kind] == 1 else f"{kind}-{seen[kind]}"
        stages.append(Stage(kind=kind, name=name, parameters=parameters))
    return tuple(stages)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
