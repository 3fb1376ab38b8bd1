# SPDX-License-Identifier: Apache-2.0
"""Damaged programs end in an exit code and one line: no signal, no hang."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests import programs
from tests.runner_client import Outcome, run_command

DAMAGED_FILES = 60
MOST_CRASHES = 2
CODES = {0, 2, 10, 12, 13}
ONCE = ("--json", "--runs", "1", "--warmup-runs", "1", "--warmup-seconds", "0", "--threads", "1")


OUT_OF_MEMORY = 16


def assert_clean(outcome: Outcome, codes: set[int] = CODES) -> None:
    assert outcome.code in codes, outcome
    assert outcome.err.count("\n") == (1 if outcome.code else 0), outcome
    assert ("error" in outcome.report) == bool(outcome.code)


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def overwrite_word(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    at = rng.randrange(0, len(damaged) - 8)
    damaged[at : at + 8] = rng.choice([bytes(8), b"\xff" * 8, rng.randbytes(8)])
    return bytes(damaged)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


@pytest.mark.parametrize("name", ["small_cnn", "dynamic_batch", "portable", "embedding"])
def test_damaged_files_never_end_the_runner_by_a_signal(
    edge_runner: Path, program_directory: Path, tmp_path: Path, name: str
) -> None:
    data = getattr(programs, f"{name}_program")(program_directory).read_bytes()
    rng = random.Random(name)
    codes: Counter[int] = Counter()
    crashes = 0
    for index in range(DAMAGED_FILES):
        path = tmp_path / "damaged.pte"
        path.write_bytes(rng.choice([flip_bits, overwrite_word, truncate])(data, rng))
        words = ("info", path, "--json") if index % 4 == 0 else ("bench", path, *ONCE)
        outcome = run_command(edge_runner, *words, timeout=30)
        assert_clean(outcome)
        codes[outcome.code] += 1
        crashes += "crashed" in outcome.err
    assert codes[10] > DAMAGED_FILES // 4, codes
    assert crashes <= MOST_CRASHES, "verification shall find most damage before the runtime meets it"


def test_damaged_files_under_a_tracer_and_a_memory_limit_end_as_cleanly(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    data = programs.dynamic_batch_program(program_directory).read_bytes()
    rng = random.Random(5)
    words = ("--json", "--runs", "1", "--threads", "1", "--etdump", tmp_path / "dump", "--memory-limit", "2000000")
    path = tmp_path / "damaged.pte"
    codes: Counter[int] = Counter()
    for _ in range(DAMAGED_FILES):
        path.write_bytes(rng.choice([flip_bits, overwrite_word])(data, rng))
        outcome = run_command(edge_runner, "profile", path, *words, timeout=30)
        assert_clean(outcome, CODES | {OUT_OF_MEMORY})
        codes[outcome.code] += 1
    assert codes[10] > DAMAGED_FILES // 4, codes


def test_a_program_that_crashes_the_runtime_is_a_bad_program(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    """A table that loses a required field passes verification: the runtime reads through a null."""
    data = programs.two_input_program(program_directory).read_bytes()
    path = tmp_path / "damaged.pte"
    crashes = 0
    # Among the words before the delegate's name are the tables' offsets: a zero there makes a field absent.
    for at in range(64, data.index(b"XnnpackBackend"), 2):
        path.write_bytes(data[:at] + bytes(2) + data[at + 2 :])
        outcome = run_command(edge_runner, "info", path, "--json", timeout=30)
        assert_clean(outcome)
        crashes += "crashed" in outcome.err
    assert crashes > 0


def test_a_program_of_an_absurd_memory_plan_is_refused(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.portable_program(program_directory)
    planned = run_command(edge_runner, "info", program, "--json").report["methods"][0]["planned_bytes"]
    data = program.read_bytes()
    word = planned.to_bytes(8, "little")
    assert data.count(word) == 1
    (tmp_path / "greedy.pte").write_bytes(data.replace(word, (2**62).to_bytes(8, "little")))
    outcome = run_command(edge_runner, "bench", tmp_path / "greedy.pte", *ONCE)
    assert_clean(outcome)
    assert outcome.code == 10
    assert str(2**62) in outcome.err
