# SPDX-License-Identifier: Apache-2.0
"""Folders of images, sounds and arrays as splits, and what a wrong one is told."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgectl.compress.data import load_splits
from edgectl.compress.data.overlap import split_notes
from edgectl_protos.errors import DatasetError
from PIL import Image


def image(path: Path, value: int = 255, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def sound(path: Path, samples: int = 100, width: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16000)
        file.writeframes(b"\x00\x40"[:width] * samples)


def images(folder: Path) -> None:
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            image(folder / part / label / "1.png", 255 if part == "train" else 51)


def test_folder_of_images(tmp_path: Path) -> None:
    images(tmp_path)
    data = load_splits(f"folder:{tmp_path}")
    assert data.labels == ("cat", "dog")
    assert data.train_inputs.shape == (2, 3, 4, 6)
    assert float(data.test_inputs.max()) == pytest.approx(0.2)
    assert data.test_targets.tolist() == [0, 1]


def test_folder_of_sounds(tmp_path: Path) -> None:
    for part in ("train", "test"):
        sound(tmp_path / part / "yes" / "a.wav")
    data = load_splits(f"folder:{tmp_path}")
    assert data.train_inputs.shape == (1, 1, 100)
    assert float(data.train_inputs[0, 0, 0]) == 0.5


def test_folder_of_arrays(tmp_path: Path) -> None:
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", inputs=np.ones((4, 3)), targets=np.array([0, 1, 0, 1], dtype=np.int32))
    data = load_splits(f"folder:{tmp_path}")
    assert (data.labels, data.train_inputs.shape) == (("0", "1"), (4, 3))
    (tmp_path / "labels.txt").write_text("off\non\n")
    assert load_splits(f"folder:{tmp_path}").labels == ("off", "on")
    assert split_notes(data) == ("4 of 4 test items are training items too: keep them apart",)


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (
            lambda folder: image(folder / "train" / "dog" / "2.png", size=(6, 5)),
            r"2.png is \[3, 5, 6\] and .*\[3, 4, 6\]",
        ),
        (lambda folder: (folder / "test" / "cat" / "2.png").write_bytes(b"no image"), "2.png cannot be read"),
        (lambda folder: (folder / "test" / "cat" / "2.txt").write_text("x"), "neither an image nor"),
        (lambda folder: image(folder / "test" / "cow" / "1.png"), "a label 'cow' that train has not"),
        (lambda folder: sound(folder / "test" / "cat" / "2.wav", width=1), "8 bit, 1 channels; expected 16 bit"),
        (lambda folder: (folder / "test").rename(folder / "tset"), "has no test"),
    ],
)
def test_wrong_folder_is_one_message(tmp_path: Path, spoil: Callable[[Path], object], part: str) -> None:
    images(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DatasetError, match=part) as caught:
        load_splits(f"folder:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", inputs=np.array([object()], dtype=object), targets=np.array([0]))
    with pytest.raises(DatasetError, match="cannot be read"):
        load_splits(f"folder:{tmp_path}")


def test_missing_folder_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no folder"):
        load_splits(f"folder:{tmp_path / 'none'}")
