# SPDX-License-Identifier: Apache-2.0
"""The study file as data: what is searched, how candidates are trained, what is optimized. Parsing is pure.

Stages are kept as they were written: whoever trains them knows which parameters are legal.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from edgectl_protos.errors import EdgectlError, UsageError
from edgectl_protos.spelling import describe_known

from edgectl.search.evaluator import Json
from edgectl.search.objectives import (
    KNOWN_OBJECTIVES,
    STANDARD_OBJECTIVES,
    Direction,
    Objective,
    check_objectives,
    measured_unit,
)
from edgectl.search.samplers import EvolutionSampler, RandomSampler, Sampler
from edgectl.search.space import Choice, Dimension, Floats, Integers, SearchSpace

_T = TypeVar("_T")
VERSION = 1
MODEL_PREFIX = "model"
MAX_CANDIDATES = 1_000_000
MAX_DIMENSIONS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")  # "-candidate" is added to it, and a bundle takes 63
_REQUIRED = ("version", "name", "model", "data", "stages", "space")
_KEYS = (
    *_REQUIRED,
    "model_arguments",
    "target",
    "seed",
    "candidates",
    "validation",
    "protocol",
    "allow_undelegated",
    "objectives",
    "sampler",
)

Path = tuple[str | int, ...]
Place = Callable[[Path], str]
"""Where in a file the value at a path stands, for messages."""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """Which sampler; the numbers are those of `EvolutionSampler` and mean nothing to the random one."""

    kind: Literal["random", "evolution"] = "evolution"
    population: int = 16
    warmup: int = 8
    crossover: float = 0.7


@dataclass(frozen=True, slots=True)
class BaseStage:
    """A stage of the recipe that every candidate starts from; a genome's `KIND.parameter` values overwrite its own."""

    kind: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class SearchConfiguration:
    """`validation` is the part of the training items that candidates are judged on and not trained on.

    With `allow_undelegated` a candidate is timed although operators of it run outside the delegate; else it fails.
    """

    name: str
    model: str
    data: str
    stages: tuple[BaseStage, ...]
    space: SearchSpace
    model_arguments: Mapping[str, Json] = field(default_factory=dict)
    target: str = "generic"
    seed: int = 0
    candidates: int = 32
    validation: float = 0.2
    protocol: str = "short"
    allow_undelegated: bool = False
    objectives: tuple[Objective, ...] = STANDARD_OBJECTIVES
    sampler: SamplerSettings = field(default_factory=SamplerSettings)

    def comparable_settings(self, *, device: Mapping[str, Json]) -> dict[str, Json]:
        """What must be equal for two results of one study to be compared, beside space and objectives.

        Args:
            device: its name and whatever else its latencies depend on.
        """
        return {
            "model": self.model,
            "model_arguments": dict(self.model_arguments),
            "data": self.data,
            "stages": [{stage.kind: dict(stage.parameters)} for stage in self.stages],
            "target": self.target,
            "seed": self.seed,
            "validation": self.validation,
            "protocol": self.protocol,
            "allow_undelegated": self.allow_undelegated,
            "device": dict(device),
        }


def build_sampler(settings: SamplerSettings, *, space: SearchSpace, objectives: Sequence[Objective]) -> Sampler:
    if settings.kind == "random":
        return RandomSampler(space)
    return EvolutionSampler(
        space,
        objectives,
        population=settings.population,
        warmup=settings.warmup,
        crossover=settings.crossover,
    )


def parse_configuration(value: object, *, source: str, place: Place | None = None) -> SearchConfiguration:
    """The configuration in plain data (dict, list, str, int, float, bool, None), as a YAML reader gives it.

    Args:
        value: the document.
        source: names it in messages.
        place: names a place in it; `source` alone where there is none.

    Raises:
        UsageError: one message with the place, what was seen and what was expected; an unknown key names the nearest.
    """
    return _Reader(source, place).configuration(value)


