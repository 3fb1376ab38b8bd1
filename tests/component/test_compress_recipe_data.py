# SPDX-License-Identifier: Apache-2.0
"""Recipes over loaders and transformers models, to the command line's exit code for goals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from edgectl.cli.main import run
from edgectl.compress.pipeline.models import build_model
from edgectl.compress.pipeline.recipe_data import prepare
from edgectl.compress.recipe import parse_recipe
from edgectl_protos.bundle import open_bundle
from edgectl_protos.errors import CompileError, DatasetError, EdgectlError, UsageError

MODULE = """
import torch
from torch import nn

class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.first, self.second = nn.Embedding(20, 16), nn.Linear(24, 32), nn.Linear(32, 3)

    def forward(self, numbers, words):
        joined = torch.cat([numbers, self.words(words).mean(1)], 1)
        return {"logits": self.second(self.first(joined).relu())}

def build():
    return Both()

def drawn(count):
    generator = torch.Generator().manual_seed(count)
    numbers = torch.randn(count, 8, generator=generator)
    return (numbers, torch.randint(0, 20, (count, 4), generator=generator)), (numbers[:, 0] > 0).long()

def load():
    inputs, targets = drawn(64)
    test, wanted = drawn(50)

    def judged(model):
        return {"accuracy": (model(*test)["logits"].argmax(1) == wanted).float().mean()}

    return {
        "example_inputs": tuple(one[:1] for one in inputs),
        "calibration": [inputs],
        "training": [(inputs, targets)] * 4,
        "evaluation": judged,
        "labels": ["no", "yes", "never"],
    }

def load_wrong():
    return {**load(), "evalaution": 1}
"""
RECIPE = """
version: 1
name: both
model: models_of_both:build
data: models_of_both:load
stages:
  - finetune: {epochs: 20, learning_rate: 0.01}
  - quantize: {calibration_items: 32}
goals:
  - {metric: accuracy, threshold: 0.7}
  - {metric: parameters, threshold: GOAL}
  - {metric: p95_ms, device: pi4, threshold: 1, priority: 2}
"""
VIT = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 16,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models_of_both.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("goal", "code"), [("10000", 0), ("10", 5)])
def test_loaders_and_two_inputs_go_to_a_bundle_and_hard_goals_to_the_exit_code(
    here: Path, goal: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "recipe.yaml").write_text(RECIPE.replace("GOAL", goal))
    arguments = ["compress", "recipe.yaml", "--out", "out", "--no-cache", "-o", "json"]
    assert run(arguments, environ={"EDGECTL_HOME": str(here / "home")}) == code
    shown = json.loads(capsys.readouterr().out)
    assert [outcome["held"] for outcome in shown["goals"]] == [True, code == 0, False]
    assert shown["stages"][-1]["metrics"]["accuracy"] > 0.7
    assert shown["stages"][-1]["download_bytes"] > 0
    with open_bundle(Path(shown["bundle"])) as bundle:
        bundle.verify()
        assert [len(one.shape) for one in bundle.info.manifest.inputs] == [2, 2]
        assert bundle.info.manifest.labels == ("no", "yes", "never")
    assert json.loads((here / "out" / "stages.json").read_text())["goals"] == shown["goals"]


def test_schema_is_printed_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compress", "--schema"], environ={}) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "edgectl recipe"
    assert run(["compress"], environ={}) == 2


def test_unknown_key_of_a_data_function_is_told_with_the_nearest(here: Path) -> None:
    text = RECIPE.replace("GOAL", "10").replace("both:load", "both:load_wrong")
    with pytest.raises(DatasetError, match="'evalaution'; expected 'evaluation'"):
        prepare(parse_recipe(text, source="r"))
    assert here.is_dir()


def test_transformers_model_from_a_configuration(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps(VIT))
    for path in (tmp_path, tmp_path / "config.json"):
        model = build_model(f"hf:{path}", {"num_labels": 5}, seed=1)
        again = build_model(f"hf:{path}", {"num_labels": 5}, seed=1)
        with torch.no_grad():
            logits = model(torch.zeros(1, 3, 32, 32)).logits
            assert torch.equal(logits, again(torch.zeros(1, 3, 32, 32)).logits)
        assert logits.shape == (1, 5)


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("{", UsageError, "is not JSON"),
        ("{}", UsageError, "has no model_type"),
        (json.dumps({**VIT, "architectures": ["ViTForEverything"]}), UsageError, "no 'ViTForEverything'"),
        (json.dumps({**VIT, "architectures": ["__loader__"]}), EdgectlError, "__loader__"),
        (json.dumps({**VIT, "hidden_size": "wide"}), CompileError, "transformers cannot make it"),
    ],
)
def test_wrong_configuration_is_one_message(tmp_path: Path, text: str, kind: type[EdgectlError], part: str) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(kind, match=part) as caught:
        build_model(f"hf:{tmp_path}", {}, seed=0)
    assert "\n" not in str(caught.value)
