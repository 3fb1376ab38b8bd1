# SPDX-License-Identifier: Apache-2.0
"""compress, lower and search as they are typed, on a model of a few hundred weights and the local agent."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from edgectl.cli.main import run
from edgectl.lab.client import AgentClient
from edgectl.lower.golden import npy_bytes

COMMAND = [sys.executable, "-c", "import sys; from edgectl.cli.main import main; sys.exit(main())"]

MODULE = """
import torch

def build_model(*, width=8):
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))

def load_data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(96, 4, generator=generator)
    targets = (inputs[:, 0] > 0).long()
    return {"train_inputs": inputs[:64], "train_targets": targets[:64], "test_inputs": inputs[64:],
            "test_targets": targets[64:], "labels": ["no", "yes"]}

def build_failing(*, width):
    raise ValueError("no such width")

def build_unexportable():
    class Branches(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x
    return Branches()
"""
RECIPE = """
version: 1
name: tiny
model: tinymodel:build_model
data: tinymodel:load_data
stages:
  - finetune: {epochs: 1, learning_rate: 0.01, batch_size: 32}
"""
STUDY = """
version: 1
name: tinystudy
model: tinymodel:build_model
data: tinymodel:load_data
candidates: 2
sampler: {kind: random}
stages:
  - finetune: {epochs: 1, learning_rate: 0.01, batch_size: 32}
space:
  model.width: {integers: [4, 8], step: 4}
"""

NPY = npy_bytes(np.zeros((1, 4), np.float32))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left on its two streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Edgectl = Callable[..., Answer]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, and the current one: a module with a model and data, a recipe, a study file."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tinymodel.py").write_text(MODULE)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "leaving.py").write_text("import sys; sys.exit(3)")
    (folder / "x.npy").write_bytes(NPY)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


@pytest.fixture
def edgectl(capsys: pytest.CaptureFixture[str]) -> Edgectl:
    """The entry point in this process: torch is imported once for all tests."""

    def call(*words: str) -> Answer:
        code = run(words, environ=os.environ)
        return Answer(code, *capsys.readouterr())

    return call


def test_recipe_becomes_a_bundle_timed_on_the_device(project: Path, edgectl: Edgectl) -> None:
    answer = edgectl("compress", "recipe.yaml", "--on", "local", "--out", "out", "-o", "json")
    ran = answer.document
    assert [stage["name"] for stage in ran["stages"]] == ["baseline", "finetune"]
    assert all(stage["p50_ms"] > 0 for stage in ran["stages"])
    bundle = project / ran["bundle"]
    assert {path.name for path in (project / "out").iterdir()} == {bundle.name, "model.pte", "stages.json"}
    assert answer.err.splitlines()[0] == "recipe tiny: target generic, seed 0"
    assert "finetune: done in" in answer.err
    assert edgectl("inspect", str(bundle), "-o", "json").document["digest"] == ran["digest"]
    for stage in (ran["stages"][-1], json.loads((project / "out" / "stages.json").read_text())["stages"][-1]):
        assert stage["delegated"]["aten.linear.default"] == 2
        assert stage["undelegated"] == {}


def test_model_as_it_is_becomes_a_bundle(project: Path, edgectl: Edgectl) -> None:
    other = "x86_64" if os.uname().machine == "aarch64" else "aarch64"
    words = ["--data", "tinymodel:load_data", "--name", "tiny", "--argument", "width=4", "--target", other]
    answer = edgectl("lower", "tinymodel:build_model", *words)
    assert answer.code == 0, answer.err
    assert "baseline" in answer.out
    assert "3 of 3 compute operators are in a delegate" in answer.out
    assert "inside      2  aten.linear.default" in answer.out
    bundle = next((project / "tiny").glob("tiny-*.edge"))
    document = edgectl("inspect", str(bundle), "-o", "json").document
    assert document["requirements"]["architectures"] == [other]
    assert document["labels"] == ["no", "yes"]

    refused = edgectl("deploy", str(bundle), "--on", "local", "-o", "json")
    assert refused.code == 1
    assert json.loads(refused.out)["error"]["code"] == "bundle_incompatible"
    assert edgectl("device", "show", "local", "-o", "json").document["models"] == []


def test_search_writes_its_front_and_goes_on_from_what_it_has(project: Path, edgectl: Edgectl) -> None:
    words = ["search", "study.yaml", "--on", "local", "--out", "found", "-o", "json"]
    first = edgectl(*words, "--candidates", "1").document
    assert {"front.html", "front.png", "front.json"} <= {path.name for path in (project / "found").iterdir()}

    again = edgectl(*words)
    assert [entry["candidate"] for entry in again.document["candidates"]] == [0, 1]
    assert again.document["candidates"][0] == first["candidates"][0]
    assert json.loads((project / "found" / "front.json").read_text()) == again.document
    assert "candidate 0 ..." not in again.err


def test_search_that_runs_out_of_genomes_says_so(project: Path, edgectl: Edgectl) -> None:
    answer = edgectl("search", "study.yaml", "--on", "local", "--out", "found", "--candidates", "5", "-o", "json")
    document = answer.document
    assert document["exhausted"] is True
    assert document["message"] == "the search space is exhausted: all of its 2 genomes have been evaluated"
    assert document["message"] in answer.err
    assert len(document["candidates"]) == 2
    assert json.loads((project / "found" / "front.json").read_text()) == document


def test_study_is_not_continued_on_a_device_of_the_same_name_with_another_processor(
    project: Path, edgectl: Edgectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["search", "study.yaml", "--on", "local", "--out", "found"]
    assert edgectl(*words, "--candidates", "1").code == 0
    hello = AgentClient.hello
    monkeypatch.setattr(AgentClient, "hello", lambda client: dataclasses.replace(hello(client), cpu_model="another"))
    monkeypatch.setattr(AgentClient, "info", property(lambda client: client.hello()))
    before = (project / "found" / "study.journal").read_bytes()
    answer = edgectl(*words)
    assert answer.code == 2
    assert "differs in its settings: device was " in answer.err
    assert (project / "found" / "study.journal").read_bytes() == before


def test_search_whose_every_candidate_fails_says_why(project: Path, edgectl: Edgectl) -> None:
    (project / "study.yaml").write_text(STUDY.replace("build_model", "build_failing"))
    answer = edgectl("search", "study.yaml", "--on", "local", "--out", "found", "-o", "json")
    assert answer.code == 1
    error = json.loads(answer.out)["error"]
    assert error["code"] == "compile_failed"
    assert "all 2 candidates failed; the last: " in error["seen"]
    assert "no such width" in error["seen"]
    assert len(json.loads((project / "found" / "front.json").read_text())["failed"]) == 2
    assert not (project / "found" / "front.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["compress", "absent.yaml"], 2, "absent.yaml"),
        (["compress", "recipe.yaml", "--on", "nowhere"], 2, "no device 'nowhere'"),
        (["compress", "recipe.yaml", "--protocol", "shrot"], 2, "'short'"),
        (["lower", "tinymodel:build_modl", "--data", "tinymodel:load_data", "--name", "x"], 2, "'build_model'"),
        (["lower", "tinymodel:build_model", "--data", "tinymodel:lod", "--name", "x"], 1, "'load_data'"),
        (["lower", "tinymodel:build_model", "--data", "tinymodel:load_data", "--name", "x", "--target", "arch64"], 2,
         "aarch64"),
        (["lower", "tinymodel:build_unexportable", "--data", "tinymodel:load_data", "--name", "x"], 1, "export"),
        (["lower", "tinymodel:build_model", "--data", "tinymodel:load_data", "--name", "x", "--argument", "w"], 2,
         "NAME=VALUE"),
        (["search", "recipe.yaml", "--on", "local", "--out", "found"], 2, "space"),
        (["search", "study.yaml", "--on", "nowhere", "--out", "found"], 2, "no device 'nowhere'"),
        (["search", "study.yaml", "--on", "127.0.0.1:9", "--out", "found/it"], 2, "127.0.0.1:9"),
        (["infer", "tiny", "--on", "nowhere", "--input", "x.npy", "--output-dir", "given"], 2, "no device 'nowhere'"),
        (["lower", "leaving:build", "--data", "tinymodel:load_data", "--name", "x"], 2, "SystemExit: 3"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_leaves_no_files(
    words: list[str], code: int, said: str, project: Path, edgectl: Edgectl
) -> None:
    before = set(project.iterdir())
    answer = edgectl(*words)
    assert answer.code == code, answer.err
    assert answer.out == ""
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert "defect" not in last
    assert [path for path in set(project.iterdir()) - before if path.name != "__pycache__"] == []


def test_unknown_recipe_key_names_the_nearest_and_the_line(project: Path, edgectl: Edgectl) -> None:
    (project / "recipe.yaml").write_text(RECIPE.replace("epochs", "epohcs"))
    answer = edgectl("compress", "recipe.yaml", "-o", "json")
    assert answer.code == 2
    assert json.loads(answer.out)["error"]["code"] == "usage"
    assert "recipe.yaml line 7: unknown key 'epohcs'" in answer.err
    assert "'epochs'" in answer.err


def test_interrupted_compress_leaves_no_process_and_no_files(project: Path) -> None:
    (project / "recipe.yaml").write_text(RECIPE.replace("epochs: 1", "epochs: 10000"))
    process = subprocess.Popen(
        [*COMMAND, "compress", "recipe.yaml", "--on", "local", "--out", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while line := process.stderr.readline():
        if line == "finetune ...\n":
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "interrupted"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not (project / "out").exists()
