# SPDX-License-Identifier: Apache-2.0
"""Ten spoken commands, other words and silence, in noise: synthetic data, synthesized here and cached.

The training words are espeak-ng's in four accents. Half of the test words are espeak-ng's in accents and voices that no
training word has, the other half another engine's (flite). A recipe names `examples.keywords.commands:load_data`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from edgectl.config import paths_from_environment

from examples.keywords.features import coefficients
from examples.keywords.speech import FLITE_VOICES, HELD_OUT_ACCENTS, RATE, TRAINING_ACCENTS, VARIANTS, Voice, say

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHER_WORDS = (
    *("bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "nine", "one", "seven", "six", "three"),
    *("tree", "two", "wow", "zero", "follow", "learn"),
)
LABELS = (*COMMANDS, "unknown", "silence")
TRAIN_UTTERANCES, TEST_UTTERANCES = 3_600, 1_200
TRAIN_ITEMS, TEST_ITEMS = 36_000, 9_600
_UNKNOWN, _SILENCE = LABELS.index("unknown"), LABELS.index("silence")
_SYNTHESIS = 1  # raised whenever the same settings would give other waveforms
_HELD_OUT_VARIANTS = VARIANTS[::4]
_TRAINING_VARIANTS = tuple(variant for variant in VARIANTS if variant not in _HELD_OUT_VARIANTS)


def load_data(
    *,
    train_items: int = TRAIN_ITEMS,
    test_items: int = TEST_ITEMS,
    train_utterances: int = TRAIN_UTTERANCES,
    test_utterances: int = TEST_UTTERANCES,
    seed: int = 0,
) -> dict[str, object]:
    """Train and test splits: inputs float32 [N, 1, 49, 10], targets int64 [N] indexing `LABELS`.

    Each utterance is used several times, moved, in another noise each time.

    Raises:
        DatasetError: a speech engine is not installed.
    """
    splits: dict[str, object] = {"labels": list(LABELS)}
    for part, items, utterances in (("train", train_items, train_utterances), ("test", test_items, test_utterances)):
        rng = np.random.default_rng((seed, part == "test"))
        kept = _kept(part, items, utterances, seed)
        if not kept.is_file():
            waves, targets = _spoken(part, utterances, rng)
            made = _in_noise(waves, targets, items, rng)
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(f".{os.getpid()}.partial.npz")
            np.savez(partial, inputs=made[0], targets=made[1])
            partial.replace(kept)
        with np.load(kept, allow_pickle=False) as archive:
            splits[f"{part}_inputs"], splits[f"{part}_targets"] = archive["inputs"], archive["targets"]
    return splits


def voices(part: str, rng: np.random.Generator, count: int) -> list[Voice]:
    """Who says each of `count` utterances of a part; no voice of the test part is in the training part."""
    chosen = []
    for index in range(count):
        if part == "test" and index % 2:
            name = FLITE_VOICES[int(rng.integers(len(FLITE_VOICES)))]
            chosen.append(Voice("flite", name, pace=round(float(rng.uniform(0.85, 1.3)), 2), pitch=0))
            continue
        accents, variants = (
            (HELD_OUT_ACCENTS, _HELD_OUT_VARIANTS) if part == "test" else (TRAINING_ACCENTS, _TRAINING_VARIANTS)
        )
        accent, variant = accents[int(rng.integers(len(accents)))], variants[int(rng.integers(len(variants)))]
        pace, pitch = float(rng.integers(120, 211)), int(rng.integers(20, 81))
        chosen.append(Voice("espeak-ng", f"{accent}+{variant}", pace, pitch))
    return chosen


def _spoken(
    part: str, utterances: int, rng: np.random.Generator
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.int64]]:
    """Waveforms of one word each, and their labels: commands and other words in turn."""
    targets = np.arange(utterances, dtype=np.int64) // 2 % (_UNKNOWN + 1)
    words = [
        OTHER_WORDS[int(rng.integers(len(OTHER_WORDS)))] if target == _UNKNOWN else COMMANDS[int(target)]
        for target in targets
    ]
    speakers = voices(part, rng, utterances)
    return [say(word, voice) for word, voice in zip(words, speakers, strict=True)], targets


def _in_noise(
    waves: Sequence[npt.NDArray[np.float32]], targets: npt.NDArray[np.int64], items: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Features and labels of `items` seconds, every class as often, 5 to 30 dB over a noise of its own each."""
    labels = np.arange(items, dtype=np.int64) % len(LABELS)
    of_class = [np.nonzero(targets == label)[0] for label in range(len(LABELS))]
    features = []
    for first in range(0, items, 1000):
        batch = np.zeros((min(1000, items - first), RATE), dtype=np.float32)
        for row, label in enumerate(labels[first : first + 1000]):
            noise = _noise(rng)
            gain = float(rng.uniform(0.1, 1.0))
            if label == _SILENCE:
                batch[row] = noise * gain * 0.3
                continue
            word = _another_speaker(waves[int(rng.choice(of_class[int(label)]))], rng)
            start = int(rng.integers(RATE - len(word) + 1))
            batch[row, start : start + len(word)] = word
            loudness = float(np.sqrt(np.mean(word**2)))
            batch[row] = gain * (batch[row] + noise * loudness * 10 ** (-float(rng.uniform(5.0, 30.0)) / 20))
        features.append(coefficients(batch))
    return np.concatenate(features), labels


def _another_speaker(word: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The word of a longer or shorter vocal tract, over a microphone of another colour; at most a second of it."""
    stretch = float(rng.uniform(0.85, 1.2))
    positions = np.arange(0.0, len(word) - 1, stretch)[:RATE]
    moved = np.interp(positions, np.arange(len(word)), word)
    spectrum = np.fft.rfft(moved)
    octaves = np.linspace(0.0, 6.0, 7)
    decibels = np.interp(
        np.log2(1.0 + 63.0 * np.linspace(0.0, 1.0, len(spectrum))), octaves, rng.normal(0.0, 4.0, len(octaves))
    )
    heard = np.fft.irfft(spectrum * 10 ** (decibels / 20), len(moved))
    scaled: npt.NDArray[np.float32] = (heard / max(float(np.abs(heard).max()), 1e-6)).astype(np.float32)
    return scaled


def _noise(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A second of noise of power 1, its spectrum falling with frequency to a power from 0 (white) to 1 (brown)."""
    spectrum = np.fft.rfft(rng.normal(size=RATE))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** float(rng.uniform(0.0, 1.0))
    noise = np.fft.irfft(spectrum, RATE)
    scaled: npt.NDArray[np.float32] = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return scaled


def _kept(part: str, items: int, utterances: int, seed: int) -> Path:
    """Where a part is kept: below edgectl's cache, under the digest of all that it depends on."""
    settings = (_SYNTHESIS, part, items, utterances, seed, LABELS, OTHER_WORDS, VARIANTS)
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()
    return paths_from_environment(os.environ).cache / "examples" / "keywords" / f"{digest[:32]}.npz"
