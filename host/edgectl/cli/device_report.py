# SPDX-License-Identifier: Apache-2.0
"""`edgectl device report NAME`: the whole set of measurements on a board, as one file to send."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
from edgectl_protos.errors import ExitCode, UsageError

from edgectl.cli.options import complete_device, current_paths, output_option, require_extra
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import Progress, Task, open_progress
from edgectl.cli.text import seconds_text
from edgectl.cli.whole_files import whole_file

if TYPE_CHECKING:
    from edgectl.lower.reference_programs import ReferenceBundle
    from edgectl.workflows.device_report import Document, Step

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("name", required=False, shell_complete=complete_device)
@click.option("--out", type=_FILE, help="The file to write.  [default: NAME-report.zip]")
@click.option("--protocol", type=click.Choice(["standard", "short"]), default="standard", show_default=True)
@click.option("--fresh", is_flag=True, help="Measure everything, also what a broken-off report has already.")
@click.option("--read", "received", type=_FILE, help="Show a report that was received, and measure nothing.")
@output_option
def report(
    *, name: str | None, out: Path | None, protocol: str, fresh: bool, received: Path | None, output: Output
) -> int:
    """Measure everything on a board, and write one file that can be sent.

    A fixed set of programs is deployed, timed, profiled and driven at a rate; memory, swaps and the agent itself are
    measured too. It takes some minutes. Run it again after an interruption: it goes on. The file names neither the
    device nor its host, user or address. A small model, edgectl-report, stays active on the device.
    """
    if (name is None) == (received is None):
        raise UsageError("a report", expected="either NAME or --read FILE", action="give one of them")
    if received is not None:
        from edgectl.workflows.device_report_file import read_report

        _show(read_report(received), output)
        return int(ExitCode.DONE)
    require_extra("compile")
    given = str(name)
    target = out or Path(f"{given}-report.zip")
    with whole_file(target, option="--out") as put:
        document = _measure(given, protocol, fresh=fresh)
        put(_packed(document))
    _show(document, output, path=target)
    return int(ExitCode.PARTIAL if _failed(document) else ExitCode.DONE)


def _measure(name: str, protocol: str, *, fresh: bool) -> Document:
    from edgectl.fleet.authority import utc_now
    from edgectl.lab.devices import check_known, open_device
    from edgectl.lab.quiet import timed_job
    from edgectl.workflows.device_report import Kept, ReportOptions, Subject, header_of, measure_report

    paths, progress = current_paths(), open_progress()
    check_known(name, paths)
    bundles = _programs(paths.cache)
    options = ReportOptions(protocol, periodic_seconds=10.0 if protocol == "standard" else 2.0)
    started = time.monotonic()
    with open_device(name, paths=paths) as client, _Shown(progress, name) as observer:
        seconds = time.monotonic() - started if _started_here(name) else None
        subject = Subject(client, lambda: timed_job(name, paths, progress.say), seconds)
        file = paths.state / "reports" / f"{name}.json"
        if fresh:
            file.unlink(missing_ok=True)
        kept = Kept(file, header_of(client.info, bundles, options))
        taken = utc_now().date().isoformat()
        document = measure_report(subject, bundles, options, kept, taken=taken, observer=observer)
    kept.forget()
    return document


def _programs(cache: Path) -> tuple[ReferenceBundle, ...]:
    """The programs; what torch and its companions say about themselves goes to their log."""
    from edgectl.cli.library_log import library_log
    from edgectl.lower.reference_programs import reference_bundles

    with library_log(cache, environ=os.environ) as stream:
        return reference_bundles(cache, say=open_progress(stream).say)


def _started_here(name: str) -> bool:
    from edgectl.fleet.inventory import EMULATED_PREFIX, LOCAL_DEVICE

    return name == LOCAL_DEVICE or name.startswith(EMULATED_PREFIX)


class _Shown:
    """Shows the steps as one task, as long as they are thought to take; a context manager, so that it is closed."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._stack = ExitStack()
        self._task: Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begins(self, steps: Sequence[Step], done: frozenset[str]) -> None:
        total, before = (round(sum(step.seconds for step in some)) for some in (steps, _those(steps, done)))
        if done:
            self._progress.say(f"{self._name}: {len(done)} of {len(steps)} steps are done already, going on")
        self._progress.say(f"{self._name}: {len(steps) - len(done)} steps, about {seconds_text(total - before)}")
        task = self._progress.task(f"report on {self._name}", total=total, done=before, unit="s")
        self._task = self._stack.enter_context(task)

    def starts(self, step: Step) -> None:
        if self._task is not None:
            self._task.advance(0, note=step.title)

    def ends(self, step: Step, result: Document) -> None:
        if "error" in result:
            self._progress.say(f"{step.title}: {result['error']['seen']}")
        if self._task is not None:
            self._task.advance(step.seconds, note=step.title)


def _those(steps: Sequence[Step], keys: frozenset[str]) -> list[Step]:
    return [step for step in steps if step.key in keys]


def _packed(document: Document) -> bytes:
    from edgectl.workflows.device_report_file import pack_report
    from edgectl.workflows.device_report_page import report_page

    return pack_report(document, report_page(document))


def _show(document: Document, output: Output, *, path: Path | None = None) -> None:
    from edgectl.workflows.device_report_rows import report_tables, report_title

    tables = [Table(rows.columns, rows.rows, title=rows.title) for rows in report_tables(document) if rows.rows]
    written = [f"written to {path}"] if path is not None else []
    output.show(document, report_title(document), *(part for table in tables for part in ("", table)), *written)


def _failed(document: Document) -> bool:
    """Whether a step failed; what an emulated board refuses, since it has no such figure, is no failure."""
    parts = [part for program in document["programs"] for part in program.values()]
    parts += [document[name] for name in ("start", "idle", "swaps", "after")]
    errors = [part["error"]["code"] for part in parts if isinstance(part, dict) and "error" in part]
    return any(code != "usage" for code in errors) if document["device"].get("emulator") else bool(errors)
