# SPDX-License-Identifier: Apache-2.0
"""Masks of single weights: shares, patterns, and the cubic ramp."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.sparse.masks import cubic_sparsity, pattern_masks, share_masks
from edgectl.compress.sparse.torch_masks import masks_of, write_masks
from edgectl_protos.errors import UsageError
from torch import nn

GENERATOR = torch.Generator().manual_seed(0)
SCORES = {"small": torch.rand(8, 8, generator=GENERATOR), "large": 10 + torch.rand(8, 8, generator=GENERATOR)}


def test_layer_scope_takes_a_share_of_each_and_global_of_all() -> None:
    layers = share_masks(SCORES, 0.25, scope="layer")
    assert [int((~mask).sum()) for mask in layers.values()] == [16, 16]
    together = share_masks(SCORES, 0.25, scope="global")
    assert [int((~mask).sum()) for mask in together.values()] == [32, 0]


def test_the_lowest_go_and_every_tensor_keeps_one() -> None:
    masks = share_masks(SCORES, 0.9, scope="global")
    assert int(masks["small"].sum()) == 1
    assert bool(masks["small"].flatten()[SCORES["small"].argmax()])
    kept, gone = SCORES["large"][masks["large"]], SCORES["large"][~masks["large"]]
    assert float(kept.min()) > float(gone.max())


@pytest.mark.parametrize("shape", [(4, 8), (4, 8, 3, 3)])
def test_pattern_keeps_the_highest_of_each_group_along_the_inputs(shape: tuple[int, ...]) -> None:
    score = torch.rand(*shape, generator=torch.Generator().manual_seed(1))
    mask = pattern_masks({"w": score}, 2, 4)["w"]
    assert mask.shape == shape
    groups = mask.movedim(1, -1).reshape(-1, 4)
    assert bool((groups.sum(1) == 2).all())
    values = score.movedim(1, -1).reshape(-1, 4)
    assert bool((values.masked_fill(~groups, 9).amin(1) > values.masked_fill(groups, -9).amax(1)).all())


def test_ramp_is_cubic() -> None:
    assert cubic_sparsity(0.9, 0.0) == 0.0
    assert cubic_sparsity(0.9, 0.5) == pytest.approx(0.9 * (1 - 0.125))
    assert cubic_sparsity(0.9, 1.0) == cubic_sparsity(0.9, 3.0) == 0.9


def test_masks_go_onto_a_module_and_come_back() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    masks = share_masks({"0.weight": torch.rand(8, 8)}, 0.5, scope="layer")
    write_masks(model, masks)
    assert not model.get_parameter("0.weight_orig").mul(model.get_buffer("0.weight_mask"))[~masks["0.weight"]].any()
    plain, found = masks_of(model)
    assert found.keys() == masks.keys()
    assert torch.equal(found["0.weight"], masks["0.weight"])
    assert sorted(name for name, _ in plain.named_parameters()) == ["0.bias", "0.weight", "1.bias", "1.weight"]
    assert "0.weight_orig" in dict(model.named_parameters())


def test_masks_that_do_not_fit_change_nothing() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    good = torch.ones(8, 8, dtype=torch.bool)
    with pytest.raises(UsageError, match=r"no parameter '0.wieght'; expected '0.weight'"):
        write_masks(model, {"0.weight": good, "0.wieght": good})
    with pytest.raises(UsageError, match=r"shape \[8, 7\]; expected \[8, 8\]"):
        write_masks(model, {"0.weight": good[:, :7]})
    assert not hasattr(model[0], "weight_mask")
