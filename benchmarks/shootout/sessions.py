# SPDX-License-Identifier: Apache-2.0
"""One process that holds one loaded model of one runtime, and times a block of it on command."""

from __future__ import annotations

import json
import selectors
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shootout.answers import Array
from shootout.cases import Case
from shootout.environments import UnavailableError, checked, environment_variables, last_line, python_of
from shootout.peers import Peer
from shootout.workers.blocks import FEWEST_RUNS, UNTIMED_RUNS, WARMUP_SECONDS

READY_SECONDS = 120.0
BLOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The edge-runner to race, where converted files lie, and how many blocks of at least how many seconds."""

    runner: str
    cache: Path
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Files:
    """A peer's converted files, the model's assets (see assets.py), and room for its answer."""

    folder: Path
    assets: Path
    answer: Path

    @property
    def item(self) -> Path:
        return self.assets / "input.npy"


class Session:
    """A started process; `ready` waits for its warm-up, `block` runs one block, `close` ends it."""

    def __init__(self, command: list[str | Path], *, block: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._block = block
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            env=environment_variables(),
        )

    def ready(self) -> None:
        """Wait until it is warm.

        Raises:
            UnavailableError: it ended or fell silent instead; likewise `block`.
        """
        while not self._answer(READY_SECONDS).get("ready"):
            pass

    def block(self) -> tuple[float, ...]:
        """Milliseconds of each run of one block."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{self._block}\n")
        except BrokenPipeError as error:
            raise UnavailableError(self._last_words()) from error
        return tuple(self._answer(BLOCK_SECONDS)["samples"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise UnavailableError(f"no answer in {seconds:.0f} s")
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # libraries greet on standard output
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise UnavailableError(self._last_words())

    def _last_words(self) -> str:
        status = self._process.wait(10)
        self._errors.seek(0)
        return last_line(self._errors.read()) or f"it ended with status {status}"


def start(peer: Peer, case: Case, files: Files, settings: Settings) -> Session:
    """Start the peer's process on a case."""
    common: list[str | Path] = ["--threads", str(case.threads), "--input", files.item]
    if peer.worker is None:
        program = files.folder / f"{case.precision}.pte"
        warmup: list[str | Path] = ["--warmup-seconds", str(WARMUP_SECONDS), "--warmup-change", "0"]
        runs: list[str | Path] = ["--block-runs", str(FEWEST_RUNS), "--block-warmup-runs", str(UNTIMED_RUNS)]
        length: list[str | Path] = ["--block-seconds", str(settings.seconds)]
        return Session([settings.runner, "bench", program, "--paced", *warmup, *runs, *length, *common], block="block")
    python = python_of(peer.environment, settings.cache)
    worker: list[str | Path] = [python, "-P", "-m", peer.worker, files.folder, case.precision]
    return Session([*worker, *common, "--answer", files.answer], block=f"block {settings.seconds}")


def answer_of(peer: Peer, case: Case, files: Files, settings: Settings) -> Array:
    """The output for the assets' input: a worker has written it before it was ready, edge-runner is asked.

    Raises:
        UnavailableError: edge-runner cannot run the program: its own line.
    """
    if peer.worker is None:
        program = files.folder / f"{case.precision}.pte"
        words: list[str | Path] = ["--threads", str(case.threads), "--input", files.item, "--output", files.answer]
        checked([settings.runner, "run", program, *words])
    answer: Array = np.load(files.answer)
    return answer
