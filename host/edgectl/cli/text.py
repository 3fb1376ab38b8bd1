# SPDX-License-Identifier: Apache-2.0
"""Text that is safe to print: names and messages come from files and boards, and may hold terminal control codes."""

from __future__ import annotations

_BINARY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def printable(text: str) -> str:
    """`text` with every character that is not printable written as its escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def one_line(text: str) -> str:
    """`text` on one line: runs of white space become a space, then `printable`."""
    return printable(" ".join(text.split()))


def size_text(count: float) -> str:
    """A number of bytes for people: `1.5 MiB`."""
    value = float(count)
    for unit in _BINARY_UNITS:
        if abs(value) < 1024 or unit == _BINARY_UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def milliseconds_text(value: float | None) -> str:
    """A latency in milliseconds to four significant digits, `-` where there is none."""
    return "-" if value is None else f"{value:#.4g}".rstrip(".")
