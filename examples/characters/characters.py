# SPDX-License-Identifier: Apache-2.0
"""Printed characters of fonts that no training image shows: synthetic data, rendered here and cached.

Classes that print alike in many fonts are one: 0 with O and o, 1 with I and l, small letters with the capitals that
only differ in size. A recipe names `examples.characters.characters:load_data` and a model of `networks.py` beside it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from edgectl.config import paths_from_environment
from edgectl_protos.errors import DatasetError
from PIL import ImageFont

from examples.characters.fonts import INSTALL, Face, find_faces, held_out
from examples.characters.glyphs import SIDE, Appearance, draw_glyph

CLASSES = (
    *("0Oo", "1Il", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "Cc", "D", "E", "F", "G", "H", "Jj", "Kk", "L"),
    *("M", "N", "Pp", "Q", "R", "Ss", "T", "Uu", "Vv", "Ww", "Xx", "Yy", "Zz", "a", "b", "d", "e", "f", "g", "h", "i"),
    *("m", "n", "q", "r", "t"),
)
LABELS = tuple(characters[0] for characters in CLASSES)
TRAIN_ITEMS, TEST_ITEMS = 60_000, 20_000
HELD_OUT_ONE_IN = 4
_LEAST_FAMILIES = 4
_RENDERING = 1  # raised whenever the same faces would give other images


def load_data(*, train_items: int = TRAIN_ITEMS, test_items: int = TEST_ITEMS, seed: int = 0) -> dict[str, object]:
    """Train and test splits: inputs float32 [N, 1, 32, 32] in -1 to 1, targets int64 [N].

    The test images are of font families that are in no training image.

    Raises:
        DatasetError: too few fonts are installed; it says which packages have them.
    """
    faces = find_faces("".join(CLASSES))
    held = [face for face in faces if held_out(face.family, one_in=HELD_OUT_ONE_IN)]
    shown = [face for face in faces if face not in held]
    for what, side in (("train on", shown), ("test on", held)):
        families = {face.family for face in side}
        if len(families) < _LEAST_FAMILIES:
            raise DatasetError(
                f"{len(families)} font families to {what}", expected=f"at least {_LEAST_FAMILIES}", action=INSTALL
            )
    train = _rendered(shown, train_items, seed=2 * seed)
    test = _rendered(held, test_items, seed=2 * seed + 1)
    return {
        "train_inputs": _scaled(train["images"]),
        "train_targets": train["targets"],
        "test_inputs": _scaled(test["images"]),
        "test_targets": test["targets"],
        "labels": list(LABELS),
    }


def render(faces: Sequence[Face], items: int, *, seed: int) -> dict[str, npt.NDArray[np.generic]]:
    """`images` uint8 [items, 32, 32] and `targets` int64 [items]: classes in turn, faces and appearance at random."""
    rng = np.random.default_rng(seed)
    images = np.empty((items, SIDE, SIDE), dtype=np.uint8)
    targets = np.arange(items, dtype=np.int64) % len(CLASSES)
    sized: dict[tuple[Path, int], ImageFont.FreeTypeFont] = {}
    for index, target in enumerate(targets):
        face = faces[int(rng.integers(len(faces)))]
        characters = CLASSES[int(target)]
        look = Appearance.drawn(rng)
        key = (face.path, look.size)
        if key not in sized:
            sized[key] = ImageFont.truetype(face.path, look.size)
        images[index] = draw_glyph(sized[key], characters[int(rng.integers(len(characters)))], look, rng)
    return {"images": images, "targets": targets}


def _rendered(faces: Sequence[Face], items: int, *, seed: int) -> Mapping[str, npt.NDArray[np.generic]]:
    """As `render`, kept below edgectl's cache under the digest of all that it depends on."""
    digest = hashlib.sha256(repr((_RENDERING, CLASSES, items, seed)).encode())
    for face in faces:
        digest.update(face.path.read_bytes())
    folder = paths_from_environment(os.environ).cache / "examples" / "characters"
    path = folder / f"{digest.hexdigest()[:32]}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial.npz")
        np.savez(partial, **render(faces, items, seed=seed))  # type: ignore[arg-type]
        partial.replace(path)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in ("images", "targets")}


def _scaled(images: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = (images.astype(np.float32) / 127.5 - 1.0)[:, np.newaxis]
    return scaled
