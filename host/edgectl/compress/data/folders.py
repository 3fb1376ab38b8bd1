# SPDX-License-Identifier: Apache-2.0
"""A folder of images, sounds or arrays as splits: `train` and `test` hold a folder for each label, or an .npz each.

Images become float32 [channels, height, width] from 0 to 1, sounds float32 [1, samples] from -1 to 1; all files of a
folder have one form. An .npz holds `inputs` and `targets`; a file `labels.txt` beside them names the classes.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
from edgectl_protos.errors import DatasetError

from edgectl.compress.data.splits import DataSplits, check_splits
from edgectl.compress.reasons import first_line

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"})
PARTS = ("train", "test")
MOST_FILES = 1_000_000
MOST_PIXELS = 64_000_000
Floats = npt.NDArray[np.float32]


def load_folder_splits(folder: Path) -> DataSplits:
    """The splits in a folder.

    Raises:
        DatasetError: there is no such folder, it has another form, or a file cannot be read or has another shape.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder", expected="one that holds train and test")
    archives = {part: folder / f"{part}.npz" for part in PARTS}
    if all(path.is_file() for path in archives.values()):
        return _from_archives(folder, archives)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise DatasetError(
            f"{folder} has no {' and no '.join(missing)}",
            expected="the folders train and test, or train.npz and test.npz",
        )
    labels = sorted(entry.name for entry in (folder / PARTS[0]).iterdir() if entry.is_dir())
    if not labels:
        raise DatasetError(f"{folder / PARTS[0]} holds no folders", expected="a folder of files for each label")
    value: dict[str, object] = {"labels": labels}
    for part in PARTS:
        value[f"{part}_inputs"], value[f"{part}_targets"] = _from_files(folder / part, labels)
    return check_splits(value, source=str(folder))


def _from_archives(folder: Path, archives: dict[str, Path]) -> DataSplits:
    value: dict[str, object] = {}
    classes = 0
    for part, path in archives.items():
        try:
            with np.load(path, allow_pickle=False) as archive:
                inputs, targets = np.asarray(archive["inputs"]), np.asarray(archive["targets"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            seen = f"{path} cannot be read: {first_line(error)}"
            raise DatasetError(seen, expected="arrays `inputs` and `targets`") from error
        if not np.issubdtype(targets.dtype, np.integer) or not targets.size:
            raise DatasetError(f"{path}: targets are {targets.dtype} {list(targets.shape)}", expected="class indices")
        value[f"{part}_inputs"] = inputs.astype(np.float32) if np.issubdtype(inputs.dtype, np.floating) else inputs
        value[f"{part}_targets"] = targets.astype(np.int64)
        classes = max(classes, int(targets.max()) + 1)
    named = folder / "labels.txt"
    value["labels"] = (
        [line.strip() for line in named.read_text("utf-8").splitlines() if line.strip()]
        if named.is_file()
        else [str(index) for index in range(classes)]
    )
    return check_splits(value, source=str(folder))


def _from_files(folder: Path, labels: list[str]) -> tuple[Floats, npt.NDArray[np.int64]]:
    unknown = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name not in labels)
    if unknown:
        raise DatasetError(f"{folder} has a label {unknown[0]!r} that train has not", expected="the labels of train")
    items: list[Floats] = []
    targets: list[int] = []
    first: Path | None = None
    for index, label in enumerate(labels):
        here = folder / label
        for path in sorted(here.iterdir()) if here.is_dir() else ():
            item = _item(path)
            first = first or path
            if items and item.shape != items[0].shape:
                raise DatasetError(
                    f"{path} is {list(item.shape)} and {first} is {list(items[0].shape)}", expected="one shape for all"
                )
            items.append(item)
            targets.append(index)
            if len(items) > MOST_FILES:
                raise DatasetError(f"{folder} holds more than {MOST_FILES} files", action="write an entry point")
    if not items:
        raise DatasetError(f"{folder} holds no files", expected="images or .wav files in a folder for each label")
    return np.stack(items), np.array(targets, dtype=np.int64)


def _item(path: Path) -> Floats:
    suffix = path.suffix.lower()
    try:
        if suffix in IMAGES:
            return _image(path)
        if suffix == ".wav":
            return _sound(path)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"{path} cannot be read: {first_line(error)}", expected="an image or a PCM sound") from error
    raise DatasetError(f"{path} is neither an image nor a .wav", expected=f"one of {', '.join(sorted(IMAGES))}, .wav")


def _image(path: Path) -> Floats:
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError("images need pillow, which is not installed", action="pip install pillow") from error
    with Image.open(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise DatasetError(f"{path} has {image.width} x {image.height} pixels", expected=f"at most {MOST_PIXELS}")
        read = image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")
        pixels: Floats = np.divide(np.asarray(read), 255, dtype=np.float32)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _sound(path: Path) -> Floats:
    with wave.open(str(path), "rb") as sound:
        if sound.getsampwidth() != 2 or sound.getnchannels() != 1:
            form = f"{8 * sound.getsampwidth()} bit, {sound.getnchannels()} channels"
            raise DatasetError(f"{path} is {form}", expected="16 bit PCM, one channel")
        data = sound.readframes(sound.getnframes())
    samples: Floats = np.divide(np.frombuffer(data, dtype="<i2"), 32768, dtype=np.float32)
    return samples[None]
