# SPDX-License-Identifier: Apache-2.0
"""From a recipe's model entry point to a state: seeded, and one message for what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from edgectl.compress.data import DataSplits
from edgectl.compress.pipeline import initial_state
from edgectl.compress.recipe import Recipe
from edgectl_protos.errors import CompileError, EdgectlError, UsageError

MODULE = """
import torch
from torch import nn

def build(width=3):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

def number():
    return 3

def wide():
    return nn.Sequential(nn.Linear(64, 2))

class Leaving(nn.Module):
    def forward(self, inputs):
        raise SystemExit(3)

class Sorting(nn.Module):
    def forward(self, inputs):
        return inputs[:, :2] if inputs.max().item() > 0 else inputs[:, 2:]
"""


@pytest.fixture
def splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSplits:
    """Four items of four numbers; the current directory holds the models above."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_small_models.py").write_text(MODULE, encoding="utf-8")
    inputs, targets = torch.randn(4, 4), torch.tensor([0, 1, 0, 1])
    return DataSplits(inputs, targets, inputs, targets, ("a", "b"))


def recipe(function: str, seed: int = 0, **arguments: int) -> Recipe:
    return Recipe("small", f"my_small_models:{function}", "x:y", (), seed=seed, model_arguments=arguments)


def test_model_is_built_from_the_recipes_seed_and_arguments(splits: DataSplits) -> None:
    def weight(seed: int) -> torch.Tensor:
        return next(initial_state(recipe("build", seed, width=5), splits).graph.parameters())

    before = torch.random.get_rng_state()
    assert weight(1).shape == (5, 4)
    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("given", "kind", "part"),
    [
        (recipe("biuld"), UsageError, "expected 'build' (known: "),
        (recipe("number"), CompileError, "returned a int"),
        (recipe("build", widht=5), CompileError, "unexpected keyword argument 'widht'"),
        (recipe("Sorting"), CompileError, "Sorting cannot be exported"),
        (recipe("wide"), CompileError, "does not take its example inputs (float32 [1, 4]): RuntimeError: mat1"),
        (recipe("Leaving"), CompileError, "Leaving does not take its example inputs (float32 [1, 4])"),
    ],
    ids=["missing", "no module", "wrong argument", "control flow on values", "other shape", "exit"],
)
def test_model_that_cannot_be_made_is_one_message(
    splits: DataSplits, given: Recipe, kind: type[EdgectlError], part: str
) -> None:
    with pytest.raises(kind) as caught:
        initial_state(given, splits)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
