# SPDX-License-Identifier: Apache-2.0
"""How much an atom (a set of coupled channels) matters: a score for each, comparable within its family.

- `magnitude`: the L2 norm of the filters (Li et al. 2017, arXiv 1608.08710, there L1).
- `group_magnitude`: of every weight that goes with it (Fang et al. 2023, DepGraph, arXiv 2301.12900).
- `lamp`: that, ranked over layers by Lee et al. 2021 (arXiv 2010.07611); the ranking is in `selection`.
- `batch_norm_scale`: the scale of batch norm (Liu et al. 2017, arXiv 1708.06519); without one, `group_magnitude`.
- `fpgm`: the distance of its filters to all others of the layer (He et al. 2019, arXiv 1811.00250).
- `taylor`: the squared sum of weight times gradient (Molchanov et al. 2019, arXiv 1906.10771, equation 8).
- `hessian`: half the squared weights times the Hessian's diagonal (LeCun et al. 1990), for which the squared gradient
  stands, as in a diagonal Fisher matrix.
- `activation`: the mean absolute value that consumers read.
- `random`: draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from edgectl_protos.errors import UsageError
from torch.fx import GraphModule, Interpreter, Node

from edgectl.compress.state import ModelState
from edgectl.compress.structured.analysis import COLUMNS, ROWS, Binding, ChannelAnalysis
from edgectl.compress.structured.evidence import Evidence
from edgectl.compress.structured.label_space import FROZEN
from edgectl.compress.structured.surgery import named_tensor
from edgectl.cores import Work

_BATCHES = 16  # more change the ranking little


def check_evidence(importance: str, evidence: Evidence) -> None:
    """Raise UsageError where a criterion needs evidence that is missing."""
    if importance in {"taylor", "hessian"} and (evidence.loss is None or evidence.training is None):
        raise UsageError(
            f"importance {importance} without training data",
            expected="training batches: it needs gradients of the loss",
            action="give training data, or take group_magnitude",
        )
    if importance == "activation" and evidence.calibration is None:
        raise UsageError(
            "importance activation without calibration data",
            expected="calibration batches to run the model on",
            action="give calibration data, or take group_magnitude",
        )


def channel_scores(
    state: ModelState,
    analysis: ChannelAnalysis,
    *,
    importance: str,
    evidence: Evidence,
    generator: torch.Generator,
    work: Work,
) -> torch.Tensor:
    """A score per label, float32 [labels], meaningful at the leaders of atoms.

    Raises:
        UsageError: the criterion needs evidence that is missing.
    """
    check_evidence(importance, evidence)
    if importance == "random":
        return torch.rand(len(analysis.members), generator=generator)
    if importance == "fpgm":
        return _spread(analysis, ((one, _distances(state.graph, one)) for one in _learned(state, analysis, ROWS)))
    if importance == "activation":
        return _activations(state, analysis, evidence, work)
    if importance in {"taylor", "hessian"}:
        return _gradients(state, analysis, evidence, work, squared=importance == "hessian")
    weights = _learned(state, analysis, ROWS if importance == "magnitude" else None)
    scores = _spread(analysis, ((one, _squares(state.graph, one)) for one in weights)).sqrt()
    if importance == "batch_norm_scale":
        scales = _batch_norm_scales(state, analysis)
        scores = torch.where(scales > 0, scales, scores)
    return scores


def _learned(state: ModelState, analysis: ChannelAnalysis, role: str | None) -> Iterator[Binding]:
    """Each bound dimension of a parameter once, of one role or of all."""
    parameters = {name for name, _ in state.graph.named_parameters(remove_duplicate=False)}
    seen: set[tuple[str, int]] = set()
    for binding in analysis.bindings:
        key = (binding.tensor, binding.dim)
        if binding.tensor in parameters and (role is None or binding.role == role) and key not in seen:
            seen.add(key)
            yield binding


def _spread(analysis: ChannelAnalysis, parts: Iterator[tuple[Binding, torch.Tensor]]) -> torch.Tensor:
    """Sum values [size of the dimension] of bindings over the atoms that their channels need."""
    scores = torch.zeros(len(analysis.members))
    for binding, values in parts:
        _add(scores, analysis, binding.labels, values)
    return scores


def _add(scores: torch.Tensor, analysis: ChannelAnalysis, labels: torch.Tensor, values: torch.Tensor) -> None:
    for atoms in analysis.members[labels].t():
        scores.index_add_(0, atoms, torch.where(atoms == FROZEN, 0.0, values.float()))


def _over_others(value: torch.Tensor, dim: int) -> torch.Tensor:
    others = [other for other in range(value.ndim) if other != dim]
    return value.sum(dim=others) if others else value


def _squares(graph: GraphModule, binding: Binding) -> torch.Tensor:
    return _over_others(named_tensor(graph, binding.tensor).detach().float().square(), binding.dim)


def _distances(graph: GraphModule, binding: Binding) -> torch.Tensor:
    filters = named_tensor(graph, binding.tensor).detach().float().movedim(binding.dim, 0).flatten(1)
    return torch.cdist(filters, filters).sum(dim=1)


def _batch_norm_scales(state: ModelState, analysis: ChannelAnalysis) -> torch.Tensor:
    scales = {
        analysis.tensors[str(node.args[1].target)]
        for node in state.graph.graph.nodes
        if str(node.target).startswith("aten.batch_norm") and isinstance(node.args[1], Node)
    }
    found = (one for one in _learned(state, analysis, None) if one.tensor in scales)
    return _spread(analysis, ((one, named_tensor(state.graph, one.tensor).detach().abs()) for one in found))


def _gradients(
    state: ModelState, analysis: ChannelAnalysis, evidence: Evidence, work: Work, *, squared: bool
) -> torch.Tensor:
    graph = state.copied_graph()
    for parameter in graph.parameters():
        parameter.requires_grad = True
    bindings = [one for one in _learned(state, analysis, None) if squared or one.role != COLUMNS]
    scores = torch.zeros(len(analysis.members))
    assert evidence.training is not None  # noqa: S101 - check_evidence has seen to it
    assert evidence.loss is not None  # noqa: S101
    for batch in itertools.islice(evidence.training(), _BATCHES):
        work.breathe()
        graph.zero_grad()
        evidence.loss(graph, batch).backward()  # type: ignore[no-untyped-call]
        once = torch.zeros(len(analysis.members))
        for binding in bindings:
            weight = named_tensor(graph, binding.tensor)
            if weight.grad is None:
                continue
            product = weight.detach() * weight.grad
            value = 0.5 * product.square() if squared else product
            _add(once, analysis, binding.labels, _over_others(value, binding.dim))
        scores += once if squared else once.square()
    return scores


def _activations(state: ModelState, analysis: ChannelAnalysis, evidence: Evidence, work: Work) -> torch.Tensor:
    scores = torch.zeros(len(analysis.members))
    assert evidence.calibration is not None  # noqa: S101 - check_evidence has seen to it
    reader = _ConsumerReader(state.graph, analysis, scores)
    with torch.no_grad():
        for batch in itertools.islice(evidence.calibration(), _BATCHES):
            work.breathe()
            reader.run(*batch)
    return scores


class _ConsumerReader(Interpreter):
    """Adds up the mean absolute activations that consumers read."""

    def __init__(self, graph: GraphModule, analysis: ChannelAnalysis, scores: torch.Tensor) -> None:
        super().__init__(graph)
        self._analysis, self._scores = analysis, scores
        self._operands = {operand.node: operand for operand in analysis.consumed}

    def run_node(self, n: Node) -> object:
        operand = self._operands.get(n.name)
        if operand is not None:
            value = next(self.env[source] for source in n.all_input_nodes if source.name == operand.source).abs()
            others = [dim for dim in range(value.ndim) if dim != operand.dim]
            _add(self._scores, self._analysis, operand.labels, value.mean(dim=others))
        return super().run_node(n)
