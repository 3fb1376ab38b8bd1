# SPDX-License-Identifier: Apache-2.0
"""`edgectl compress RECIPE`: a recipe's stages, each measured, and the bundle they lead to."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
from edgectl_protos.errors import ExitCode

from edgectl.cli.library_log import library_log
from edgectl.cli.observers import StageProgress
from edgectl.cli.options import current_paths, on_option, output_option, require_extra
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import open_progress
from edgectl.cli.text import milliseconds_text, seconds_text, size_text

if TYPE_CHECKING:
    from edgectl.compress.goals import GoalOutcome
    from edgectl.compress.recipe import Recipe
    from edgectl.workflows.compress_run import CompressRun
    from edgectl.workflows.stage_figures import StageFigures


@click.command("compress")
@click.argument("recipe_path", metavar="RECIPE", required=False, type=click.Path(path_type=Path))
@on_option(required=False)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results [default: the recipe's name].")
@click.option("--protocol", "protocol_name", help="With --on: short or standard.  [default: short]")
@click.option(
    "--allow-undelegated", is_flag=True, help="With --on: time stages although operators run outside the delegate."
)
@click.option("--no-cache", is_flag=True, help="Run every stage again, and keep nothing of this run.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of recipes, and do nothing else.")
@output_option
def compress(
    *,
    recipe_path: Path | None,
    device_name: str | None,
    out: Path | None,
    protocol_name: str | None,
    allow_undelegated: bool,
    no_cache: bool,
    schema: bool,
    output: Output,
) -> None:
    """Run a recipe: train, prune, distill, quantize, lower.

    Leaves NAME-VERSION.edge, model.pte and stages.json in the folder, together at the end. With --on, each stage's
    program is timed on the device, or on an emulated board its instructions are counted. What stages made is kept, so
    that an interrupted run, or one of an edited recipe, does again only what changed. Exit code 5 where everything was
    made and a goal of priority 1 does not hold.
    """
    if schema:
        from edgectl.compress.recipe_schema import published_schema

        click.echo(published_schema(), nl=False)
        return
    if recipe_path is None:
        raise click.UsageError("Missing argument 'RECIPE'.")
    require_extra("compile")
    from edgectl.compress.goals import hard_goals_hold
    from edgectl.compress.recipe import describe_plan, load_recipe

    recipe = load_recipe(recipe_path)
    for line in describe_plan(recipe):
        click.echo(line, err=True)
    run = run_recipe(
        recipe,
        out or Path(recipe.name),
        device_name,
        protocol_name,
        allow_undelegated=allow_undelegated,
        keep=not no_cache,
    )
    show_run(run, output)
    if not hard_goals_hold(run.goals):
        click.get_current_context().exit(int(ExitCode.PARTIAL))


def run_recipe(
    recipe: Recipe,
    out: Path,
    device_name: str | None,
    protocol_name: str | None,
    *,
    allow_undelegated: bool = False,
    keep: bool = False,
) -> CompressRun:
    """Run a recipe, on a device where one is named, with progress."""
    from edgectl.cores import CoreLease
    from edgectl.lab.quiet import timed_job
    from edgectl.lab.runner_choice import RunnerChoice
    from edgectl.lab.units import choose_unit, protocol_for
    from edgectl.workflows.compress_run import compress as run_stages

    protocol_for("ms", protocol_name, default="short")  # a name that no device knows is refused before one is asked
    paths = current_paths()
    with ExitStack() as stack:
        progress = open_progress(stack.enter_context(library_log(paths.cache, environ=os.environ)))
        client, protocol = None, None
        if device_name is not None:
            from edgectl.lab.devices import open_device

            client = stack.enter_context(open_device(device_name, paths=paths))
            protocol = protocol_for(choose_unit(client.info, None), protocol_name, default="short")
        observer = stack.enter_context(
            StageProgress(progress, after="lower" if client is None else "lower and measure")
        )
        return run_stages(
            recipe,
            output_dir=out,
            device=client,
            protocol=protocol,
            observer=observer,
            device_name=device_name or "",
            cache=paths.cache if keep else None,
            choice=RunnerChoice(allow_undelegated=allow_undelegated),
            on_figures=observer.figures_known,
            work=CoreLease(paths.state),
            timed=lambda: timed_job(device_name or "", paths, progress.say),
        )


def show_run(run: CompressRun, output: Output) -> None:
    """Print the stages, what the delegate took of the last one's program, and the files."""
    manifest = run.info.manifest
    output.show(
        {
            "bundle": run.bundle,
            "program": run.program,
            "name": manifest.name,
            "version": manifest.version,
            "digest": run.info.digest,
            "stages": [figures.document() for figures in run.stages],
            "target": run.fit.document(),
            "goals": [outcome.document() for outcome in run.goals],
        },
        stage_table(run.stages),
        *([goal_table(run.goals)] if run.goals else []),
        "\n".join((*run.stages[-1].delegation.lines(), *run.fit.lines())),
        f"{run.bundle} ({run.info.digest[:12]})",
    )


def stage_table(stages: tuple[StageFigures, ...]) -> Table:
    """The figures of each stage, `baseline` first; what one inference costs in the unit of the device."""
    counted = any(figures.insn is not None for figures in stages)
    heads = ("stage", ">accuracy", ">parameters", ">non-zeros", ">MACs", ">program", ">download", ">arena")
    return Table(
        (*heads, ">insn" if counted else ">p50 ms", ">outside", ">took"),
        tuple(
            (
                figures.name,
                "-" if figures.accuracy is None else f"{figures.accuracy:.2%}",
                f"{figures.parameters:,}",
                f"{figures.nonzeros:,}",
                f"{figures.macs:,}",
                size_text(figures.program_bytes),
                size_text(figures.download_bytes),
                "-" if figures.planned_bytes is None else size_text(figures.planned_bytes),
                _count_text(figures.insn) if counted else milliseconds_text(figures.p50_ms),
                str(sum(figures.delegation.undelegated.values())),
                seconds_text(figures.seconds),
            )
            for figures in stages
        ),
    )


def _count_text(insn: float | None) -> str:
    return "-" if insn is None else f"{insn:,.0f}"


def goal_table(outcomes: tuple[GoalOutcome, ...]) -> Table:
    """What the recipe wanted, and whether it holds."""
    return Table(
        ("goal", ">priority", "holds", "seen"),
        tuple(
            (outcome.goal.metric or "", str(outcome.goal.priority), "yes" if outcome.held else "no", outcome.told)
            for outcome in outcomes
        ),
    )
