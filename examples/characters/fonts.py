# SPDX-License-Identifier: Apache-2.0
"""The scalable fonts of this machine, by family: those that have every character asked for, each drawn its own way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import ImageFont

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_PACKAGES = (
    "fonts-dejavu-core fonts-dejavu-extra fonts-liberation fonts-freefont-ttf fonts-crosextra-carlito "
    "fonts-crosextra-caladea fonts-open-sans fonts-cantarell fonts-comfortaa fonts-quicksand fonts-inconsolata "
    "fonts-hack fonts-jetbrains-mono fonts-linuxlibertine fonts-oldstandard fonts-cabin fonts-courier-prime "
    "fonts-comic-neue fonts-dosis fonts-junction fonts-lobstertwo fonts-play fonts-quattrocento "
    "fonts-sil-gentium-basic fonts-sil-andika fonts-urw-base35 fonts-averia-sans-gwf fonts-averia-serif-gwf "
    "fonts-adf-accanthis fonts-adf-baskervald fonts-adf-gillius fonts-adf-libris fonts-adf-romande "
    "fonts-adf-universalis fonts-paratype fonts-fantasque-sans fonts-tuffy fonts-jura fonts-dustin fonts-go "
    "fonts-b612 fonts-opendyslexic fonts-prociono fonts-goudybookletter fonts-fanwood fonts-essays1743 "
    "fonts-clear-sans fonts-oxygen fonts-monofur fonts-mononoki fonts-league-mono fonts-roboto-slab "
    "fonts-yanone-kaffeesatz fonts-ocr-a fonts-ocr-b fonts-breip"
)
INSTALL = f"sudo apt-get install --no-install-recommends {_PACKAGES}"
"""The Debian packages that the figures in README.md were made with."""

_SYMBOLS = 3  # OpenType's encoding of a font whose letters are pictures
_NOT_LETTERS = ("dingbats", "d050000l", "symbol")  # Latin code points, and pictures or Greek in their places
_UNLIKE_CAPITALS = "abdeghmnqrt"
_ALIKE = 0.95
_LARGE = 48
_HALF = 0.5


@dataclass(frozen=True, slots=True, order=True)
class Face:
    """One font file and the family it says it is of."""

    family: str
    path: Path


def find_faces(characters: str, folders: Iterable[Path] = FOLDERS) -> tuple[Face, ...]:
    """Every face below `folders` that has all of `characters`, by family and file."""
    files = {path for folder in folders for suffix in ("ttf", "otf") for path in folder.rglob(f"*.{suffix}")}
    found = (_face(path, characters) for path in files)
    return tuple(sorted(face for face in found if face is not None))


def held_out(family: str, *, one_in: int) -> bool:
    """Whether a family is kept for testing: a property of its name, whatever else is installed."""
    return hashlib.sha256(family.encode()).digest()[0] % one_in == 0


def _face(path: Path, characters: str) -> Face | None:
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True) as font:
            tables = font["cmap"].tables
            mapping = font.getBestCmap() or {}
            family = font["name"].getBestFamilyName()
    except (TTLibError, OSError, KeyError, AssertionError):
        return None
    pictures = any(table.platformID == _SYMBOLS and table.platEncID == 0 for table in tables)
    named = str(family or "").lower()
    if pictures or not named or any(part in named for part in _NOT_LETTERS):
        return None
    if any(ord(character) not in mapping for character in characters):
        return None
    return Face(str(family), path) if has_small_letters(path) and not has_boxes(path) else None


def has_small_letters(path: Path) -> bool:
    """Whether small letters have shapes of their own: in a font of small capitals a "b" is a "B"."""
    from PIL import ImageFont

    font = ImageFont.truetype(path, _LARGE)
    same = sum(_likeness(_shape(font, letter), _shape(font, letter.upper())) > _ALIKE for letter in _UNLIKE_CAPITALS)
    return same <= len(_UNLIKE_CAPITALS) // 3


def has_boxes(path: Path) -> bool:
    """Whether each character stands in a frame or on a plate: the corners of an "o" are never inked."""
    from PIL import ImageFont

    shape = _shape(ImageFont.truetype(path, _LARGE), "o")
    corners = (shape[0, 0], shape[0, -1], shape[-1, 0], shape[-1, -1])
    return sum(float(corner) > _HALF for corner in corners) > 1


def _shape(font: ImageFont.FreeTypeFont, character: str) -> npt.NDArray[np.float32]:
    """The character's own rectangle, stretched to float32 [16, 16] in 0 to 1."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (3 * _LARGE, 3 * _LARGE), 0)
    ImageDraw.Draw(image).text((_LARGE, _LARGE), character, font=font, fill=255)
    inked = image.getbbox()
    shape = (image if inked is None else image.crop(inked)).resize((16, 16), resample=Image.Resampling.BOX)
    return np.asarray(shape, dtype=np.float32) / 255.0


def _likeness(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """The cosine between two shapes; 0 where one is empty."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / lengths if lengths else 0.0
