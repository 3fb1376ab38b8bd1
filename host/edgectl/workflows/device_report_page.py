# SPDX-License-Identifier: Apache-2.0
"""A report as a web page in one file, light or dark as the reader's system is. Pure; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from edgectl.lab.convert import printable
from edgectl.workflows.device_report import Document
from edgectl.workflows.device_report_rows import Rows, report_tables, report_title

_STYLE = """
:root { color-scheme: light dark; --text: #1d2329; --muted: #5d6873; --line: #d9dee3; --page: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaee; --muted: #9aa5b1; --line: #38414a; --page: #14181c; } }
body { margin: 0 auto; max-width: 72.5rem; padding: 2rem 1.2rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
.number { text-align: right; white-space: nowrap; }
.muted { color: var(--muted); }
""".strip()

_NOTE = (
    "The programs are edgectl's own and untrained; weights come from a seed. Single samples are in report.json beside"
    " this page. The report names neither the device nor its host, user or address."
)


def report_page(document: Document) -> str:
    """A whole HTML document."""
    title = _text(report_title(document))
    sections = "\n".join(_section(table) for table in report_tables(document) if table.rows)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgectl device report: {title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f'<h1>{title}</h1>\n<p class="muted">{_NOTE}</p>\n{sections}\n</body>\n</html>\n'
    )


def _section(table: Rows) -> str:
    numbers = [column.startswith(">") for column in table.columns]
    head = "".join(_cells("th", [column.removeprefix(">") for column in table.columns], numbers))
    body = "\n".join(f"<tr>{''.join(_cells('td', row, numbers))}</tr>" for row in table.rows)
    return f'<h2>{_text(table.title)}</h2>\n<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _cells(tag: str, texts: list[str] | tuple[str, ...], numbers: list[bool]) -> Iterator[str]:
    for text, number in zip(texts, numbers, strict=True):
        yield f'<{tag} class="number">{_text(text)}</{tag}>' if number else f"<{tag}>{_text(text)}</{tag}>"


def _text(text: str) -> str:
    return escape(printable(text))
