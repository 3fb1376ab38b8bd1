# SPDX-License-Identifier: Apache-2.0
"""A board of which the runner alone is emulated, by QEMU's user mode on this machine: everything its agent needs.

The board's sysroot and the emulator's settings are made from the target's profile and kept in the cache by what they
hold; the runner comes out of the boards' wheel.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError, UsageError
from edgectl_protos.spelling import describe_known

from edgectl.config import Paths
from edgectl.emulate.board_wheel import find_board_wheel, unpack_runner
from edgectl.emulate.sysroot import sysroot_files
from edgectl.fleet.inventory import EMULATED_PREFIX
from edgectl.targets import Processor, Target, load_target, target_names

PROGRAMS = ("qemu-aarch64", "qemu-aarch64-static")
"""The first can count instructions; the second, a static build, takes no plugins."""

_CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
_NEEDED_LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libstdc++.so.6")
_SETTINGS = "emulator.toml"

FindProgram = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class EmulationTools:
    """What this machine has for emulating a board's runner.

    `libraries` is None on a machine whose own are the board's. `plugin_missing` says why there is no `plugin`.
    """

    program: Path
    libraries: Path | None
    plugin: Path | None
    plugin_missing: str = ""


@dataclass(frozen=True, slots=True)
class EmulatedRunner:
    """A board's runner, and the file that tells an agent how it is emulated."""

    runner: Path
    emulator: Path


def emulated_names() -> tuple[str, ...]:
    """The devices that can be emulated: one for each target with a processor."""
    return tuple(EMULATED_PREFIX + name for name in target_names() if load_target(name).processor is not None)


def emulated_target(name: str) -> Target:
    """The target of the emulated device called `name`.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    known = emulated_names()
    if name not in known:
        raise UsageError(f"no emulated board {name[:80]!r}", expected=describe_known(name, known), action="choose one")
    return load_target(name.removeprefix(EMULATED_PREFIX))


def prepare_emulated(
    target: Target, *, paths: Paths, environ: Mapping[str, str], find_program: FindProgram = shutil.which
) -> EmulatedRunner:
    """The runner and the emulator's settings for a board of that target, made where they are not there yet.

    Raises:
        StateError: this machine has no emulator, no aarch64 libraries or no wheel; the message says how to get it.
        UsageError: the wheel is damaged, the cache cannot be written, or the target has no processor.
    """
    if target.processor is None:
        raise UsageError(f"target {target.name} has no processor to emulate", expected="a board", action="choose one")
    tools = find_tools(find_program)
    cache = paths.cache / "emulated"
    try:
        settings = _prepared_folder(cache, target, target.processor, tools) / _SETTINGS
    except OSError as error:
        raise UsageError(
            f"{cache} cannot be written ({error.strerror})", expected="a folder of yours", action="correct that"
        ) from error
    return EmulatedRunner(unpack_runner(find_board_wheel(paths, environ), paths.cache / "boards"), settings)


def find_tools(
    find_program: FindProgram = shutil.which,
    *,
    libraries: Path = _CROSS_LIBRARIES,
    architecture: str = platform.machine(),
    plugin: Path = Path(sys.prefix, "lib", "edgectl", "insn.so"),
) -> EmulationTools:
    """Raises `StateError` where there is no emulator, or no libraries for its programs."""
    program = next((found for name in PROGRAMS if (found := find_program(name))), None)
    if program is None:
        raise StateError(
            "no qemu-aarch64 on this machine",
            expected="the emulator of boards' programs",
            action="run: sudo apt-get install qemu-user",
        )
    own = architecture in {"aarch64", "arm64"}
    missing = [name for name in _NEEDED_LIBRARIES if not own and not (libraries / name).exists()]
    if missing:
        raise StateError(
            f"no {missing[0]} in {libraries}",
            expected="the C and C++ libraries that boards' programs load",
            action="run: sudo apt-get install libstdc++6-arm64-cross",
        )
    built = plugin.is_file()
    return EmulationTools(
        program=Path(program),
        libraries=None if own else libraries,
        plugin=plugin if built else None,
        plugin_missing="" if built else f"the counter {plugin} is not built: run `make insn` in a checkout of edgectl",
    )


def emulator_settings(tools: EmulationTools, processor: Processor, sysroot: Path) -> str:
    """The TOML that `edge-agent run --emulator` reads."""
    values = {
        "program": str(tools.program),
        "core": processor.core,
        "sysroot": str(sysroot),
        "plugin": str(tools.plugin or ""),
        "plugin_missing": tools.plugin_missing,
    }
    # A JSON string is a TOML string.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def _prepared_folder(cache: Path, target: Target, processor: Processor, tools: EmulationTools) -> Path:
    """The folder with sysroot and settings, named by what they hold, made whole or not at all."""
    files = sysroot_files(target, processor)
    parts = (*(text for path in sorted(files) for text in (path, files[path].decode())), repr(tools), processor.core)
    folder = cache / f"{target.name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
    if (folder / _SETTINGS).is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".emulated-") as staging:
        whole = Path(staging) / "board"
        _write_sysroot(whole / "sysroot", files, tools.libraries)
        (whole / _SETTINGS).write_text(emulator_settings(tools, processor, folder / "sysroot"), encoding="utf-8")
        try:
            whole.rename(folder)
        except OSError:
            if not (folder / _SETTINGS).is_file():  # else another process was first
                raise
    return folder


def _write_sysroot(sysroot: Path, files: Mapping[str, bytes], libraries: Path | None) -> None:
    for path, data in files.items():
        (sysroot / path).parent.mkdir(parents=True, exist_ok=True)
        (sysroot / path).write_bytes(data)
    if libraries is not None:
        (sysroot / "lib").symlink_to(libraries)
