# SPDX-License-Identifier: Apache-2.0
"""The report as a web page in one file: a bar for each layer and a table, light or dark as the reader's system is.

Nothing is loaded from anywhere and there is no script. Every text from outside is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgectl.compress.quantize.layer_errors import LayerError
    from edgectl.workflows.quant_report import QuantReport

_FULL = 60.0  # dB of a bar over the whole width
_FLOAT_DB = 200.0
_BAD, _FAIR = 15.0, 25.0

STYLE = """
:root { color-scheme: light dark; --text: #1d2329; --muted: #5d6873; --line: #d9dee3; --back: #ffffff;
  --good: #1467b3; --fair: #b36b00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaee; --muted: #9aa5b1; --line: #38414a; --back: #14181c;
  --good: #6cb2f2; --fair: #e0a458; --bad: #f28b82; } }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.2rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.bar { width: 30%; }
td.bar div { height: .8rem; background: var(--good); border-radius: 2px; min-width: 2px; }
td.bar div.fair { background: var(--fair); }
td.bar div.bad { background: var(--bad); }
.muted { color: var(--muted); }
""".strip()


def report_page(report: QuantReport) -> str:
    """A whole HTML document."""
    source = escape(report.source)
    rows = "\n".join(_row(layer) for layer in report.layers)
    outside = "".join(
        f"<li>{escape(name)}: {escape(', '.join(places))}</li>" for name, places in report.unannotated.items()
    )
    listed = f"<h2>Operators in float whatever the scheme</h2><ul>{outside}</ul>" if outside else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgectl quant-report: {source}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>What quantization costs each layer</h1>\n"
        f'<p class="muted">{source}: {escape(report.scheme)}, {report.items} items. A layer\'s signal over its '
        "noise in dB, on float inputs; the shorter the bar, the worse.</p>\n"
        '<table><thead><tr><th>layer</th><th>scheme</th><th></th><th class="number">dB</th>'
        '<th class="number">weights</th><th class="number">input</th><th>cause</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>\n{listed}\n</body>\n</html>\n"
    )


def _row(layer: LayerError) -> str:
    width = max(0.0, min(1.0, layer.sqnr_db / _FULL))
    kind = "bad" if layer.sqnr_db < _BAD else "fair" if layer.sqnr_db < _FAIR else "good"
    numbers = "".join(
        f'<td class="number">{_decibels(value)}</td>' for value in (layer.sqnr_db, layer.weights_db, layer.inputs_db)
    )
    return (
        f"<tr><td>{escape(layer.place)}</td><td>{escape(layer.scheme)}</td>"
        f'<td class="bar"><div class="{kind}" style="width: {width:.1%}"></div></td>{numbers}'
        f"<td>{escape(layer.cause)}</td></tr>"
    )


def _decibels(value: float) -> str:
    return "float" if value >= _FLOAT_DB else f"{value:.1f}"
