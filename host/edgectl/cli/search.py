# SPDX-License-Identifier: Apache-2.0
"""`edgectl search STUDY.yaml --on DEVICE --out DIR`: candidates trained, compressed and timed on a device."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from edgectl_protos.errors import CompileError

from edgectl.cli.library_log import library_log
from edgectl.cli.observers import SearchProgress
from edgectl.cli.options import current_paths, on_option, output_option, require_extra
from edgectl.cli.output import Output, json_text
from edgectl.cli.progress import open_progress

if TYPE_CHECKING:
    from edgectl.workflows.search_run import FoundFront


@click.command("search")
@click.argument("study", metavar="STUDY.yaml", type=click.Path(path_type=Path))
@on_option()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the study and its results.")
@click.option("--candidates", type=click.IntRange(min=1), help="Instead of the study file's number.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Instead of the study file's.")
@output_option
def search(
    *, study: Path, device_name: str, out: Path, candidates: int | None, seed: int | None, output: Output
) -> None:
    """Search for models, each one timed on a device.

    The study is kept in the folder: after an interruption the same command goes on where it stopped, and a higher
    --candidates extends it. Leaves front.html, front.png and front.json there.
    """
    require_extra("compile")
    require_extra("search")
    from edgectl.cores import CoreLease
    from edgectl.lab.devices import open_device
    from edgectl.lab.quiet import timed_job
    from edgectl.search.front import front_table
    from edgectl.workflows.search_file import load_search
    from edgectl.workflows.search_run import search as run_search

    configuration = load_search(study)
    if seed is not None:
        configuration = dataclasses.replace(configuration, seed=seed)
    paths = current_paths()
    with (
        _said_when_interrupted(out),
        library_log(paths.cache, environ=os.environ) as stderr,
        open_device(device_name, paths=paths) as client,
        SearchProgress(progress := open_progress(stderr)) as observer,
    ):
        found = run_search(
            configuration,
            output_dir=out,
            client=client,
            candidates=candidates or configuration.candidates,
            observer=observer,
            work=CoreLease(paths.state),
            timed=lambda: timed_job(device_name, paths, progress.say),
        )
    front = found.front
    write_front(found, out)
    if found.exhausted:
        click.echo(found.message, err=True)
    if not front.complete:
        raise CompileError(
            f"all {len(front.failed)} candidates failed; the last: {front.failed[-1].reason}",
            expected="at least one that can be built and timed",
            action=f"see {out / 'front.json'}",
        )
    output.show(found.document(), front_table(front), f"written to {out}: front.html, front.png, front.json")


@contextmanager
def _said_when_interrupted(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if folder.exists():  # it is made when the device has answered
            click.echo(f"the study in {folder} is kept: the same command goes on from there", err=True)
        raise


def write_front(found: FoundFront, folder: Path) -> None:
    """The front as a page, a document and, where there is something to draw, a picture; each whole or not at all."""
    from edgectl.search.front_page import write_front_page
    from edgectl.search.front_picture import write_front_picture

    front = found.front
    write_front_page(folder / "front.html", front)
    if front.complete:
        write_front_picture(folder / "front.png", front)
    temporary = folder / ".front.json.new"
    temporary.write_text(json_text(found.document()) + "\n", encoding="utf-8")
    temporary.replace(folder / "front.json")
