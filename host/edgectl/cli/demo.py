# SPDX-License-Identifier: Apache-2.0
"""`edgectl demo`: a small model through everything, on this machine alone."""

from __future__ import annotations

import os
from pathlib import Path

import click
from edgectl_protos.errors import ExitCode

from edgectl.cli.library_log import library_log
from edgectl.cli.options import current_paths, output_option, require_extra
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import open_progress


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("edgectl-demo"), show_default=True,
    help="Folder for report.html, report.json, front.png and the bundle.",
)  # fmt: skip
@click.option("--folds", type=click.IntRange(1, 5), default=5, show_default=True, help="Folds of the cross-validation.")
@click.option("--candidates", type=click.IntRange(1, 1000), default=12, show_default=True, help="Candidates to search.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds and the search.")
@output_option
def demo(out: Path, folds: int, candidates: int, seed: int, output: Output) -> None:
    """Take a small model through everything, on this machine alone.

    Trains a CNN on handwritten digits, prunes, distills and quantizes it over a cross-validation, deploys it to an
    agent that it starts itself, times every stage there, searches for other models, and writes a report. Exit code 5
    where the run does not show what it should; the report says what.
    """
    require_extra("demo")
    from edgectl.cores import CoreLease
    from edgectl.demo.report import check_folder, write_report
    from edgectl.demo.run import DemoSettings, run_demo
    from edgectl.fleet.inventory import LOCAL_DEVICE
    from edgectl.lab.quiet import timed_job

    check_folder(out)
    settings = DemoSettings(folds=folds, candidates=candidates, seed=seed)
    paths = current_paths()
    with library_log(paths.cache, environ=os.environ) as stderr:
        progress = open_progress(stderr)
        outcome = run_demo(
            settings,
            progress=progress,
            work=CoreLease(paths.state),
            timed=lambda: timed_job(LOCAL_DEVICE, paths, progress.say),
        )
    written = write_report(outcome, out)
    document = outcome.document()
    rows = tuple(
        (
            stage["name"],
            f"{100 * stage['accuracy']:.2f} %",
            f"{stage['parameters']:,}",
            f"{stage['program_bytes']:,}",
            f"{1000 * stage['p50_ms']:.1f}",
            f"{100 * stage['delegated_fraction']:.0f} %",
        )
        for stage in document["stages"]
    )
    telemetry = document["telemetry"]
    output.show(
        document,
        Table(("stage", ">accuracy", ">parameters", ">bytes", ">p50 us", ">delegated"), rows),
        f"search: {len(document['search']['candidates'])} candidates on the device, "
        f"{len(document['search']['pareto'])} on the Pareto front",
        f"telemetry: {telemetry['grpc_records']} records over gRPC, {telemetry['mqtt_records']} over MQTT",
        f"report: {written}",
    )
    shortfalls = outcome.shortfalls()
    for shortfall in shortfalls:
        click.echo(f"falls short: {shortfall}", err=True)
    if shortfalls:
        raise click.exceptions.Exit(int(ExitCode.PARTIAL))
