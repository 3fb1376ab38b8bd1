# SPDX-License-Identifier: Apache-2.0
"""A user's data and entry points: what is accepted, and one message for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgectl.cli.main import Terminated
from edgectl.compress.data import DataSplits, check_splits, load_splits
from edgectl.compress.entry_points import call_entry_point, load_entry_point
from edgectl_protos.errors import DatasetError, UsageError


def good() -> dict[str, Any]:
    return {
        "train_inputs": np.zeros((6, 1, 4, 4), dtype=np.float32),
        "train_targets": np.array([0, 1, 2, 0, 1, 2]),
        "test_inputs": torch.zeros(3, 1, 4, 4),
        "test_targets": torch.tensor([0, 1, 2]),
        "labels": ["a", "b", "c"],
    }


def test_arrays_and_tensors_become_tensors() -> None:
    splits = check_splits(good(), source="s")
    assert splits.train_inputs.dtype == torch.float32
    assert splits.train_targets.dtype == torch.int64
    assert splits.labels == ("a", "b", "c")
    assert check_splits(splits, source="s").train_inputs.shape == (6, 1, 4, 4)


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("train_inputs", np.zeros((6, 1, 4, 4)), "torch.float64"),
        ("train_inputs", np.zeros((5, 1, 4, 4), dtype=np.float32), "train_targets have shape [6]"),
        ("train_inputs", np.zeros((6, 1, 4, 5), dtype=np.float32), "one shape for both"),
        ("train_inputs", np.full((6, 1, 4, 4), np.nan, dtype=np.float32), "NaN"),
        ("train_inputs", np.full((6, 1, 4, 4), np.inf, dtype=np.float32), "infinity"),
        ("train_inputs", [[0.0]], "is a list"),
        ("train_inputs", np.array([["a"]]), "array of <U1"),
        ("test_inputs", torch.zeros(0, 1, 4, 4), "not empty"),
        ("test_targets", torch.tensor([0, 1, 3]), "0 to 2"),
        ("test_targets", torch.tensor([0, -1, 2]), "from -1"),
        ("test_targets", torch.tensor([0.0, 1.0, 2.0]), "torch.int64"),
        ("test_targets", torch.tensor([[0, 1, 2]]), "[3], one per item"),
        ("labels", [], "labels"),
        ("labels", "abc", "labels"),
    ],
)
def test_wrong_data_is_one_dataset_error(key: str, value: object, part: str) -> None:
    with pytest.raises(DatasetError) as caught:
        check_splits({**good(), key: value}, source="pkg:load")
    message = str(caught.value)
    assert part in message
    assert "pkg:load" in message
    assert "\n" not in message


def test_missing_key_is_named() -> None:
    value = good()
    del value["test_targets"]
    with pytest.raises(DatasetError, match="returned no test_targets"):
        check_splits(value, source="s")


@pytest.fixture
def user_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory for a user's modules."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_beside_the_recipe_are_found(user_code: Path) -> None:
    (user_code / "my_found_data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x, y = np.zeros((2, 3), np.float32), np.array([0, 1])\n"
        "    return dict(train_inputs=x, train_targets=y, test_inputs=x, test_targets=y, labels=['a', 'b'])\n",
        encoding="utf-8",
    )
    assert isinstance(load_splits("my_found_data:load"), DataSplits)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("my_data_faults:lod", "expected 'load' (known: "),
        ("my_data_faults:value", "is a int"),
        ("my_data_faults:load", "raised OSError: no such disk"),
        ("my_data_faults:nothing", "returned a NoneType"),
        ("my_data_nowhere:load", "no module 'my_data_nowhere'"),
        ("my_data_broken:load", "ZeroDivisionError"),
        ("my_data_leaving:load", "importing my_data_leaving failed: SystemExit: 3"),
        ("my_data_faults:leave", "raised SystemExit: no licence"),
    ],
)
def test_entry_point_that_fails_is_one_dataset_error(user_code: Path, spec: str, part: str) -> None:
    (user_code / "my_data_faults.py").write_text(
        "value = 3\ndef load():\n    raise OSError('no such disk\\nat all')\ndef nothing():\n    return None\n"
        "def leave():\n    raise SystemExit('no licence')\n",
        encoding="utf-8",
    )
    (user_code / "my_data_broken.py").write_text("1 / 0\n", encoding="utf-8")
    (user_code / "my_data_leaving.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load_splits(spec)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_interrupt_in_a_users_code_stays_an_interrupt(user_code: Path) -> None:
    (user_code / "my_data_waiting.py").write_text("def load():\n    raise KeyboardInterrupt\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        load_splits("my_data_waiting:load")


def test_signal_that_ends_the_process_is_not_the_users_fault() -> None:
    def load() -> None:
        raise Terminated(143)

    with pytest.raises(Terminated):
        call_entry_point(load, "pkg:load", {}, failure=DatasetError)


@pytest.mark.parametrize("spec", ["", "pkg", "pkg:", ":load", "pkg:a.b", "pkg:load()"])
def test_malformed_entry_point_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError, match=r"package\.module:function"):
        load_entry_point(spec)


def test_search_path_is_left_as_it_was(user_code: Path) -> None:
    import sys

    before = list(sys.path)
    with pytest.raises(UsageError):
        load_entry_point("my_data_nowhere:load")
    assert sys.path == before
    assert str(user_code) not in sys.path
