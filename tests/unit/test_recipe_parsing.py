# SPDX-License-Identifier: Apache-2.0
"""A recipe parses to what it says, and every fault in it is one message with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from edgectl.compress.recipe import describe_plan, load_recipe, parse_recipe, recipe_document
from edgectl.compress.stages import Finetune, Prune
from edgectl_protos.errors import UsageError

GOOD = """\
version: 1
name: digits
model: pkg.models:build
model_arguments: {width: 16, bias: false}
data: pkg.data:load
seed: 3
target: aarch64
stages:
  - finetune: {epochs: 2, learning_rate: 2e-3}
  - prune: {macs: 0.5}
  - finetune:
  - quantize: {calibration_items: 16}
"""


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_recipe(text, source="r.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_recipe_says_what_it_says() -> None:
    recipe = parse_recipe(GOOD, source="r.yaml")
    assert (recipe.name, recipe.seed, recipe.target) == ("digits", 3, "aarch64")
    assert dict(recipe.model_arguments) == {"width": 16, "bias": False}
    assert [stage.name for stage in recipe.stages] == ["finetune", "prune", "finetune-2", "quantize"]
    assert recipe.stages[0].parameters == Finetune(epochs=2, learning_rate=0.002)
    assert recipe.stages[1].parameters == Prune(macs=0.5, round_to=8)
    assert recipe.stages[2].parameters == Finetune()


def test_recipe_survives_a_round_trip_through_its_document() -> None:
    recipe = parse_recipe(GOOD, source="r.yaml")
    assert parse_recipe(yaml.safe_dump(recipe_document(recipe)), source="again") == recipe


def test_plan_has_a_line_for_each_stage_with_its_values() -> None:
    lines = describe_plan(parse_recipe(GOOD, source="r.yaml"))
    assert "width=16" in lines[1]
    assert [line.split(":")[0] for line in lines[2:]] == ["1. finetune", "2. prune", "3. finetune-2", "4. quantize"]
    assert "macs 0.5" in lines[3]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("seed: 3", "sede: 3", ("line 6", "'sede'", "expected 'seed' (known: ")),
        ("prune: {macs", "prnue: {macs", ("line 10", "unknown stage 'prnue'", "expected 'prune' (known: ")),
        ("target: aarch64", "target: arch64", ("line 7", "'arch64'", "expected 'aarch64' (known: ")),
        ("macs: 0.5", "mcas: 0.5", ("line 10", "'mcas' in stages[1].prune", "expected 'macs' (known: ")),
        ("macs: 0.5", "macs: 1.5", ("line 10", "stages[1].prune.macs is 1.5", "above 0 and below 1")),
        ("macs: 0.5", "macs: 0", ("stages[1].prune.macs is 0", "above 0")),
        ("macs: 0.5", "macs: .nan", ("stages[1].prune.macs is nan",)),
        ("macs: 0.5", "macs: true", ("stages[1].prune.macs is True",)),
        ("macs: 0.5", 'macs: "0.5"', ("stages[1].prune.macs is '0.5'", "a number")),
        ("macs: 0.5", "macs: 0.5, importance: lamb", ("is 'lamb'", "group_magnitude, magnitude")),
        ("macs: 0.5", "round_to: 4", ("line 10", "stages[1].prune gives none of macs, parameters", "exactly one")),
        ("macs: 0.5", "macs: 0.5, bytes: 0.5", ("stages[1].prune gives macs and bytes of macs",)),
        ("epochs: 2", "epochs: -1", ("line 9", "stages[0].finetune.epochs is -1", "from 1")),
        ("epochs: 2", "epochs: 2.5", ("stages[0].finetune.epochs is 2.5", "a whole number")),
        ("2e-3", '"2e-3"', ("stages[0].finetune.learning_rate is '2e-3'",)),
        ("version: 1", "version: 2", ("line 1", "version is 2", "expected 1")),
        ("version: 1\n", "", ("version is missing",)),
        ("pkg.models:build", "pkg.models", ("line 3", "package.module:function")),
        ("pkg.models:build", "pkg models:build", ("line 3", "package.module:function")),
        ("name: digits", "name: ../digits", ("line 2", "letters")),
        ("name: digits", f"name: {'n' * 58}", ("line 2", "n" * 58, "at most 57")),
        ("seed: 3", "seed: -1", ("line 6", "seed is -1")),
        ("width: 16", "width: [1, 2]", ("line 4", "model_arguments.width")),
        ("  - finetune:\n", "  - 7\n", ("line 11", "one stage")),
        ("  - finetune:\n", "  - finetune: 3\n", ("line 11", "stages[2].finetune is 3")),
    ],
)
def test_fault_is_told_with_its_place(old: str, new: str, parts: tuple[str, ...]) -> None:
    assert old in GOOD
    message = refused(GOOD.replace(old, new, 1))
    for part in parts:
        assert part in message


def test_training_may_follow_quantize() -> None:
    recipe = parse_recipe(GOOD + "  - distill: {epochs: 1}\n", source="r.yaml")
    assert [stage.kind for stage in recipe.stages[-2:]] == ["quantize", "distill"]


def test_distill_first_is_refused_and_told_why() -> None:
    text = GOOD.replace("  - finetune: {epochs: 2, learning_rate: 2e-3}\n", "  - distill: {epochs: 1}\n")
    message = refused(text)
    assert "r.yaml line 8" in message
    assert "distill is the first stage" in message
    assert "put finetune before it, or remove it" in message


def test_trained_model_may_be_cut_and_distilled() -> None:
    text = GOOD.replace("  - finetune: {epochs: 2, learning_rate: 2e-3}\n", "")
    text = text.replace("  - finetune:\n", "  - distill\n")
    kinds = [stage.kind for stage in parse_recipe(text, source="r.yaml").stages]
    assert kinds == ["prune", "distill", "quantize"]


def test_longest_name_is_taken() -> None:
    text = GOOD.replace("name: digits", f"name: {'n' * 57}")
    assert parse_recipe(text, source="r.yaml").name == "n" * 57


def test_second_quantize_is_refused() -> None:
    assert "quantize is given more than once" in refused(GOOD + "  - quantize\n")


def test_empty_list_of_stages_is_refused() -> None:
    assert "a list of 1 to" in refused(GOOD.split("stages:", maxsplit=1)[0] + "stages: []\n")


def test_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_recipes_are_read_without_torch() -> None:
    code = "import sys, edgectl.compress.recipe, edgectl.compress.paired_bound; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
