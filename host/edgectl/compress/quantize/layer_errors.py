# SPDX-License-Identifier: Apache-2.0
"""How much each layer's output suffers from being int8, layer by layer on float inputs, and what it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.data.example import Inputs
from edgectl.compress.quantize.folding import fold_batch_norms, source_of
from edgectl.compress.quantize.int4 import int4_weight
from edgectl.compress.quantize.layers import (
    LINEAR,
    WEIGHTED,
    WEIGHTLESS,
    is_call,
    is_float_tensor,
    place_of,
    weight_name,
)
from edgectl.compress.quantize.passes.adaround import channel_steps, output_axis
from edgectl.compress.quantize.passes.watching import watch
from edgectl.compress.quantize.spec import FLOAT, INT4_GROUP, INT4_WEIGHTS, INT8, INT8_DYNAMIC, QuantizationSpec, Steps
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work

_OUTLIER = 8.0
_CLIPPED = 0.001
_PERFECT = 200.0
_ITEMS = 64

# Operators that carry int8 along, or move and reshape values without arithmetic: nothing to report of them.
_CARRIES = (
    "relu",
    "hardtanh",
    "max_pool",
    "avg_pool",
    "mean",
    "permute",
    "transpose",
    "squeeze",
    "view",
    "reshape",
    "slice",
    "flatten",
    "dropout",
    "clone",
    "contiguous",
    "expand",
    "chunk",
    "split",
    "select",
    "pad",
    "detach",
    "to",
    "_to_copy",
    "alias",
)


@dataclass(frozen=True, slots=True)
class LayerError:
    """One layer: its signal-to-noise ratio in dB as quantized (200 where it is float), and where the noise is from.

    `weights_db` and `inputs_db` are the ratios with only the weights, only the inputs quantized; `outputs_db` that of
    rounding the output alone.
    """

    place: str
    operator: str
    scheme: str
    sqnr_db: float
    weights_db: float
    inputs_db: float
    outputs_db: float
    cause: str

    def document(self) -> dict[str, Any]:
        names = ("place", "operator", "scheme", "sqnr_db", "weights_db", "inputs_db", "outputs_db", "cause")
        return {name: getattr(self, name) for name in names}


def layer_errors(state: ModelState, items: Sequence[Inputs], *, work: Work = NEVER_PAUSED) -> tuple[LayerError, ...]:
    """The layers of a quantized state, the worst first.

    Args:
        state: quantized, its ranges known.
        items: batches of inputs.
        work: breathes between batches.
    """
    spec: QuantizationSpec = state.quantization
    graph = state.copied_graph()
    fold_batch_norms(graph)
    nodes = [node for node in graph.graph.nodes if _reported(node, spec)]
    tallies = {node: _Tally(node, spec.scheme_of(place_of(node)), spec) for node in nodes}
    watch(graph, set(nodes), items, lambda node, arguments, output: tallies[node].add(arguments, output), work=work)
    reasons = {one.place: one.reason for one in state.frozen}
    return tuple(sorted((tallies[node].error(reasons) for node in nodes), key=lambda one: one.sqnr_db))


def _reported(node: fx.Node, spec: QuantizationSpec) -> bool:
    if is_call(node, WEIGHTED):
        return weight_name(node) is not None
    return is_call(node, WEIGHTLESS) and source_of(node) in (spec.ranges or {})


class Items(Protocol):
    """Where a report takes its inputs from."""

    def batches(self, items: int, generator: torch.Generator) -> list[Inputs]:
        """Batches that hold `items` items, or all there are."""
        ...


def report_items(state: ModelState, source: Items | None, *, seed: int) -> list[Inputs]:
    """A few items to look at errors on; the example alone where there is no source."""
    if source is None:
        return [state.example_inputs]
    return source.batches(_ITEMS, torch.Generator().manual_seed(seed))


def unannotated_operators(graph: GraphModule) -> dict[str, tuple[str, ...]]:
    """Operators that compute in float whatever the scheme, with the places where they do."""
    found: dict[str, list[str]] = {}
    for node in graph.graph.nodes:
        if node.op != "call_function" or not is_float_tensor(node) or is_call(node, WEIGHTED | WEIGHTLESS):
            continue
        name = str(node.target)
        stem = name.removeprefix("aten.").split(".")[0]
        if not name.startswith("aten.") or "batch_norm" in stem or any(word in stem for word in _CARRIES):
            continue
        found.setdefault(name, []).append(place_of(node))
    return {name: tuple(dict.fromkeys(places)) for name, places in sorted(found.items())}


@dataclass(slots=True)
class _Tally:
    """Sums over calibration of one layer's signal and noises."""

    node: fx.Node
    scheme: str
    spec: QuantizationSpec
    signal: float = 0.0
    noise: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("all", "weights", "inputs", "outputs"), 0.0))
    clipped: int = 0
    seen: int = 0
    reach: torch.Tensor | None = None

    def add(self, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        if is_call(self.node, WEIGHTLESS):
            self._add_weightless(arguments, output)
            return
        given, weight = arguments[0], arguments[1].detach()
        self._see_input(given)
        if self.scheme not in (INT8, INT8_DYNAMIC, INT4_WEIGHTS):
            return
        target: Any = self.node.target

        def computed(values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = target(values, kernel, *arguments[2:])
            return result

        rounded, kernel = self._rounded_input(given), self._rounded_weight(weight)
        both = self._rounded_output(computed(rounded, kernel))
        noises = {
            "all": both - output,
            "weights": computed(given, kernel) - output,
            "inputs": computed(rounded, weight) - output,
            "outputs": self._rounded_output(output) - output,
        }
        self.signal += float(output.double().square().sum())
        for name, noise in noises.items():
            self.noise[name] += float(noise.double().square().sum())

    def _add_weightless(self, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        target: Any = self.node.target
        rounded = [self._rounded_argument(*pair) for pair in zip(arguments, self.node.args, strict=True)]
        inputs = target(*rounded) - output
        noises = {
            "all": self._rounded_output(output + inputs) - output,
            "inputs": inputs,
            "outputs": self._rounded_output(output) - output,
        }
        self.signal += float(output.double().square().sum())
        for name, noise in noises.items():
            self.noise[name] += float(noise.double().square().sum())

    def _rounded_argument(self, value: Any, source: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._rounded_argument(*pair) for pair in zip(value, source, strict=True)]
        return _rounded(value, self._steps(source)) if isinstance(value, torch.Tensor) else value

    def error(self, reasons: dict[str, str]) -> LayerError:
        place = place_of(self.node)
        quantized = self.scheme in (INT8, INT8_DYNAMIC, INT4_WEIGHTS)
        levels = {name: _decibels(self.signal, noise) if quantized else _PERFECT for name, noise in self.noise.items()}
        return LayerError(
            place=place,
            operator=str(self.node.target),
            scheme=self.scheme,
            sqnr_db=levels["all"],
            weights_db=levels["weights"],
            inputs_db=levels["inputs"],
            outputs_db=levels["outputs"],
            cause=self._cause(levels) if quantized else self._why_float(reasons.get(place)),
        )

    def _why_float(self, reason: str | None) -> str:
        if reason:
            return f"stays float: {reason}"
        return "float, as the recipe says" if self.scheme == FLOAT else self.scheme

    def _cause(self, levels: dict[str, float]) -> str:
        worst = min(("weights", "inputs", "outputs"), key=levels.__getitem__)
        if worst == "weights":
            return "weights: their own rounding"
        if self.clipped > _CLIPPED * self.seen:
            return f"range: {self.clipped / self.seen:.2%} of the input lies beyond it"
        channel, ratio = self._outlier()
        if worst == "inputs" and ratio > _OUTLIER:
            return f"outlier channel: input channel {channel} reaches {ratio:.0f} times as far as the median one"
        return f"range: the step of the {worst.removesuffix('s')}"

    def _outlier(self) -> tuple[int, float]:
        if self.reach is None:
            return 0, 0.0
        median = float(self.reach.median())
        return int(self.reach.argmax()), float(self.reach.max()) / median if median > 0 else 0.0

    def _see_input(self, given: torch.Tensor) -> None:
        reach = given.detach().abs().movedim(-1 if is_call(self.node, LINEAR) else 1, 0).flatten(1).amax(1)
        self.reach = reach if self.reach is None else torch.maximum(self.reach, reach)
        steps = self._steps(self.node.args[0])
        if self.scheme == INT8 and steps is not None:
            self.clipped += int(((given < steps.low - steps.scale) | (given > steps.high + steps.scale)).sum())
            self.seen += given.numel()

    def _steps(self, node: Any) -> Steps | None:
        return (self.spec.ranges or {}).get(source_of(node)) if isinstance(node, fx.Node) else None

    def _rounded_input(self, given: torch.Tensor) -> torch.Tensor:
        if self.scheme == INT8:
            return _rounded(given, self._steps(self.node.args[0]))
        dims = tuple(range(given.ndim)) if self.scheme == INT8_DYNAMIC else -1
        low, high = given.amin(dims, keepdim=True).clamp(max=0), given.amax(dims, keepdim=True).clamp(min=0)
        scale = ((high - low) / 255).clamp(min=1e-9)
        return torch.round(given / scale) * scale

    def _rounded_weight(self, weight: torch.Tensor) -> torch.Tensor:
        if self.scheme == INT4_WEIGHTS:
            integers, scales = int4_weight(weight)
            return (integers.reshape(*scales.shape, INT4_GROUP) * scales[..., None]).reshape(weight.shape)
        step = channel_steps(weight, output_axis(self.node))
        return torch.round(weight / step) * step

    def _rounded_output(self, output: torch.Tensor) -> torch.Tensor:
        return _rounded(output, self._steps(self.node)) if self.scheme == INT8 else output


def _rounded(values: torch.Tensor, steps: Steps | None) -> torch.Tensor:
    if steps is None:
        return values
    return torch.fake_quantize_per_tensor_affine(values, steps.scale, steps.zero_point, -128, 127)


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0.0:
        return _PERFECT
    return max(-_PERFECT, min(_PERFECT, 10 * math.log10(max(signal, 1e-300) / noise)))


def ranked_places(errors: Iterable[LayerError]) -> list[str]:
    """Places of quantized layers, the worst first."""
    return list(dict.fromkeys(one.place for one in errors if one.sqnr_db < _PERFECT))
