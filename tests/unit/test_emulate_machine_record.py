# SPDX-License-Identifier: Apache-2.0
"""What is kept of an emulated machine, and what it is started with."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
from edgectl.emulate.machine import (
    Machine,
    find_machine,
    known_machines,
    parse_machine,
    serialize_machine,
)
from edgectl.emulate.machine_command import disk_option, machine_command, seed_archive, seed_files
from edgectl.emulate.machine_making import emulated_processor
from edgectl.emulate.machines import _new_names
from edgectl.targets import load_target
from edgectl_agent.configuration import configure, settings_from_document
from edgectl_protos.errors import UsageError

IDENTITY = {"ca.pem": b"authority", "device.key": b"key", "device.pem": b"certificate"}


def machine(folder: Path = Path("/state/qemu/qemu-1"), **changes: object) -> Machine:
    values = {"name": "qemu-1", "target": "pi4", "port": 20123, "image": Path("/cache/image"), "identifier": "ab" * 16}
    return Machine(folder=folder, **(values | changes))  # type: ignore[arg-type]


def command(target_name: str, made: Machine, *, processors: int = 2) -> list[str]:
    target = load_target(target_name)
    return machine_command(made, target, emulated_processor(target), program="qemu", processors=processors)


def following(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_a_record_comes_back_as_it_was_written() -> None:
    made = machine(answered=True)
    assert parse_machine(serialize_machine(made), folder=made.folder) == made


@pytest.mark.parametrize(
    "change",
    [
        {"port": "20123"},
        {"port": 0},
        {"port": True},
        {"port": 70_000},
        {"name": "qemu-2"},
        {"version": 2},
        {"extra": 1},
        {"answered": None},
        {"image": 3},
    ],
)
def test_a_damaged_record_names_the_file_and_the_way_out(change: dict[str, object]) -> None:
    document = json.loads(serialize_machine(machine())) | change
    with pytest.raises(UsageError, match=r"qemu-1/machine\.json is damaged") as caught:
        parse_machine(json.dumps(document).encode(), folder=machine().folder)
    assert "edgectl qemu down qemu-1" in caught.value.action


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{" * 100_000, b'"x"' * 40_000, b"\xff"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="damaged"):
        parse_machine(data, folder=machine().folder)


def test_machines_are_found_by_name_and_others_files_are_not_taken_for_one(tmp_path: Path) -> None:
    for number in (10, 2):
        folder = tmp_path / f"qemu-{number}"
        folder.mkdir()
        machine(folder, name=folder.name).saved()
    for name in (".making-x", "qemu-01", "qemu-", "other"):
        (tmp_path / name).mkdir()
    assert [known.name for known in known_machines(tmp_path)] == ["qemu-2", "qemu-10"]
    with pytest.raises(UsageError, match=r"no emulated machine 'qemu-1'.*did you mean 'qemu-10'"):
        find_machine(tmp_path, "qemu-1")
    assert known_machines(tmp_path / "absent") == ()


def test_new_machines_take_the_lowest_free_numbers() -> None:
    known = [machine(name="qemu-1"), machine(name="qemu-3")]
    assert _new_names(3, known) == ["qemu-0", "qemu-2", "qemu-4"]
    assert _new_names(0, known) == []
    assert _new_names(-1, known) == []


@pytest.mark.parametrize(
    ("target", "core", "memory"),
    [
        ("pi-zero-2w", "cortex-a53", "512M"),
        ("pi3", "cortex-a53", "1024M"),
        ("pi4", "cortex-a72", "1024M"),
        ("pi5", "cortex-a76", "1024M"),
    ],
)
def test_processor_and_memory_are_the_targets(target: str, core: str, memory: str) -> None:
    words = command(target, machine())
    assert (following(words, "-cpu"), following(words, "-m")) == (core, memory)


def test_a_guest_has_no_more_processors_than_the_host_and_no_more_than_the_board() -> None:
    assert following(command("pi4", machine(), processors=2), "-smp") == "2"
    assert following(command("pi4", machine(), processors=64), "-smp") == "4"


def test_the_agents_port_is_forwarded_from_loopback_alone() -> None:
    assert "hostfwd=tcp:127.0.0.1:20123-10.0.2.15:50051" in following(command("pi4", machine()), "-netdev")


def test_a_folder_with_commas_and_spaces_stays_one_value_of_qemus_options() -> None:
    made = machine(Path("/state, of mine/qemu-1"))
    words = command("pi4", made)
    assert disk_option(made) == "file=/state,, of mine/qemu-1/disk.qcow2"
    assert following(words, "-drive").endswith(disk_option(made))
    assert following(words, "-fw_cfg").endswith("file=/state,, of mine/qemu-1/seed.tar")


def test_a_target_without_a_processor_cannot_be_emulated_and_the_boards_are_named() -> None:
    with pytest.raises(UsageError, match=r"target 'aarch64' names no processor.*pi-zero-2w, pi3, pi4, pi5"):
        emulated_processor(load_target("aarch64"))


def test_a_machines_own_files_are_what_the_agent_takes_and_the_key_is_roots_alone() -> None:
    files = seed_files(machine(), emulated_processor(load_target("pi5")), IDENTITY)
    with tarfile.open(fileobj=io.BytesIO(seed_archive(files))) as archive:
        members = {member.name: member for member in archive.getmembers()}
        contents = {name: archive.extractfile(name).read() for name in members}  # type: ignore[union-attr]
    assert contents == files
    assert {name for name, member in members.items() if member.mode == 0o600} == {"etc/edgectl/identity/device.key"}
    assert all((member.uid, member.gid) == (0, 0) for member in members.values())
    settings = settings_from_document(tomllib.loads(contents["etc/edgectl/agent.toml"].decode()), source="agent.toml")
    # The unit adds these two.
    taken = configure(dataclasses.replace(settings, state="/state", identity="/identity"))
    assert (taken.device, str(taken.listen), taken.emulated) == ("qemu-1", "0.0.0.0:50051", "qemu-system cortex-a76")
    assert contents["etc/hostname"] == b"qemu-1\n"