class _Reader:
    def __init__(self, source: str, place: Place | None) -> None:
        self._place = place or (lambda _: source)

    def configuration(self, value: object) -> SearchConfiguration:
        root = self._mapping((), value, known=_KEYS, required=_REQUIRED)
        self._number(root, "version", default=None, low=VERSION, high=VERSION, whole=True)
        stages = self._stages(root["stages"])
        objectives = self._objectives(root["objectives"]) if "objectives" in root else STANDARD_OBJECTIVES
        if "protocol" in root and measured_unit(objectives) == "insn":
            raise self._wrong(
                ("protocol",), root["protocol"], "none: it says how programs are timed, and insn is counted"
            )
        space = self._space(root["space"], kinds=[stage.kind for stage in stages])
        sampler = self._sampler(root.get("sampler", {}))
        self._checked(("sampler",), lambda: build_sampler(sampler, space=space, objectives=objectives))
        return SearchConfiguration(
            name=self._text(root, "name", pattern=_NAME, expected="letters, digits, - and _, at most 50"),
            model=self._text(root, "model"),
            data=self._text(root, "data"),
            stages=stages,
            space=space,
            model_arguments=self._mapping(("model_arguments",), root.get("model_arguments", {})),
            target=self._text(root, "target", default="generic"),
            seed=int(self._number(root, "seed", default=0, low=0, high=2**31 - 1, whole=True)),
            candidates=int(self._number(root, "candidates", default=32, low=1, high=MAX_CANDIDATES, whole=True)),
            validation=self._number(root, "validation", default=0.2, low=0.01, high=0.9),
            protocol=self._text(root, "protocol", default="short"),
            allow_undelegated=self._flag(root, "allow_undelegated"),
            objectives=objectives,
            sampler=sampler,
        )

    def _flag(self, root: Mapping[str, object], key: str) -> bool:
        value = root.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong((key,), value, "true or false")
        return value

    def _stages(self, value: object) -> tuple[BaseStage, ...]:
        if not isinstance(value, list) or not value:
            raise self._wrong(("stages",), value, "a list of stages")
        stages: list[BaseStage] = []
        for index, item in enumerate(value):
            written = {item: None} if isinstance(item, str) else item
            if not isinstance(written, dict) or len(written) != 1:
                raise self._wrong(("stages", index), item, "one stage, as `- prune: {macs: 0.5}`")
            ((kind, body),) = written.items()
            path: Path = ("stages", index, kind)
            if any(stage.kind == kind for stage in stages):
                raise self._wrong(path, kind, f"{kind} once, so that {kind}.parameter in the space means one stage")
            stages.append(BaseStage(kind, self._mapping(path, {} if body is None else body)))
        return tuple(stages)

    def _space(self, value: object, *, kinds: Sequence[str]) -> SearchSpace:
        written = self._mapping(("space",), value)
        if len(written) > MAX_DIMENSIONS:
            raise self._wrong(("space",), f"{len(written)} dimensions", f"at most {MAX_DIMENSIONS}")
        dimensions = [self._dimension(name, body, owners=(MODEL_PREFIX, *kinds)) for name, body in written.items()]
        return self._checked(("space",), lambda: SearchSpace(tuple(dimensions)))

    def _dimension(self, name: str, body: object, *, owners: Sequence[str]) -> Dimension:
        path: Path = ("space", name)
        owner, dot, parameter = name.partition(".")
        if not dot or not parameter:
            raise self._wrong(path, name, "a name such as model.width or prune.macs")
        if owner not in owners:
            raise UsageError(
                f"{self._place(path)}: dimension {name!r} belongs to no stage", expected=describe_known(owner, owners)
            )
        values = self._mapping(path, body, known=("choice", "integers", "floats", "step"))
        forms = [form for form in ("choice", "integers", "floats") if form in values]
        if len(forms) != 1 or ("step" in values and forms == ["choice"]):
            raise self._wrong(path, body, "choice: [..], or integers: [low, high] or floats: [low, high] with a step")
        listed = values[forms[0]]
        if not isinstance(listed, list) or (forms != ["choice"] and len(listed) != 2):
            raise self._wrong((*path, forms[0]), listed, "a list" if forms == ["choice"] else "[low, high]")
        return self._checked(path, lambda: _dimension(name, forms[0], listed, values.get("step")))

    def _objectives(self, value: object) -> tuple[Objective, ...]:
        written = self._mapping(("objectives",), value, known=tuple(o.name for o in KNOWN_OBJECTIVES))
        directions: dict[str, Direction] = {"maximize": "maximize", "minimize": "minimize"}
        objectives = []
        for name, direction in written.items():
            if not isinstance(direction, str) or direction not in directions:
                raise self._wrong(("objectives", name), direction, "maximize or minimize")
            objectives.append(Objective(name, directions[direction]))
        return self._checked(("objectives",), lambda: check_objectives(objectives))

    def _sampler(self, value: object) -> SamplerSettings:
        written = {"kind": value} if isinstance(value, str) else value
        path: Path = ("sampler",)
        given = self._mapping(path, written, known=tuple(f.name for f in dataclasses.fields(SamplerSettings)))
        kind = given.get("kind", "evolution")
        if kind not in ("random", "evolution"):
            raise self._wrong((*path, "kind"), kind, "random or evolution")
        if kind == "random" and len(given) > 1:
            raise self._wrong(path, given, "no parameters for random")
        numbers: dict[str, Any] = {}
        for name, whole in (("population", True), ("warmup", True), ("crossover", False)):
            if name in given:
                number = self._number(given, name, default=None, low=0, high=100_000 if whole else 1, whole=whole)
                numbers[name] = int(number) if whole else number
        return SamplerSettings(kind=kind, **numbers)

    def _mapping(
        self, path: Path, value: object, *, known: Sequence[str] = (), required: Sequence[str] = ()
    ) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self._wrong(path, value, "a mapping")
        for key in value:
            if known and key not in known:
                where = f" in {'.'.join(map(str, path))}" if path else ""
                raise UsageError(
                    f"{self._place((*path, key))}: unknown key {key!r}{where}", expected=describe_known(key, known)
                )
        for key in required:
            if key not in value:
                raise UsageError(f"{self._place(path)}: the key {key!r} is missing", expected=", ".join(required))
        return value

    def _text(
        self,
        root: Mapping[str, object],
        key: str,
        *,
        default: str | None = None,
        pattern: re.Pattern[str] | None = None,
        expected: str = "text",
    ) -> str:
        value = root.get(key, default)
        if not isinstance(value, str) or not value or (pattern is not None and not pattern.fullmatch(value)):
            raise self._wrong((key,), value, expected)
        return value

    def _number(
        self,
        root: Mapping[str, object],
        key: str,
        *,
        default: float | None,
        low: float,
        high: float,
        whole: bool = False,
    ) -> float:
        value = root.get(key, default)
        expected = f"{'a whole number' if whole else 'a number'} from {low} to {high}"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise self._wrong((key,), value, expected)
        if not math.isfinite(value) or not low <= value <= high:
            raise self._wrong((key,), value, expected)
        return value

    def _checked(self, path: Path, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except EdgectlError as error:
            raise UsageError(
                f"{self._place(path)}: {error.seen}", expected=error.expected, action=error.action
            ) from error

    def _wrong(self, path: Path, value: object, expected: str) -> UsageError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        where = ".".join(map(str, path)) or "the document"
        return UsageError(f"{self._place(path)}: {where} is {shown}", expected=expected)


def _dimension(name: str, form: str, listed: list[Any], step: Any) -> Dimension:
    if form == "choice":
        return Choice(name, tuple(listed))
    low, high = listed
    if form == "integers":
        return Integers(name, low, high, 1 if step is None else step)
    return Floats(name, low, high, step)
