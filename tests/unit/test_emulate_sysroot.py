# SPDX-License-Identifier: Apache-2.0
"""What programs on an emulated board are shown, and what edgectl needs on this machine to emulate one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from edgectl.config import Paths
from edgectl.emulate.sysroot import sysroot_files
from edgectl.emulate.user_mode import (
    EmulationTools,
    emulated_names,
    emulated_target,
    emulator_settings,
    find_tools,
    prepare_emulated,
)
from edgectl.targets import load_target
from edgectl_agent.board.facts import read_board_facts
from edgectl_agent.emulation.emulator import Emulator, parse_emulator
from edgectl_protos.errors import StateError, UsageError

from tests.unit.test_emulate_board_wheel import small_wheel

CPUINFO_OF_A_PI_5 = (
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
    "CPU implementer\t: 0x41\n"
    "CPU architecture: 8\n"
    "CPU variant\t: 0x4\n"
    "CPU part\t: 0xd0b\n"
    "CPU revision\t: 1\n\n"
)


def _no_program(_name: str) -> None:
    return None


def test_every_target_with_a_processor_can_be_emulated() -> None:
    assert emulated_names() == ("emulated-pi-zero-2w", "emulated-pi3", "emulated-pi4", "emulated-pi5")
    assert emulated_target("emulated-pi5") == load_target("pi5")


@pytest.mark.parametrize("name", ["emulated-pi44", "emulated-", "emulated-generic", "emulated-../../etc"])
def test_another_name_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UsageError, match=r"no emulated board .* expected .*emulated-pi4"):
        emulated_target(name)


def test_cpuinfo_is_the_boards() -> None:
    target = load_target("pi5")
    assert target.processor is not None
    text = sysroot_files(target, target.processor)["proc/cpuinfo"].decode()
    cores = "".join(f"processor\t: {number}\n{CPUINFO_OF_A_PI_5}" for number in range(4))
    assert text == f"{cores}Model\t\t: Raspberry Pi 5 Model B\n"


def test_processors_and_memory_are_the_boards(tmp_path: Path) -> None:
    target = load_target("pi-zero-2w")
    assert target.processor is not None
    files = sysroot_files(target, target.processor)
    assert files["sys/devices/system/cpu/possible"] == files["sys/devices/system/cpu/present"] == b"0-3\n"
    assert files["sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq"] == b"1000000\n"
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    facts = read_board_facts(tmp_path / "proc")
    assert (facts.cpu_model, facts.memory_bytes) == ("Raspberry Pi Zero 2 W", 512 << 20)


def test_what_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="apt-get install qemu-user"):
        find_tools(_no_program)
    with pytest.raises(StateError, match=r"ld-linux-aarch64.so.1 .* apt-get install libstdc\+\+6-arm64-cross"):
        find_tools(lambda name: f"/usr/bin/{name}", libraries=tmp_path, architecture="x86_64")


def test_a_machine_that_is_a_board_itself_needs_no_other_libraries(tmp_path: Path) -> None:
    tools = find_tools(lambda name: f"/usr/bin/{name}", libraries=tmp_path, architecture="aarch64", plugin=tmp_path)
    assert tools.libraries is None


def test_without_the_plugin_the_settings_say_why(tmp_path: Path) -> None:
    tools = find_tools(lambda name: f"/usr/bin/{name}", architecture="aarch64", plugin=tmp_path / "insn.so")
    assert tools.plugin is None
    assert "make insn" in tools.plugin_missing


def test_a_static_emulator_is_taken_where_there_is_no_other() -> None:
    static = find_tools(lambda name: "/q" if name == "qemu-aarch64-static" else None, architecture="aarch64")
    assert static.program == Path("/q")


def test_the_agent_reads_the_settings_that_are_written() -> None:
    processor = load_target("pi4").processor
    assert processor is not None
    tools = EmulationTools(Path('/odd "path"/é\\q'), None, None, plugin_missing="not built: 'make insn'")
    settings = emulator_settings(tools, processor, Path("/s"))
    assert parse_emulator(tomllib.loads(settings), source="test") == Emulator(
        program='/odd "path"/é\\q',
        core="cortex-a72",
        sysroot="/s",
        plugin="",
        plugin_missing="not built: 'make insn'",
    )


def test_a_target_without_a_processor_is_refused(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    with pytest.raises(UsageError, match="no processor to emulate"):
        prepare_emulated(load_target("generic"), paths=paths, environ={})


def test_the_sysroot_is_made_once_and_again_for_another_emulator(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    environ = {"EDGECTL_BOARD_WHEEL": str(small_wheel(tmp_path))}
    made = [
        prepare_emulated(load_target("pi4"), paths=paths, environ=environ, find_program={"qemu-aarch64": program}.get)
        for program in ("/bin/true", "/bin/false", "/bin/true")
    ]
    assert made[0] == made[2] != made[1]
    assert sorted((paths.cache / "emulated").iterdir()) == sorted({entry.emulator.parent for entry in made})
    assert made[0].runner.read_bytes() == b"program"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    with pytest.raises(UsageError, match="cannot be written"):
        prepare_emulated(load_target("pi4"), paths=paths, environ={}, find_program={"qemu-aarch64": "/bin/true"}.get)
