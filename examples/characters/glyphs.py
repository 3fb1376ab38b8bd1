# SPDX-License-Identifier: Apache-2.0
"""One character of one face as a small grey image, turned, moved, blurred and soiled as a camera would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

SIDE = 32
_CANVAS = 48  # turned before it is cut out, so that no corner is lost
_NEAR, _FAR = 18, 26


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a character is shown: type size in pixels, turn in degrees, offset in pixels, contrast, noise (of 1)."""

    size: int
    turn: float
    across: float
    down: float
    contrast: float
    noise: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Appearance:
        """One at random."""
        return cls(
            size=int(rng.integers(_NEAR, _FAR + 1)),
            turn=float(rng.normal(0.0, 6.0)),
            across=float(rng.uniform(-3.0, 3.0)),
            down=float(rng.uniform(-3.0, 3.0)),
            contrast=float(rng.uniform(0.4, 1.0)),
            noise=float(rng.uniform(0.02, 0.15)),
        )


def draw_glyph(
    font: ImageFont.FreeTypeFont, character: str, look: Appearance, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Grey levels uint8 [SIDE, SIDE] of `font` (of the look's size); ink is bright."""
    image = Image.new("L", (_CANVAS, _CANVAS), 0)
    # Every character stands on one baseline, so that o and O differ in size as they do in print.
    position = (_CANVAS / 2 + look.across, _CANVAS / 2 + look.size * 0.36 + look.down)
    ImageDraw.Draw(image).text(position, character, font=font, fill=255, anchor="ms")
    turned = image.rotate(look.turn, resample=Image.Resampling.BILINEAR)
    margin = (_CANVAS - SIDE) // 2
    ink = np.asarray(turned, dtype=np.float32)[margin : margin + SIDE, margin : margin + SIDE] / 255.0
    soiled = 0.5 + (ink - 0.5) * look.contrast + rng.normal(0.0, look.noise, ink.shape)
    return np.clip(np.round(soiled * 255.0), 0, 255).astype(np.uint8)
