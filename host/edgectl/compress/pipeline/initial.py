# SPDX-License-Identifier: Apache-2.0
"""From a user's model to the state that the first stage gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from edgectl_protos.errors import CompileError, UsageError
from torch import nn

from edgectl.compress.carrier import export_model, output_tensors
from edgectl.compress.data.example import Example, Signature
from edgectl.compress.data.splits import DataSplits
from edgectl.compress.pipeline.models import build_model
from edgectl.compress.recipe import Recipe
from edgectl.compress.sparse.torch_masks import masks_of
from edgectl.compress.state import ModelState


def initial_state(recipe: Recipe, data: DataSplits) -> ModelState:
    """Build the recipe's model, seeded, and export it.

    Raises:
        UsageError: there is no such entry point.
        CompileError: it fails, returns no module, gives no [N, classes] logits, or cannot be exported.
    """
    return state_of(build_model(recipe.model, recipe.model_arguments, seed=recipe.seed), data)


def state_of(module: nn.Module, data: DataSplits) -> ModelState:
    """The state of a model for these data, before any stage.

    Raises:
        CompileError: it does not take an item, cannot be exported, or does not give one row of logits per item.
    """
    state, _, _ = exported_state(module, (data.test_inputs[:1].clone(),))
    with torch.no_grad():
        outputs = output_tensors(state.graph(*state.example_inputs))
    shape = list(outputs[0].shape) if outputs else []
    if shape != [1, len(data.labels)]:
        raise CompileError(
            f"the model gives {shape} for one item",
            expected=f"[1, {len(data.labels)}], a logit for each label",
        )
    return state


def exported_state(
    module: Any, example_inputs: Sequence[Any], example_kwargs: Mapping[str, Any] | None = None
) -> tuple[ModelState, Example, tuple[str, ...]]:
    """The state of any model, how it is called, and what there is to say about its export.

    `torch.nn.utils.prune` masks become masks of the state. A result (it has a state and an example) is gone on from.

    Raises:
        UsageError: it is neither a module nor a result.
        CompileError: weights are not finite; it does not take its example; or it cannot be exported.
    """
    known, called = getattr(module, "state", None), getattr(module, "example", None)
    if isinstance(known, ModelState) and isinstance(called, Example):
        return known, called, ()
    if not isinstance(module, nn.Module):
        raise UsageError(f"a {type(module).__name__} to compress", expected="a torch.nn.Module, or a result")
    _check_weights(module)
    plain, masks = masks_of(module)
    keywords = dict(example_kwargs or {})
    carrier = export_model(plain, tuple(example_inputs), keywords)
    parameters = dict(carrier.graph.named_parameters())
    state = ModelState(
        carrier.graph,
        carrier.example_inputs,
        dynamic_batch=carrier.dynamic_batch,
        masks={name: mask for name, mask in masks.items() if name in parameters},
    )
    return state, Example.of(state, Signature(len(example_inputs), tuple(keywords))), carrier.notes


def _check_weights(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise CompileError(
                f"{name} holds NaN", expected="finite weights", action="give a model that was trained without diverging"
            )
