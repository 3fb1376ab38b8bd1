# SPDX-License-Identifier: Apache-2.0
"""`edgectl bench BUNDLE|NAME --on DEVICE`: latency and memory, or instructions, measured on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from edgectl_protos.errors import DeadlineError, EdgectlError, ExitCode, RunnerError, UsageError

from edgectl.cli.bench_tables import (
    comparison_table,
    figure_text,
    measurement_table,
    periodic_table,
    repeats_line,
    repeats_table,
)
from edgectl.cli.models import active_model, bundle_path, read_bundle, upload
from edgectl.cli.options import current_paths, on_option, output_option
from edgectl.cli.output import Output
from edgectl.cli.progress import Progress, Task, open_progress
from edgectl.cli.quantities import Duration
from edgectl.cli.runner_options import runner_options
from edgectl.cli.text import milliseconds_text, one_line, size_text

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient
    from edgectl.lab.device_values import BenchmarkBlock, InstructionCount
    from edgectl.lab.measurement import Measurement
    from edgectl.lab.periodic import PeriodicLoad, PeriodicWindow
    from edgectl.lab.protocol import AnyProtocol
    from edgectl.lab.repeats import Repeats
    from edgectl.lab.runner_choice import RunnerChoice
    from edgectl.lab.units import Unit

_PERIODIC_SECONDS = 10.0


@click.command()
@click.argument("model", metavar="BUNDLE|NAME")
@on_option()
@click.option(
    "--unit",
    type=click.Choice(["ms", "insn"]),
    help="Milliseconds, or on an emulated board instructions for one inference.  [default: what the device measures]",
)
@click.option("--protocol", "protocol_name", help="short or standard.  [default: standard]")
@click.option("--time-limit", type=Duration(), help="Break it off after this long, such as 90s.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="Measure this often, each in fresh processes.")
@click.option("--against", type=click.Path(path_type=Path), help="Compare with the JSON of an earlier measurement.")
@click.option("--rate", type=float, help="Drive it at this many inferences a second instead; needs --deadline.")
@click.option("--deadline", type=Duration("ms"), help="With --rate: when a result is due, such as 20ms.")
@click.option("--seconds", type=float, help=f"With --rate: for how long.  [default: {_PERIODIC_SECONDS:g}]")
@runner_options
@output_option
def bench(
    *,
    model: str,
    device_name: str,
    unit: Unit | None,
    protocol_name: str | None,
    time_limit: float | None,
    repeat: int,
    against: Path | None,
    rate: float | None,
    deadline: float | None,
    seconds: float | None,
    choice: RunnerChoice,
    output: Output,
) -> None:
    """Measure latency and memory on a device; on an emulated board, count instructions.

    A bundle's file is sent first and does not become active; a NAME is the model that is active there.
    With --rate and --deadline it reports missed deadlines, jitter and the longest gap instead.
    """
    load = _periodic_load(rate, deadline, seconds)
    if load is not None:
        given = {"--protocol": protocol_name, "--against": against, "--time-limit": time_limit}
        given |= {"--unit": unit, "--repeat": repeat if repeat > 1 else None}
        _refuse_beside_rate([name for name, value in given.items() if value is not None])
    if repeat > 1 and against is not None:
        raise UsageError("--against with --repeat", expected="one of them", action="compare a single measurement")
    wanted = _Wanted("ms" if load is not None else unit, protocol_name, time_limit, _earlier(against))
    wanted.check()
    path = bundle_path(model)
    if path is not None:
        read_bundle(path)
    with _subject(device_name, model, path, wanted) as (subject, protocol):
        if load is not None:
            _drive(subject, load, choice, output)
            return
        title = f"{subject.name} on {device_name}"
        if repeat > 1:
            repeats = _repeat(subject, protocol, choice, repeat)
            output.show(repeats.document(), repeats_table(repeats, title=title), repeats_line(repeats))
            if repeats.failed:
                raise click.exceptions.Exit(int(ExitCode.PARTIAL))
            return
        measured = _measure(subject, protocol, choice)
    if wanted.earlier is None:
        output.show(measured.document(), measurement_table(measured, title=title))
    else:
        _show_compared(measured, wanted.earlier, title=title, against=str(against), output=output)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for before the device is known, which has a say in the unit."""

    unit: Unit | None
    protocol_name: str | None
    time_limit: float | None
    earlier: dict[str, Any] | None

    def check(self) -> None:
        """Refuse at once what no device can do."""
        from edgectl.lab.protocol import protocol
        from edgectl.lab.units import protocol_for

        if self.time_limit == 0:
            raise UsageError("--time-limit 0", expected="a time", action="leave it out for none")
        if self.protocol_name is not None:
            protocol(self.protocol_name)
        if self.unit == "insn":
            protocol_for(self.unit, self.protocol_name, default="standard")

    def on(self, client: AgentClient) -> AnyProtocol:
        """How it is measured on that device.

        Raises:
            UsageError: the device measures in another unit, or an earlier measurement is in another.
        """
        from edgectl.lab.comparison import check_unit
        from edgectl.lab.units import choose_unit, protocol_for

        unit = choose_unit(client.info, self.unit)
        if self.earlier is not None:
            check_unit(unit, self.earlier)
        protocol = protocol_for(unit, self.protocol_name, default="standard")
        return replace(protocol, time_limit_seconds=self.time_limit or 0.0)


