# SPDX-License-Identifier: Apache-2.0
"""Looks at what the agent is made of: the runner, which is made to run a model, and the Python around it."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from edgectl_protos.errors import EdgectlError

from edgectl_agent.doctor.facts import PythonFacts, RunnerFacts
from edgectl_agent.measure.reference import REFERENCE_PROGRAM
from edgectl_agent.runner.command import native_command
from edgectl_agent.runner.outcome import runner_failure
from edgectl_agent.runner.process import run_once
from edgectl_agent.runner.runtime import RuntimeFacts, find_runner, read_runtime_facts

_DISTRIBUTIONS = ("edgectl-agent", "grpcio", "protobuf", "paho-mqtt")
_RUN_SECONDS = 60.0


async def read_runner(given: Path | None) -> RunnerFacts:
    """The runner that the agent would take; it runs the reference model once."""
    program = ""
    facts = RuntimeFacts("", "", ())
    try:
        runner = find_runner(given)
        program, command = str(runner), native_command(runner)
        facts = await read_runtime_facts(command)
        status, _, stderr = await run_once(
            command, "repeat", str(REFERENCE_PROGRAM), "--runs", "1", seconds=_RUN_SECONDS
        )
        if status != 0:
            raise runner_failure(status, stderr)
        failure = ""
    except EdgectlError as error:
        failure = error.seen
    return RunnerFacts(program, facts.runtime, facts.architecture, facts.delegates, failure)


def read_python() -> PythonFacts:
    """This interpreter. A board's agent brings the wire contract along: beside another copy, either may be taken."""
    return PythonFacts(
        version=sys.version_info[:3],
        prefix=sys.prefix,
        distributions=tuple((name, _version(name)) for name in _DISTRIBUTIONS),
        two_contracts=_brings("edgectl-agent", "edgectl_protos/") and _version("edgectl-protos") is not None,
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _brings(distribution: str, prefix: str) -> bool:
    try:
        files = importlib.metadata.files(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return any(str(file).startswith(prefix) for file in files or ())
