# SPDX-License-Identifier: Apache-2.0
"""Which runner there is and what it can do, asked once at start."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import RunnerError, UsageError

from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.outcome import runner_failure
from edgectl_agent.runner.process import run_once

_INFO_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What the runner says of itself: "executorch 1.5.1", "aarch64", ("XnnpackBackend",).

    `core` is the processor core it chooses kernels for ("cortex-a72"); empty where it does not tell.
    """

    runtime: str
    architecture: str
    delegates: tuple[str, ...]
    core: str = ""


def find_runner(given: Path | None) -> Path:
    """The runner's path: the one given, else beside this Python's scripts, else on PATH.

    Raises:
        UsageError: there is none.
    """
    candidates = [given] if given else [Path(sys.prefix) / "bin" / "edge-runner", _on_path()]
    for candidate in candidates:
        if candidate is not None and candidate.is_file():
            return candidate.absolute()
    raise UsageError(
        f"no runner at {given or 'the environment or PATH'}",
        expected="the edge-runner program",
        action="install edgectl-agent's runner, or pass --runner PATH",
    )


async def read_runtime_facts(runner: RunnerCommand) -> RuntimeFacts:
    """Ask `edge-runner info`.

    Raises:
        RunnerError: it does not run here, or answers something else.
    """
    returncode, answer, stderr = await run_once(runner, "info", "--json", seconds=_INFO_SECONDS)
    if returncode != 0:
        raise runner_failure(returncode, stderr)
    return parse_runtime_facts(answer)


def parse_runtime_facts(answer: bytes) -> RuntimeFacts:
    """The facts in the JSON that `info --json` prints."""
    try:
        document: Any = json.loads(answer)
        return RuntimeFacts(
            runtime=str(document["runtime"]),
            architecture=str(document["architecture"]),
            delegates=tuple(str(name) for name in document["backends"]),
            core=str(document.get("core", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunnerError(
            f"edge-runner info answered {answer[:80]!r}",
            expected="JSON with runtime, architecture and backends",
            action="check that --runner names edge-runner",
        ) from error


def _on_path() -> Path | None:
    found = shutil.which("edge-runner")
    return Path(found) if found else None
