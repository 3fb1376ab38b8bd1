# SPDX-License-Identifier: Apache-2.0
"""A result in a folder: bit for bit the same in another process, and nothing that a hostile folder can do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from edgectl.compress import Pipeline, Prune, Quantize, Result, Sparsify
from edgectl.compress.checkpoint.folder import DOCUMENT_FILE, TENSORS_FILE
from edgectl_protos.errors import BundleError, EdgectlError, UsageError
from torch import Tensor, nn

from tests.prunable_models import ITEM_SHAPE, Gated, TransformerEncoder

IMAGES = torch.randn(4, *ITEM_SHAPE, generator=torch.Generator().manual_seed(1))

RESTORE = """
import sys, torch
from safetensors.torch import load_file, save_file
from edgectl.compress import Result
result = Result.load(sys.argv[1])
inputs = load_file(sys.argv[2])["inputs"]
with torch.no_grad():
    save_file({"outputs": result.module(inputs)}, sys.argv[3])
print(len(result.stages), result.stages[-1]["name"], result.edits[-1])
"""


class Tied(nn.Module):
    """Tied weights, a constant, and a weight that lies in memory another way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(192, 192), nn.Linear(192, 192)
        self.second.weight = self.first.weight
        self.convolution = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        flat = self.second(self.first(inputs.flatten(1)).relu())
        return flat * torch.tensor([2.0]), self.convolution(inputs).mean((2, 3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Gated()
    stages = [Prune(macs=0.3), Sparsify(sparsity=0.5), Quantize("int8")]
    result = Pipeline(stages).run(model, (IMAGES[:1],), calibration=[(IMAGES,)])
    folder = tmp_path_factory.mktemp("result") / "below" / "it"
    result.save(folder)
    return result, folder


def test_pruned_sparse_quantized_model_is_restored_in_another_process_bit_for_bit(
    saved: tuple[Result, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    result, folder = saved
    save_file({"inputs": IMAGES}, tmp_path / "inputs")
    command = [sys.executable, "-c", RESTORE, str(folder), str(tmp_path / "inputs"), str(tmp_path / "outputs")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ, timeout=240).stdout
    assert told.split(maxsplit=2)[:2] == ["4", "quantize"]
    with torch.no_grad():
        assert torch.equal(load_file(tmp_path / "outputs")["outputs"], result.module(IMAGES))


def test_everything_of_a_result_comes_back(saved: tuple[Result, Path]) -> None:
    result, folder = saved
    loaded = Result.load(folder)
    assert (loaded.stages, loaded.frozen, loaded.edits) == (result.stages, result.frozen, result.edits)
    assert loaded.recipe == result.recipe
    assert loaded.state.masks.keys() == result.state.masks.keys()
    names = [node.name for node in result.state.graph.graph.nodes]
    assert [node.name for node in loaded.state.graph.graph.nodes] == names
    again = Pipeline([Prune(macs=0.2)]).run(loaded, calibration=[(IMAGES,)])
    assert again.stages[-1]["macs"] < again.stages[0]["macs"]


@pytest.mark.parametrize("kind", [Tied, TransformerEncoder])
def test_tied_weights_constants_and_layouts_survive(kind: type[nn.Module], tmp_path: Path) -> None:
    result = Pipeline([Sparsify(sparsity=0.1)]).run(kind(), (IMAGES[:1],))
    result.save(tmp_path / "r")
    loaded = Result.load(tmp_path / "r")
    wanted, given = result.module(IMAGES), loaded.module(IMAGES)
    for one, other in zip(*(torch.utils._pytree.tree_leaves(value) for value in (wanted, given)), strict=True):
        assert torch.equal(one, other)
    assert sum(p.numel() for p in loaded.state.graph.parameters()) == sum(
        p.numel() for p in result.state.graph.parameters()
    )


def test_nothing_in_a_folder_is_a_pickle(saved: tuple[Result, Path]) -> None:
    _, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == [DOCUMENT_FILE, TENSORS_FILE]
    json.loads((folder / DOCUMENT_FILE).read_text())
    assert sorted(path.name for path in folder.parent.iterdir()) == ["it"]


def test_folder_with_something_else_is_not_written_over(saved: tuple[Result, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds a result"):
        saved[0].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_missing_folder_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        Result.load(tmp_path / "none")


Change = Callable[[dict[str, Any]], object]


def first(document: dict[str, Any], operation: str) -> dict[str, Any]:
    found: dict[str, Any] = next(node for node in document["graph"]["nodes"] if node["op"] == operation)
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda d: first(d, "call_function").update(target="builtins::exec"),
        lambda d: first(d, "call_function").update(target="os.system"),
        lambda d: first(d, "call_function").update(target="aten::from_file.default"),
        lambda d: first(d, "call_function").update(target="aten::__class__.default"),
        lambda d: first(d, "call_function").update(target="higher_order::while_loop"),
        lambda d: first(d, "call_function").update(op="call_method", target="__reduce__"),
        lambda d: first(d, "call_function").update(name="import os"),
        lambda d: first(d, "call_function").update(args={"tuple": [{"node": "nobody"}]}),
        lambda d: first(d, "call_function").update(args={"exec": "print(1)"}),
        lambda d: first(d, "get_attr").update(target="__class__.__init__"),
        lambda d: first(d, "get_attr").update(target="nothing.weight"),
        lambda d: d.update(version=99),
        lambda d: d.update(example_inputs=10**9),
        lambda d: d.update(strides={"graph/nothing": [1]}),
        lambda d: d.update(quantization={"version": 1}),
        lambda d: d.update(frozen=[[1]]),
        lambda d: d.update(extra=[]),
        lambda d: d["graph"].update(outputs={"set": [None]}),
        lambda d: d["graph"].update(nodes="x"),
        lambda d: d.pop("graph"),
    ],
)
def test_hostile_document_is_refused_and_runs_nothing(
    saved: tuple[Result, Path], tmp_path: Path, change: Change
) -> None:
    _, folder = saved
    document = json.loads((folder / DOCUMENT_FILE).read_text())
    change(document)
    (tmp_path / DOCUMENT_FILE).write_text(json.dumps(document))
    (tmp_path / TENSORS_FILE).write_bytes((folder / TENSORS_FILE).read_bytes())
    with pytest.raises(EdgectlError) as caught:
        Result.load(tmp_path)
    assert isinstance(caught.value, BundleError)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", '{"version": 1}', "\x00"])
def test_text_that_is_no_document_is_refused(saved: tuple[Result, Path], tmp_path: Path, text: str) -> None:
    (tmp_path / DOCUMENT_FILE).write_text(text)
    (tmp_path / TENSORS_FILE).write_bytes((saved[1] / TENSORS_FILE).read_bytes())
    with pytest.raises(BundleError):
        Result.load(tmp_path)


def test_flipped_bit_in_the_tensors_is_found(saved: tuple[Result, Path], tmp_path: Path) -> None:
    _, folder = saved
    data = bytearray((folder / TENSORS_FILE).read_bytes())
    data[-5] ^= 4
    (tmp_path / DOCUMENT_FILE).write_bytes((folder / DOCUMENT_FILE).read_bytes())
    (tmp_path / TENSORS_FILE).write_bytes(bytes(data))
    with pytest.raises(BundleError, match="has the digest"):
        Result.load(tmp_path)


def test_tensors_that_are_none_are_refused_though_their_digest_is_right(
    saved: tuple[Result, Path], tmp_path: Path
) -> None:
    document = json.loads((saved[1] / DOCUMENT_FILE).read_text())
    data = b"\x80\x04."  # a pickle
    document["tensors_digest"] = hashlib.sha256(data).hexdigest()
    (tmp_path / DOCUMENT_FILE).write_text(json.dumps(document))
    (tmp_path / TENSORS_FILE).write_bytes(data)
    with pytest.raises(BundleError, match="not readable"):
        Result.load(tmp_path)
