# SPDX-License-Identifier: Apache-2.0
"""`edgectl quant-report PATH`: which layers quantization hurts, and what from."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgectl.cli.library_log import library_log
from edgectl.cli.observers import StageProgress
from edgectl.cli.options import current_paths, output_option, require_extra
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import open_progress
from edgectl.cli.whole_files import whole_file

if TYPE_CHECKING:
    from edgectl.workflows.quant_report import QuantReport

_SHOWN = 30
_FLOAT_DB = 200.0


@click.command("quant-report")
@click.argument("path", metavar="BUNDLE|RECIPE|FOLDER", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with a picture here; it needs no other.")
@click.option("--no-cache", is_flag=True, help="Run every stage again, and keep nothing of this run.")
@click.option("--all", "every", is_flag=True, help="Show every row, not the first 30.")
@output_option
def quant_report(*, path: Path, html: Path | None, no_cache: bool, every: bool, output: Output) -> None:
    """Rank a quantized model's layers by what int8 costs their outputs, each with the cause.

    Takes a bundle or a folder of `edgectl compress` (its recipe is run again; what stages made is taken from the
    cache), a recipe, or a folder that Result.save wrote. The ratio of signal to noise is that of each layer alone, on
    float inputs: 20 dB is a tenth of the signal, 40 a hundredth.
    """
    require_extra("compile")
    from edgectl.cores import CoreLease
    from edgectl.workflows.quant_report import quant_report as report_of

    paths = current_paths()
    with ExitStack() as stack:
        put = stack.enter_context(whole_file(html, option="--html")) if html is not None else None
        progress = open_progress(stack.enter_context(library_log(paths.cache, environ=os.environ)))
        observer = stack.enter_context(StageProgress(progress, after="report"))
        found = report_of(path, cache=None if no_cache else paths.cache, observer=observer, work=CoreLease(paths.state))
        if put is not None:
            from edgectl.workflows.quant_report_page import report_page

            put(report_page(found).encode())
    output.show(found.document(), layer_table(found, every=every), *_remarks(found, every=every))


def layer_table(report: QuantReport, *, every: bool) -> Table:
    """Layers, the worst first."""
    shown = report.layers if every else report.layers[:_SHOWN]
    rows = tuple(
        (
            layer.place,
            layer.operator.removeprefix("aten.").split(".")[0],
            layer.scheme,
            _decibels(layer.sqnr_db),
            _decibels(layer.weights_db),
            _decibels(layer.inputs_db),
            layer.cause,
        )
        for layer in shown
    )
    columns = ("layer", "operator", "scheme", ">dB", ">weights alone", ">input alone", "cause")
    return Table(columns, rows, title=f"{report.source}: {report.scheme}, {report.items} items", empty="no layers")


def _remarks(report: QuantReport, *, every: bool) -> list[str]:
    lines = []
    if not every and len(report.layers) > _SHOWN:
        lines.append(f"{len(report.layers) - _SHOWN} layers more: --all")
    lines += [
        f"unannotated operator {name} computes in float at {', '.join(places[:4])}"
        f"{f' and {len(places) - 4} places more' if len(places) > 4 else ''}"
        for name, places in report.unannotated.items()
    ]
    return ["", *lines] if lines else []


def _decibels(value: float) -> str:
    return "float" if value >= _FLOAT_DB else f"{value:.1f}"
