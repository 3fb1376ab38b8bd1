# SPDX-License-Identifier: Apache-2.0
"""Mel-frequency cepstral coefficients of one second, as MLPerf Tiny's keyword spotting takes them: 49 frames of 10.

Davis and Mermelstein 1980: windowed spectra, energies in bands of the mel scale, logarithm, cosine transform.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from examples.keywords.speech import RATE

FRAMES, COEFFICIENTS = 49, 10
_WINDOW, _STEP, _TRANSFORM = 480, 320, 512  # samples: 30 ms and 20 ms at 16 kHz
_BANDS, _LOWEST, _HIGHEST = 40, 20.0, 4000.0
_FLOOR = 1e-6


def coefficients(waves: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """float32 [N, 1, 49, 10] of waveforms float32 [N, 16000], each coefficient scaled to the order of 1."""
    starts = np.arange(FRAMES) * _STEP
    frames = waves[:, starts[:, np.newaxis] + np.arange(_WINDOW)] * np.hanning(_WINDOW).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, _TRANSFORM, axis=-1)).astype(np.float32) ** 2 / _TRANSFORM
    energies = np.log(power @ _bands().T + _FLOOR)
    cepstra: npt.NDArray[np.float32] = (energies @ _cosines().T).astype(np.float32) / 10.0
    return cepstra[:, np.newaxis]


@lru_cache(maxsize=1)
def _bands() -> npt.NDArray[np.float32]:
    """Triangles over the spectrum, float32 [bands, bins], evenly wide on the mel scale."""
    edges = _from_mel(np.linspace(_to_mel(_LOWEST), _to_mel(_HIGHEST), _BANDS + 2))
    bins = np.fft.rfftfreq(_TRANSFORM, 1 / RATE)
    low, middle, high = (edges[start : start + _BANDS, np.newaxis] for start in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    bands: npt.NDArray[np.float32] = np.maximum(np.minimum(rising, falling), 0.0).astype(np.float32)
    return bands


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float32]:
    """The first rows of the orthonormal cosine transform (type II), float32 [coefficients, bands]."""
    angles = np.pi / _BANDS * (np.arange(_BANDS) + 0.5) * np.arange(COEFFICIENTS)[:, np.newaxis]
    rows = np.cos(angles) * np.sqrt(2.0 / _BANDS)
    rows[0] /= np.sqrt(2.0)
    cosines: npt.NDArray[np.float32] = rows.astype(np.float32)
    return cosines


def _to_mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def _from_mel(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hertz: npt.NDArray[np.float64] = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return hertz
