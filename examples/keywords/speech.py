# SPDX-License-Identifier: Apache-2.0
"""Spoken words from Debian's speech engines: espeak-ng in several accents and voices, and flite as another engine."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from edgectl_protos.errors import DatasetError

RATE = 16_000
"""Samples a second of every waveform here."""

TRAINING_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbcwmd")
HELD_OUT_ACCENTS = ("en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-us-nyc")
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "adam", "Alex", "Andrea", "Andy"),
    *("Annie", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "Gene", "Jacky", "linda", "marcelo"),
    *("max", "Michael", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor"),
)
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
INSTALL = "sudo apt-get install espeak-ng flite"
_SYNTHESIS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: an engine, its voice, the pace (words a minute of espeak-ng, stretch of flite) and the pitch."""

    engine: str
    name: str
    pace: float
    pitch: int


def say(word: str, voice: Voice) -> npt.NDArray[np.float32]:
    """The word as float32 [samples] at `RATE`, its largest value 1.

    Raises:
        DatasetError: the engine is missing, fails, or says nothing.
    """
    program = shutil.which(voice.engine)
    if program is None:
        raise DatasetError(f"{voice.engine} is not installed", expected="both speech engines", action=INSTALL)
    if voice.engine == "espeak-ng":
        pace = str(round(voice.pace))
        command = [program, "--stdout", "-v", voice.name, "-s", pace, "-p", str(voice.pitch), word]
    else:
        stretch = f"duration_stretch={voice.pace:g}"
        command = [program, "-voice", voice.name, "--setf", stretch, "-t", word, "-o", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, timeout=_SYNTHESIS_SECONDS, check=False)
    samples, rate = _samples(done.stdout)
    if done.returncode != 0 or not len(samples) or not np.any(samples):
        said = done.stderr.decode(errors="replace").strip()[:120]
        raise DatasetError(f"{voice.engine} did not say {word!r} as {voice.name} ({said})", action=INSTALL)
    return _resampled(_trimmed(samples), rate)


def _samples(data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """The first channel of a 16-bit WAV that was streamed, so that its header may not know its length."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            channels, rate = sound.getnchannels(), sound.getframerate()
            frames = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError):
        return np.empty(0, np.float32), RATE
    whole = frames[: len(frames) // (2 * channels) * 2 * channels]
    return np.frombuffer(whole, dtype="<i2")[::channels].astype(np.float32), rate


def _trimmed(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Without the silence around the word."""
    loud = np.nonzero(np.abs(samples) > 0.02 * np.abs(samples).max())[0]
    return samples[loud[0] : loud[-1] + 1]


def _resampled(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, RATE)
    changed = resample_poly(samples, RATE // common, rate // common) if rate != RATE else samples
    scaled: npt.NDArray[np.float32] = (changed / max(float(np.abs(changed).max()), 1e-6)).astype(np.float32)
    return scaled
