# SPDX-License-Identifier: Apache-2.0
"""Which single weights stay: the highest scores of a layer, of all layers together, or N of each M along the inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Scores = Mapping[str, torch.Tensor]


def share_masks(scores: Scores, sparsity: float, *, scope: str) -> dict[str, torch.Tensor]:
    """Masks (bool, True stays) that put the share `sparsity` of all weights, or of each tensor's, to zero.

    Every tensor keeps at least one weight: a layer of zeros would cut the model in two.

    Args:
        scores: by parameter name, of the parameter's shape; the lowest go. Minus infinity goes first.
        sparsity: 0 to 1.
        scope: "global" ranks all weights together, "layer" each tensor alone.
    """
    if scope == "layer":
        return {name: _kept(score.flatten(), sparsity).view_as(score) for name, score in scores.items()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    kept = _kept(flat, sparsity)
    parts = torch.split(kept, [score.numel() for score in scores.values()])
    masks = {name: part.view_as(score).clone() for (name, score), part in zip(scores.items(), parts, strict=True)}
    for name, mask in masks.items():
        if mask.numel() and not bool(mask.any()):
            mask.view(-1)[scores[name].argmax()] = True
    return masks


def pattern_masks(scores: Scores, kept: int, of: int) -> dict[str, torch.Tensor]:
    """Masks that keep the `kept` highest of each `of` neighbours along the inputs (dimension 1).

    Args:
        scores: each of a shape [outputs, inputs, ...] with inputs a multiple of `of`: see `fits_pattern`.
        kept: N of N:M.
        of: M of N:M.
    """
    masks = {}
    for name, score in scores.items():
        along = score.movedim(1, -1)
        groups = along.reshape(*along.shape[:-1], along.shape[-1] // of, of)
        chosen = torch.zeros_like(groups, dtype=torch.bool)
        chosen.scatter_(-1, groups.topk(kept, dim=-1).indices, value=True)
        masks[name] = chosen.reshape(along.shape).movedim(-1, 1).contiguous()
    return masks


def fits_pattern(weight: torch.Tensor, of: int) -> bool:
    """Whether the inputs of a weight [outputs, inputs, ...] divide into groups of `of`."""
    return weight.ndim >= 2 and weight.shape[1] % of == 0


def cubic_sparsity(final: float, share: float, *, initial: float = 0.0) -> float:
    """The sparsity after `share` (0 to 1) of the ramp: s_f + (s_i - s_f)(1 - t)^3 (Zhu, Gupta 2017, equation 1)."""
    return final + (initial - final) * (1.0 - min(1.0, max(0.0, share))) ** 3


def _kept(scores: torch.Tensor, sparsity: float) -> torch.Tensor:
    keep = max(1, scores.numel() - round(sparsity * scores.numel()))
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask[scores.topk(min(keep, scores.numel())).indices] = True
    return mask
