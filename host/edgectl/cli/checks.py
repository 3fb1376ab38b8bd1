# SPDX-License-Identifier: Apache-2.0
"""What `edgectl doctor` looks at: rules over a `Machine`, which is asked and never changed.

A part that is absent costs some commands and is no fault; a part that is there and would not work is.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edgectl.cli.emulation_checks import EmulatingMachine, emulated_runner_checks, emulating_machine
from edgectl.cli.findings import Check, Outcome
from edgectl.cli.options import current_paths
from edgectl.cli.text import size_text
from edgectl.emulate.programs import PACKAGES

_OLDEST_PYTHON, _NEWEST_PYTHON = (3, 11), (3, 13)
_RUNNER_RESIDENT_BUDGET = 6 << 20
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([0-9][0-9A-Za-z.*+]*)")


@dataclass(frozen=True, slots=True)
class Machine:
    """The questions the rules ask."""

    python: tuple[int, int]
    architecture: str
    version_of: Callable[[str], str | None]
    requirements: tuple[str, ...]
    find_program: Callable[[str], Path | None]
    output_of: Callable[[Path, tuple[str, ...]], str | None]
    emulation: EmulatingMachine


def this_machine() -> Machine:
    """The machine and the environment this process runs in."""
    return Machine(
        python=sys.version_info[:2],
        architecture=platform.machine(),
        version_of=_installed_version,
        requirements=tuple(importlib.metadata.requires("edgectl") or ()),
        find_program=_find_program,
        output_of=_output_of,
        emulation=emulating_machine(current_paths(), os.environ),
    )


def run_checks(machine: Machine) -> tuple[Check, ...]:
    """Every check, in the order of the report."""
    pins = pinned_versions(machine.requirements)
    return (
        check_python(machine),
        *(check_pinned(machine, name, pins, build=name == "torch") for name in ("torch", "torchao", "executorch")),
        check_group(machine, "search packages", ("optuna", "matplotlib"), "search"),
        check_group(machine, "demo packages", ("scikit-learn", "amqtt", "jinja2"), "demo"),
        check_agent(machine),
        check_runner(machine, pins),
        check_program(machine, "mosquitto", "the integration tests", "apt-get install mosquitto"),
        check_program(machine, "c++", "building edge-runner", "apt-get install g++"),
        check_program(machine, "cmake", "building edge-runner", "pip install cmake"),
        check_program(machine, "ninja", "building edge-runner", "pip install ninja"),
        check_program(
            machine, "aarch64-linux-gnu-g++", "building edge-runner for boards", "apt-get install g++-aarch64-linux-gnu"
        ),
        *emulated_runner_checks(machine.emulation),
        *(
            check_program(machine, name, "emulated machines (edgectl qemu)", f"apt-get install {PACKAGES[name]}")
            for name in ("qemu-system-aarch64", "qemu-img", "mmdebstrap", "mke2fs")
        ),
    )


def pinned_versions(requirements: Iterable[str]) -> dict[str, str]:
    """Name to version of every exact pin among a distribution's requirements."""
    return {match.group(1): match.group(2) for text in requirements if (match := _PIN.match(text))}


def check_python(machine: Machine) -> Check:
    version = ".".join(map(str, machine.python))
    seen = f"{version} on {machine.architecture}"
    if _OLDEST_PYTHON <= machine.python <= _NEWEST_PYTHON:
        return Check("Python", Outcome.OK, seen)
    return Check("Python", Outcome.WRONG, seen, "use Python 3.11, 3.12 or 3.13")


def check_pinned(machine: Machine, name: str, pins: dict[str, str], *, build: bool) -> Check:
    wanted = pins.get(name, "")
    version = machine.version_of(name)
    if version is None:
        return Check(
            name, Outcome.ABSENT, "not installed: no compress, lower or search", "pip install 'edgectl[compile]'"
        )
    number, _, variant = version.partition("+")
    if number != wanted:
        return Check(name, Outcome.WRONG, f"{version}, not {wanted}", f"pip install '{name}=={wanted}'")
    if not build:
        return Check(name, Outcome.OK, version)
    kind = {"cpu": "CPU build", "": "build not stated"}.get(variant, f"{variant} build")
    return Check(name, Outcome.OK, f"{version} ({kind})")


def check_group(machine: Machine, title: str, names: tuple[str, ...], extra: str) -> Check:
    versions = {name: machine.version_of(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Check(title, Outcome.ABSENT, f"{', '.join(missing)} not installed", f"pip install 'edgectl[{extra}]'")
    return Check(title, Outcome.OK, ", ".join(f"{name} {version}" for name, version in versions.items()))


def check_agent(machine: Machine) -> Check:
    version = machine.version_of("edgectl-agent")
    program = machine.find_program("edge-agent")
    if version is None or program is None:
        return Check("edge-agent", Outcome.ABSENT, "not installed: no device 'local'", "pip install edgectl-agent")
    own, other = machine.version_of("edgectl"), version
    if own is not None and own.split(".")[:2] != other.split(".")[:2]:
        return Check("edge-agent", Outcome.WRONG, f"{other}, and edgectl is {own}", "install both in the same version")
    return Check("edge-agent", Outcome.OK, f"{version}, {program}")


def check_runner(machine: Machine, pins: dict[str, str]) -> Check:
    name = "edge-runner"
    program = machine.find_program(name)
    if program is None:
        return Check(name, Outcome.ABSENT, "not found: no device 'local'", "make runner, in a checkout of edgectl")
    answer = machine.output_of(program, ("info", "--json"))
    try:
        document = json.loads(answer or "")
        runtime, resident = str(document["runtime"]), int(document["start_rss_bytes"])
    except (ValueError, KeyError, TypeError):
        return Check(name, Outcome.WRONG, f"{program} does not run", f"run '{program} info', and build it again")
    seen = f"{runtime}, {size_text(resident)} resident with no model, {program}"
    wanted = pins.get("executorch", "")
    if runtime.removeprefix("executorch ").split(".")[:2] != wanted.split(".")[:2]:
        return Check(name, Outcome.WRONG, seen, f"build it against executorch {wanted}")
    if resident > _RUNNER_RESIDENT_BUDGET:
        return Check(
            name, Outcome.WRONG, seen, f"at most {size_text(_RUNNER_RESIDENT_BUDGET)} is expected: build a release"
        )
    return Check(name, Outcome.OK, seen)


def check_program(machine: Machine, name: str, purpose: str, fix: str) -> Check:
    program = machine.find_program(name)
    if program is None:
        return Check(name, Outcome.ABSENT, f"not found: needed for {purpose}", fix)
    return Check(name, Outcome.OK, str(program))


def _installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _find_program(name: str) -> Path | None:
    # Debian keeps daemons where a user's PATH does not look; a virtual environment need not be activated.
    folders = [str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name) or next((hit for folder in folders if (hit := shutil.which(name, path=folder))), None)
    return None if found is None else Path(found)


def _output_of(program: Path, arguments: tuple[str, ...]) -> str | None:
    try:
        return subprocess.run([str(program), *arguments], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
