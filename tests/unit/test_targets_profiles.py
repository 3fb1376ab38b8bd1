# SPDX-License-Identifier: Apache-2.0
"""Targets are data: all that ship parse, and an unknown name, key or value is refused with the nearest known one."""

from __future__ import annotations

import pytest
from edgectl.targets import Limitation, Processor, Target, load_target, parse_target, target_names
from edgectl_protos.errors import UsageError


@pytest.mark.parametrize("name", target_names())
def test_shipped_target_loads(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description
    assert set(target.architectures) <= {"x86_64", "aarch64"}


def test_generic_runs_anywhere_and_the_others_on_one_architecture() -> None:
    assert load_target("generic").architectures == ("x86_64", "aarch64")
    assert load_target("x86_64").architectures == ("x86_64",)
    assert load_target("aarch64").architectures == ("aarch64",)


@pytest.mark.parametrize(("name", "nearest"), [("genric", "generic"), ("aarch46", "aarch64"), ("x86-64", "x86_64")])
def test_unknown_target_names_the_nearest_and_lists_the_known(name: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"expected '{nearest}' \(known: ") as caught:
        load_target(name)
    assert "aarch64, generic, pi-zero-2w, pi3, pi4, pi5, x86_64" in caught.value.expected


@pytest.mark.parametrize("name", ["", "../targets/generic", "generic.toml", "/etc/passwd", "\0"])
def test_name_that_is_a_path_is_an_unknown_target(name: str) -> None:
    with pytest.raises(UsageError, match="unknown target"):
        load_target(name)


_BOARD = """
architectures = ["aarch64"]
description = "a board"
board = "Board 1"
memory_bytes = 1000
available_bytes = 600
threads = 2
[processor]
core = "cortex-a76"
implementer = 0x41
architecture = 8
variant = 0x4
part = 0xd0b
revision = 1
cores = 4
frequency_mhz = 2400
features = ["fp", "asimd"]
[[cannot_run]]
what = "half precision"
reason = "no arithmetic"
dtype = "float16"
"""


def test_every_key_is_read() -> None:
    assert parse_target(_BOARD, name="pi") == Target(
        name="pi",
        architectures=("aarch64",),
        description="a board",
        board="Board 1",
        processor=Processor("cortex-a76", 0x41, 8, 4, 0xD0B, 1, 4, 2400, ("fp", "asimd")),
        memory_bytes=1000,
        available_bytes=600,
        threads=2,
        cannot_run=(Limitation("half precision", "no arithmetic", "float16"),),
    )


def test_only_architectures_are_required() -> None:
    assert parse_target('architectures = ["aarch64"]', name="pi") == Target("pi", ("aarch64",))


@pytest.mark.parametrize(
    ("name", "core", "part", "mebibytes"),
    [
        ("pi-zero-2w", "cortex-a53", 0xD03, 512),
        ("pi3", "cortex-a53", 0xD03, 1024),
        ("pi4", "cortex-a72", 0xD08, 1024),
        ("pi5", "cortex-a76", 0xD0B, 1024),
    ],
)
def test_raspberry_pi_has_its_core_and_its_smallest_memory(name: str, core: str, part: int, mebibytes: int) -> None:
    target = load_target(name)
    assert target.processor is not None
    assert (target.processor.core, target.processor.part, target.processor.cores) == (core, part, 4)
    assert target.memory_bytes == mebibytes << 20
    assert 0 < target.available_bytes < target.memory_bytes
    assert target.board.startswith("Raspberry Pi")


def test_only_the_pi5_has_a_dot_product_and_half_precision() -> None:
    targets = [load_target(name) for name in target_names()]
    assert [target.name for target in targets if target.int8_dot_product] == ["pi5"]
    assert [target.name for target in targets if target.fp16_arithmetic] == ["pi5"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('architecture = ["aarch64"]', "expected 'architectures'"),
        ('architectures = ["aarch64"]\nthread = 1', "unknown key 'thread'; expected 'threads'"),
        ('name = "x"\narchitectures = ["aarch64"]', "unknown key 'name'"),
        ("architectures = [", "no TOML"),
        ("", "architectures missing"),
        ("architectures = []", "architectures"),
        ('architectures = "aarch64"', "architectures"),
        ('architectures = ["aarch64", ""]', "architectures"),
        ('architectures = ["aarch64", "aarch64"]', "expected each name once"),
        ('architectures = ["aarch64"]\ndescription = 1', "description 1"),
        ('architectures = ["aarch64"]\ndescription = "a\\u001b[31m"', "description"),
        ('architectures = ["aarch64"]\nprocessor = "cortex-a72"', "expected a table [processor]"),
        ('architectures = ["aarch64"]\ncannot_run = "fp16"', "expected tables [[cannot_run]]"),
        ('architectures = ["aarch64"]\navailable_bytes = 1', "available_bytes 1 of memory_bytes 0"),
    ],
)
def test_wrong_profile_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text, name="pi")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("threads = 2", "threads = 0", "threads 0; expected a whole number from 1 to 256"),
        ("threads = 2", "threads = true", "threads True"),
        ("threads = 2", "threads = 2.0", "threads 2.0"),
        ("threads = 2", "threads = 5", "threads 5 on 4 cores"),
        ("memory_bytes = 1000", "memory_bytes = -1", "memory_bytes -1"),
        ("memory_bytes = 1000", "memory_bytes = 500", "available_bytes 600 of memory_bytes 500"),
        ("memory_bytes = 1000", f"memory_bytes = {1 << 41}", "memory_bytes"),
        ("part = 0xd0b", "part = 0x1000", "processor: part 4096; expected a whole number from 0 to 4095"),
        ("part = 0xd0b", "", "processor: part missing"),
        ("part = 0xd0b", "parts = 0xd0b", "processor: unknown key 'parts'; expected 'part'"),
        ("architecture = 8", "architecture = 7", "processor: architecture 7"),
        ("cores = 4", "cores = 0", "processor: cores 0"),
        ('core = "cortex-a76"', 'core = "-L/"', "processor: core '-L/'"),
        ('core = "cortex-a76"', 'core = "a b"', "processor: core"),
        ('"fp", "asimd"', '"fp", "a\\nb"', "processor: features"),
        ('architectures = ["aarch64"]', 'architectures = ["x86_64"]', 'expected ["aarch64"] beside a processor'),
        ('what = "half precision"', "", "cannot_run 1: what missing"),
        ('what = "half precision"', 'what = ""', "cannot_run 1: what ''; expected some text"),
        ('dtype = "float16"', 'dtypes = "float16"', "cannot_run 1: unknown key 'dtypes'"),
    ],
)
def test_wrong_value_of_a_board_is_refused(line: str, instead: str, said: str) -> None:
    assert line in _BOARD
    with pytest.raises(UsageError) as caught:
        parse_target(_BOARD.replace(line, instead, 1), name="pi")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 30_000,
        "x = " + "9" * 5_000,
        "x = 1\n" * 2,
        "[processor]\n[processor]\n",
        "#" * 70_000,
        "architectures = " + repr(["a" * 20] * 200).replace("'", '"'),
        "\0",
    ],
)
def test_hostile_profile_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text, name="pi")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
