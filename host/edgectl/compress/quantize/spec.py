# SPDX-License-Identifier: Apache-2.0
"""How a graph is quantized when it is lowered: schemes by layer, and the steps of the activations. Plain data.

The graph stays the float master. Ranges are keyed by the operator of the float graph whose output they are of, so they
outlive training; a structural edit voids them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgectl.compress.named_places import is_chosen, matches

FLOAT = "float"
INT8, INT8_DYNAMIC, INT4_WEIGHTS, FP16 = "int8", "int8_dynamic", "int4_weights", "fp16"
INT4_GROUP = 32
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Steps:
    """An int8 activation: value = (integer - zero_point) * scale, integers from -128 to 127."""

    scale: float
    zero_point: int

    @property
    def low(self) -> float:
        return (-128 - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        return (127 - self.zero_point) * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class QuantizationSpec:
    """What each layer becomes, and the activation steps of the static ones.

    Attributes:
        scheme: of every layer that nothing below says otherwise of.
        observer: what set the ranges.
        targets: where given, only these layers are quantized: names, or `re:` and a pattern.
        exclude: layers that stay float, by the same rules.
        overrides: name or pattern -> scheme or `float`; the last that fits holds.
        kept_float: places that could not be quantized.
        ranges: observed operator -> its steps; None where a structural edit voided them.
    """

    scheme: str
    observer: str = "histogram"
    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    kept_float: tuple[str, ...] = ()
    ranges: Mapping[str, Steps] | None = None

    def scheme_of(self, place: str) -> str:
        """The scheme of the layer at `place`, `float` included."""
        if place in self.kept_float:
            return FLOAT
        fitting = [scheme for pattern, scheme in self.overrides.items() if matches(place, (pattern,))]
        if fitting:
            return fitting[-1]
        return self.scheme if is_chosen(place, targets=self.targets, exclude=self.exclude) else FLOAT

    @property
    def static(self) -> bool:
        """Whether any layer may need ranges."""
        return INT8 in (self.scheme, *self.overrides.values())

    @property
    def calibrated(self) -> bool:
        """Whether every range that is needed is known."""
        return self.ranges is not None or not self.static

    def with_ranges(self, ranges: Mapping[str, Steps]) -> QuantizationSpec:
        return replace(self, ranges=dict(ranges))

    def void_activation_ranges(self) -> QuantizationSpec:
        """The spec after a structural edit: the same schemes, to be calibrated again."""
        return replace(self, ranges=None)

    def keeping_float(self, places: Iterable[str]) -> QuantizationSpec:
        """The spec with more places that stay float."""
        return replace(self, kept_float=tuple(dict.fromkeys((*self.kept_float, *places))))

    def document(self) -> dict[str, Any]:
        """The spec as plain JSON; numbers come back as they were."""
        ranges = self.ranges
        return {
            "version": _VERSION,
            "scheme": self.scheme,
            "observer": self.observer,
            "targets": list(self.targets),
            "exclude": list(self.exclude),
            "overrides": dict(self.overrides),
            "kept_float": list(self.kept_float),
            "ranges": None if ranges is None else {name: [one.scale, one.zero_point] for name, one in ranges.items()},
        }

    def tensors(self) -> dict[str, Any]:
        """Tensors that belong to the spec: none, since ranges are numbers and weights stay in the graph."""
        return {}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], tensors: Mapping[str, Any] | None = None) -> QuantizationSpec:
        """The spec that `document` described.

        Raises:
            KeyError, TypeError, ValueError: it did not come of `document`.
        """
        if document["version"] != _VERSION or tensors:
            raise ValueError(f"a quantization spec of version {document['version']!r}")
        ranges = document["ranges"]
        return cls(
            scheme=str(document["scheme"]),
            observer=str(document["observer"]),
            targets=tuple(map(str, document["targets"])),
            exclude=tuple(map(str, document["exclude"])),
            overrides={str(place): str(scheme) for place, scheme in document["overrides"].items()},
            kept_float=tuple(map(str, document["kept_float"])),
            ranges=None
            if ranges is None
            else {str(name): Steps(float(scale), int(zero)) for name, (scale, zero) in ranges.items()},
        )
