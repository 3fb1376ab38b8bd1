# SPDX-License-Identifier: Apache-2.0
"""The `sparsify` stage: single weights go to zero, at once or while the model is trained (Han et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from edgectl_protos.errors import CompileError, UsageError

from edgectl.compress.data.feeds import TrainingFeed
from edgectl.compress.named_places import check_places, is_chosen
from edgectl.compress.sparse.masks import fits_pattern
from edgectl.compress.sparse.schedule import GradualSparsity
from edgectl.compress.stages import Sparsify, stage_document
from edgectl.compress.state import Edit, Frozen, ModelState
from edgectl.compress.training.optimize import settings_of, train
from edgectl.cores import NEVER_PAUSED, Work

HONEST = "dense kernels are no faster for zeros: what shrinks is the download, where it is compressed"


@dataclass(frozen=True, slots=True, eq=False)
class Sparsified:
    """The state with its masks, and what there is to say."""

    state: ModelState
    notes: tuple[str, ...]


def sparsify(
    state: ModelState,
    feed: TrainingFeed | None,
    parameters: Sparsify,
    *,
    generator: torch.Generator,
    progress: Callable[[float], None],
    work: Work = NEVER_PAUSED,
) -> Sparsified:
    """Put weights of convolutions, linear layers and embeddings to zero; biases and norms stay.

    Raises:
        UsageError: an unknown target; training is asked for, and there is no data.
        CompileError: no weight may go; or see `train`.
    """
    names, frozen = sparse_names(state, parameters)
    if not names:
        raise CompileError("no weight may be put to zero", expected="a weight of two dimensions or more among them")
    gradual = GradualSparsity(parameters, names, state.masks)
    edit = Edit("sparsify", stage_document(parameters), _summary(parameters))
    if parameters.epochs:
        if feed is None:
            raise UsageError("sparsify with epochs, and no training data", expected="training data")
        trained = train(
            state,
            feed,
            settings=settings_of(parameters),
            loss=lambda outputs, batch: feed.loss(outputs, batch.targets),
            generator=generator,
            progress=progress,
            hooks=(gradual,),
            work=work,
        )
        graph = trained.copied_graph()
    else:
        graph = state.copied_graph()
    gradual.update(graph, 1.0)
    spec = state.quantization
    done = replace(
        state.edited(graph, edit),
        masks=gradual.masks,
        frozen=(*state.frozen, *frozen),
        quantization=None if spec is None else spec.void_activation_ranges(),
    )
    return Sparsified(done, (_reached(done, names), HONEST))


def sparse_names(state: ModelState, parameters: Sparsify) -> tuple[tuple[str, ...], tuple[Frozen, ...]]:
    """The parameters that lose weights, and those that the pattern does not fit.

    Raises:
        UsageError: an unknown target.
    """
    named = dict(state.graph.named_parameters())
    for field in ("targets", "exclude"):
        check_places(getattr(parameters, field), named, what=f"sparsify: {field}")
    names, frozen = [], []
    for name, parameter in named.items():
        if parameter.ndim < 2 or not parameter.is_floating_point():
            continue
        if not is_chosen(name, targets=parameters.targets, exclude=parameters.exclude):
            continue
        if parameters.pattern is not None and not fits_pattern(parameter, int(parameters.pattern.split(":")[1])):
            reason = f"{parameter.shape[1]} inputs do not divide into groups of {parameters.pattern.split(':')[1]}"
            frozen.append(Frozen(name, "sparsify", reason))
            continue
        names.append(name)
    return tuple(names), tuple(frozen)


def _summary(parameters: Sparsify) -> str:
    wanted = parameters.pattern or f"{parameters.sparsity:g}"
    return f"sparsify {wanted}, {parameters.criterion}, {parameters.epochs} epochs"


def _reached(state: ModelState, names: tuple[str, ...]) -> str:
    weights = [dict(state.graph.named_parameters())[name] for name in names]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    total = sum(weight.numel() for weight in weights)
    return f"{zeros / total:.1%} of {total:,} weights in {len(names)} tensors are zero"
