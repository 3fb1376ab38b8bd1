# SPDX-License-Identifier: Apache-2.0
"""Durations, sizes and lists of processors as they are written on the command line."""

from __future__ import annotations

import re
from typing import NoReturn

import click

_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MOST_BYTES = 1 << 50  # what an agent accepts
_CPU_LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")


class Duration(click.ParamType[float]):
    """`20ms`, `1.5s`, `2min`: seconds. A bare number has the unit given at construction."""

    name = "duration"

    def __init__(self, bare: str = "s") -> None:
        self._bare = bare

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _NUMBER.fullmatch(str(value))
        unit = (match[2] or self._bare) if match else ""
        if match is None or unit not in _SECONDS:
            self.fail(f"{value!r} is no duration; write one such as 20ms, 1.5s or 2min", param, ctx)
        return float(match[1]) * _SECONDS[unit]


class Size(click.ParamType[int]):
    """`64MB`, `64MiB`: bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _NUMBER.fullmatch(str(value))
        if match is None or match[2] not in _BYTES:
            self.fail(f"{value!r} is no size; write one such as 64MB or 64MiB", param, ctx)
        count = float(match[1]) * _BYTES[match[2]]
        if not 1 <= count <= _MOST_BYTES:
            self.fail(f"{value!r} is no size that memory has", param, ctx)
        return round(count)


class CpuList(click.ParamType[tuple[int, ...]]):
    """`0,2-3`: processors, as taskset writes them."""

    name = "cpus"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not _CPU_LIST.fullmatch(str(value)):
            self._refuse(value, param, ctx)
        cpus: set[int] = set()
        for part in str(value).split(","):
            first, _, last = part.partition("-")
            span = range(int(first), int(last or first) + 1)
            if not span:
                self._refuse(value, param, ctx)
            cpus.update(span)
        return tuple(sorted(cpus))

    def _refuse(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value!r} is no list of processors; write one such as 0 or 0,2-3", param, ctx)
