# SPDX-License-Identifier: Apache-2.0
"""`torch.nn.utils.prune` masks: read out of a user's module, and written back onto one."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known
from torch import nn
from torch.nn.utils import prune

_ORIGINAL, _MASK = "_orig", "_mask"


def masks_of(module: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The module without reparametrization, and its masks by parameter name (bool, True stays).

    A module without masks is given back as it is; else a copy, and the user's is left alone.
    """
    places = [
        (path, name.removesuffix(_MASK))
        for path, layer in module.named_modules()
        for name, _ in layer.named_buffers(recurse=False)
        if name.endswith(_MASK) and hasattr(layer, name.removesuffix(_MASK) + _ORIGINAL)
    ]
    if not places:
        return module, {}
    # The product of weight and mask is an attribute with a gradient: such a tensor refuses to be copied.
    products = [getattr(module.get_submodule(path), name) for path, name in places]
    plain = copy.deepcopy(module, {id(product): product.detach().clone() for product in products})
    masks: dict[str, torch.Tensor] = {}
    for path, name in places:
        layer = plain.get_submodule(path)
        masks[f"{path}.{name}" if path else name] = getattr(layer, name + _MASK).bool().clone()
        prune.remove(layer, name)  # type: ignore[no-untyped-call]
    return plain, masks


def write_masks(module: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Put masks onto a module as `torch.nn.utils.prune` keeps them, in place.

    Args:
        module: has parameters by the names in `masks`.
        masks: bool of the parameter's shape, True stays.

    Raises:
        UsageError: a name or a shape does not fit; nothing is written then.
    """
    parameters = dict(module.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise UsageError(f"no parameter {name!r}", expected=describe_known(name, parameters))
        if parameters[name].shape != mask.shape:
            raise UsageError(
                f"the mask of {name} has shape {list(mask.shape)}", expected=str(list(parameters[name].shape))
            )
    for name, mask in masks.items():
        path, _, parameter = name.rpartition(".")
        prune.custom_from_mask(module.get_submodule(path), parameter, mask)  # type: ignore[no-untyped-call]