def _repeat(subject: _Subject, protocol: AnyProtocol, choice: RunnerChoice, count: int) -> Repeats:
    """As many measurements, whatever becomes of each; one that failed is said at once.

    Raises:
        EdgectlError: all of them failed; the last one's.
    """
    from edgectl.lab.repeats import Repeats

    runs: list[Measurement | EdgectlError] = []
    for number in range(1, count + 1):
        try:
            runs.append(_measure(subject, protocol, choice, turn=f" ({number} of {count})"))
        except (RunnerError, DeadlineError) as error:
            subject.progress.say(f"measurement {number} of {count} failed: {error.message}")
            runs.append(error)
    repeats = Repeats(tuple(runs))
    if not repeats.measured:
        raise repeats.failed[-1]
    return repeats


@dataclass(frozen=True, slots=True)
class _Subject:
    """A bundle that is on a device, and the device itself."""

    client: AgentClient
    name: str
    digest: str
    device: str
    progress: Progress

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The device to ourselves: where it is this machine, edgectl's other work pauses."""
        from edgectl.lab.quiet import timed_job

        with timed_job(self.device, current_paths(), self.progress.say):
            yield


@contextmanager
def _subject(device: str, model: str, path: Path | None, wanted: _Wanted) -> Iterator[tuple[_Subject, AnyProtocol]]:
    """The bundle on the device and how it is measured there, which is settled before anything is sent."""
    from edgectl.lab.devices import open_device

    progress = open_progress()
    with open_device(device, paths=current_paths()) as client:
        protocol = wanted.on(client)
        if path is None:
            yield _Subject(client, model, active_model(client, model).digest, device, progress), protocol
        else:
            placed = upload(client, path, progress)
            yield _Subject(client, placed.name, placed.digest, device, progress), protocol


def _measure(subject: _Subject, protocol: AnyProtocol, choice: RunnerChoice, *, turn: str = "") -> Measurement:
    from edgectl.cli.live_view import LiveView
    from edgectl.lab.device_values import BenchmarkBlock
    from edgectl.lab.protocol import MeasurementProtocol

    view = LiveView()
    title = f"measure {subject.name} on {subject.device}{turn}"
    if isinstance(protocol, MeasurementProtocol):
        total, parts, samples = protocol.blocks, "blocks", "runs"
    else:
        total, parts, samples = protocol.counts, "counts", "counts"
    with subject.timed(), subject.progress.task(title, total=total, unit=parts) as task:

        def show(part: BenchmarkBlock | InstructionCount) -> None:
            if isinstance(part, BenchmarkBlock):
                # Blocks of a retry do not add up to more than there are in one attempt.
                task.reach(min(part.index + (0 if part.reference else 1), total), note=view.note(part))
            else:
                task.reach(min(part.index + 1, total))

        measured = subject.client.benchmark(subject.name, subject.digest, protocol, choice=choice, on_block=show)
        task.reach(total, note=f"p50 {figure_text(measured.p50, measured.unit)} over {len(measured.samples)} {samples}")
    return measured


def _drive(subject: _Subject, load: PeriodicLoad, choice: RunnerChoice, output: Output) -> None:
    title = f"drive {subject.name} on {subject.device}"
    with subject.timed(), subject.progress.task(title, total=round(load.seconds), unit="s") as task:
        run = subject.client.run_periodic(
            subject.name, subject.digest, load, choice=choice, on_window=lambda window: _show_window(task, window)
        )
        task.reach(round(load.seconds), note=f"{run.figures.missed} of {run.figures.releases} missed")
    output.show(run.document(), periodic_table(run, title=f"{subject.name} on {subject.device}"))


def _show_window(task: Task, window: PeriodicWindow) -> None:
    response = milliseconds_text(window.response_max_ms)
    task.advance(note=f"{window.missed} missed, response {response} ms at most, {size_text(window.rss_bytes)}")


def _show_compared(measured: Measurement, earlier: dict[str, Any], *, title: str, against: str, output: Output) -> None:
    from edgectl.lab.comparison import compare

    document = measured.document()
    found = compare(document, earlier)
    for warning in found.warnings:
        click.echo(f"warning: {one_line(warning)}", err=True)
    tables = (measurement_table(measured, title=title), comparison_table(found, earlier=against))
    output.show(document | {"comparison": found.document()}, *tables)


def _earlier(against: Path | None) -> dict[str, Any] | None:
    if against is None:
        return None
    from edgectl.lab.comparison import read_measurement

    return read_measurement(against)


def _periodic_load(rate: float | None, deadline: float | None, seconds: float | None) -> PeriodicLoad | None:
    if rate is None and deadline is None:
        if seconds is not None:
            raise UsageError(
                "--seconds without --rate", expected="both, with --deadline", action="add --rate and --deadline"
            )
        return None
    if rate is None or deadline is None:
        missing, such = ("--rate", "--rate 30") if rate is None else ("--deadline", "--deadline 20ms")
        raise UsageError(f"no {missing}", expected="--rate and --deadline together", action=f"add one, such as {such}")
    from edgectl.lab.periodic import PeriodicLoad

    return PeriodicLoad(
        rate_hz=rate, seconds=_PERIODIC_SECONDS if seconds is None else seconds, deadline_ms=deadline * 1000.0
    )


def _refuse_beside_rate(options: Sequence[str]) -> None:
    if options:
        raise UsageError(
            f"{options[0]} with --rate",
            expected="it with the usual measurement alone",
            action=f"leave {options[0]} out",
        )
