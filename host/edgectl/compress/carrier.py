# SPDX-License-Identifier: Apache-2.0
"""The carrier of every stage: an unlifted `torch.export` graph in eval mode with a dynamic batch.

Training flips the literals of dropout and normalisation in place. torchao's own switch is not used: it matches patterns
whose literals it then overwrites (dropout 0.1 comes back as 0.5, batch-norm momentum and epsilon as their defaults).
"""

from __future__ import annotations

from typing import Any

import torch
from edgectl_protos.errors import CompileError
from torch import nn
from torch.fx import GraphModule

from edgectl.compress.reasons import first_line

aten = torch.ops.aten

# operator -> index of its `training` literal
_TRAINING_LITERAL: dict[Any, int] = {
    aten.dropout.default: 2,
    aten.dropout_.default: 2,
    aten.feature_dropout.default: 2,
    aten.alpha_dropout.default: 2,
    aten.feature_alpha_dropout.default: 2,
    aten.batch_norm.default: 5,
}
_MOMENTUM = 6
_DEFAULT_MOMENTUM = 0.1


def export_model(module: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> GraphModule:
    """Export a model for compression.

    Args:
        module: any model; it is put into eval mode and otherwise left alone.
        example_inputs: float tensors [1, ...], one per input; dimension 0 of each is the batch.

    Raises:
        CompileError: the model cannot be exported, or it fixes the size of the batch; one line.
    """
    module.eval()
    # A batch of 1 would be specialised by export; 2 stands for any.
    batched = tuple(torch.cat([example, example]) for example in example_inputs)
    shapes = tuple({0: torch.export.Dim("batch", min=1)} for _ in batched)
    try:
        with torch.no_grad():
            program = torch.export.export(module, batched, dynamic_shapes=_nested(module, shapes))
        graph = program.module(check_guards=False)
    except Exception as error:
        raise CompileError(
            f"{type(module).__name__} cannot be exported: {first_line(error)}",
            expected="a model that torch.export accepts with a batch of any size",
            action="remove control flow that depends on values, and sizes that fix the batch",
        ) from error
    _drop_dead_buffers(graph)
    return graph


def set_training(graph: GraphModule, *, training: bool) -> None:
    """Switch dropout and batch norm of an exported graph, in place; every other literal stays.

    Dropout inside fused attention is not in the graph (export in eval mode drops it) and does not come back.
    """
    for node in graph.graph.nodes:
        index = _TRAINING_LITERAL.get(node.target) if node.op == "call_function" else None
        if index is None:
            continue
        arguments = list(node.args)
        arguments[index] = training
        if node.target is aten.batch_norm.default and training and arguments[_MOMENTUM] == 0.0:
            arguments[_MOMENTUM] = _DEFAULT_MOMENTUM  # a cumulative average (momentum None) exports as 0: no update
        node.args = tuple(arguments)
    graph.recompile()


def _nested(module: nn.Module, shapes: tuple[dict[int, Any], ...]) -> Any:
    # A graph module's forward takes *args, so its shapes are nested one level deeper.
    import inspect

    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return (shapes,) if kinds and kinds[0] is inspect.Parameter.VAR_POSITIONAL else shapes


def _drop_dead_buffers(graph: GraphModule) -> None:
    """Remove reads that nothing uses (batch-norm counters), so that they never reach a program."""
    for node in list(graph.graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
