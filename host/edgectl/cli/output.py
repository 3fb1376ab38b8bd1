# SPDX-License-Identifier: Apache-2.0
"""Results on stdout: tables by rich on a terminal, aligned text when piped, JSON on request. Only this writes there."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from edgectl.cli.text import one_line, printable


class OutputFormat(StrEnum):
    """What `-o` takes; `table` is drawn on a terminal and plain elsewhere."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under column titles; a title that begins with '>' aligns its column to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    empty: str = ""


class Output:
    """Writes results in the chosen format."""

    def __init__(self, stream: TextIO, *, style: OutputFormat, terminal: bool) -> None:
        self._stream = stream
        self._style = style
        self._terminal = terminal

    @property
    def json(self) -> bool:
        return self._style is OutputFormat.JSON

    def show(self, document: Any, *parts: Table | str) -> None:
        """A whole result: `document` in JSON, else `parts` one after the other."""
        if self.json:
            self._write(json_text(document))
            return
        for part in parts:
            if isinstance(part, str):
                self._write("\n".join(printable(line) for line in part.split("\n")))
            elif not part.rows and part.empty:
                self._write(part.empty)
            elif self._style is OutputFormat.TABLE and self._terminal:
                self._draw(part)
            else:
                self._write("\n".join(plain_table(part)))

    def record(self, document: Any, text: str) -> None:
        """One result of a stream: a line of JSON, or a line of text; seen at once by whoever reads the pipe."""
        self._write(json_text(document, indent=None) if self.json else one_line(text))
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")

    def _draw(self, table: Table) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(title=table.title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in table.columns:
            right = column.startswith(">")
            drawn.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            # As Text, not as str: a name with brackets in it is no markup.
            drawn.add_row(*(Text(one_line(cell)) for cell in row))
        Console(file=self._stream).print(drawn)


def plain_table(table: Table) -> list[str]:
    """The table as lines of text aligned by spaces, with no trailing white space."""
    titles = tuple(column.removeprefix(">") for column in table.columns)
    rows = [titles, *(tuple(one_line(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(titles))]
    lines = [table.title] if table.title else []
    for row in rows:
        cells = [
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def json_text(document: Any, *, indent: int | None = 2) -> str:
    """Standard JSON: what is not finite becomes null, a path its text."""
    return json.dumps(_standard(document), indent=indent, allow_nan=False, ensure_ascii=False)


def _standard(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _standard(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_standard(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
