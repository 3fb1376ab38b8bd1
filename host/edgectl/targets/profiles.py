# SPDX-License-Identifier: Apache-2.0
"""What is known of a class of devices, parsed once from its TOML file; an unknown key or name is refused."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

from edgectl.targets.reading import Table

_SUFFIX = ".toml"
_MAXIMUM_CHARACTERS = 64 * 1024
_TEBIBYTE = 1 << 40
_INT8_DOT_PRODUCT = {"asimddp"}
_FP16_ARITHMETIC = {"fphp", "asimdhp"}


@dataclass(frozen=True, slots=True)
class Processor:
    """A board's processor as the kernel shows it.

    `implementer`, `architecture`, `variant`, `part` and `revision` are the fields of the main identification register
    (MIDR_EL1, Arm Architecture Reference Manual) that /proc/cpuinfo prints; `features` are its words there.
    `core` is QEMU's name of the core (`-cpu cortex-a72`).
    """

    core: str
    implementer: int
    architecture: int
    variant: int
    part: int
    revision: int
    cores: int
    frequency_mhz: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limitation:
    """Something that cannot run on a target, and why; `dtype` where it is an element type (`float16`)."""

    what: str
    reason: str
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A class of devices.

    `architectures` are the `uname -m` names a bundle for it may run on. `memory_bytes` is the smallest variant's memory
    and `available_bytes` what of it a program may take beside kernel, system and agent; 0 where it is unknown.
    `threads` is a sensible number for an inference that has the board to itself.
    """

    name: str
    architectures: tuple[str, ...]
    description: str = ""
    board: str = ""
    processor: Processor | None = None
    memory_bytes: int = 0
    available_bytes: int = 0
    threads: int = 1
    cannot_run: tuple[Limitation, ...] = ()

    @property
    def int8_dot_product(self) -> bool:
        """Whether the processor multiplies int8 four at a time (SDOT); without it int8 gains less."""
        return self.processor is not None and set(self.processor.features) >= _INT8_DOT_PRODUCT

    @property
    def fp16_arithmetic(self) -> bool:
        """Whether the processor computes in half precision, rather than only converting it."""
        return self.processor is not None and set(self.processor.features) >= _FP16_ARITHMETIC


def target_names() -> tuple[str, ...]:
    """The targets that ship with edgectl, in alphabetical order."""
    entries = files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX)))


def load_target(name: str) -> Target:
    """The shipped target called `name`.

    Raises:
        UsageError: there is none; it lists the known and names the nearest.
    """
    known = target_names()
    if name not in known:
        raise UsageError(f"unknown target {name[:80]!r}", expected=describe_known(name, known))
    text = files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return parse_target(text, name=name)


def parse_target(text: str, *, name: str) -> Target:
    """The target described by TOML `text`.

    Raises:
        UsageError: no TOML, an unknown key, or a value that is missing, of the wrong type or out of range.
    """
    table = Table(f"target {name}", _document(text, name))
    table.refuse_unknown(Target, besides=("name",))
    target = Target(
        name=name,
        architectures=table.names("architectures", example='["aarch64"]'),
        description=table.text("description", default=""),
        board=table.text("board", default=""),
        processor=_processor(table),
        memory_bytes=table.integer("memory_bytes", 0, _TEBIBYTE, default=0),
        available_bytes=table.integer("available_bytes", 0, _TEBIBYTE, default=0),
        threads=table.integer("threads", 1, 256, default=1),
        cannot_run=tuple(_limitation(entry) for entry in table.tables("cannot_run")),
    )
    _consistent(target)
    return target


def _document(text: str, name: str) -> dict[str, Any]:
    if len(text) > _MAXIMUM_CHARACTERS:
        raise UsageError(f"target {name}: {len(text)} characters", expected=f"at most {_MAXIMUM_CHARACTERS}")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"target {name}: no TOML (nested too deep)", action="correct the file") from error
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise UsageError(f"target {name}: no TOML ({error})", action="correct the file") from error


def _processor(target: Table) -> Processor | None:
    table = target.table("processor")
    if table is None:
        return None
    table.refuse_unknown(Processor)
    return Processor(
        core=table.name("core", example='"cortex-a72"'),
        implementer=table.integer("implementer", 0, 0xFF),
        architecture=table.integer("architecture", 8, 15),
        variant=table.integer("variant", 0, 0xF),
        part=table.integer("part", 0, 0xFFF),
        revision=table.integer("revision", 0, 0xF),
        cores=table.integer("cores", 1, 256),
        frequency_mhz=table.integer("frequency_mhz", 1, 10_000),
        features=table.names("features", example='["fp", "asimd"]'),
    )


def _limitation(table: Table) -> Limitation:
    table.refuse_unknown(Limitation)
    return Limitation(
        what=table.text("what"), reason=table.text("reason"), dtype=table.name("dtype", example='"float16"', default="")
    )


def _consistent(target: Target) -> None:
    if target.available_bytes > target.memory_bytes:
        raise UsageError(
            f"target {target.name}: available_bytes {target.available_bytes} of memory_bytes {target.memory_bytes}",
            expected="no more than there is",
        )
    if target.processor is None:
        return
    if target.architectures != ("aarch64",):
        raise UsageError(
            f"target {target.name}: a processor and architectures {list(target.architectures)}",
            expected='["aarch64"] beside a processor',
        )
    if target.threads > target.processor.cores:
        raise UsageError(
            f"target {target.name}: threads {target.threads} on {target.processor.cores} cores",
            expected="no more threads than cores",
        )
