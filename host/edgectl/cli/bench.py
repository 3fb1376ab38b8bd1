# SPDX-License-Identifier: Apache-2.0
"""`edgectl bench BUNDLE|NAME --on DEVICE`: latency and memory, measured there in a fresh process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgectl.cli.models import active_model, bundle_path, read_bundle, upload
from edgectl.cli.options import current_paths, on_option, output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import Progress, Task, open_progress
from edgectl.cli.text import milliseconds_text, size_text

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient
    from edgectl.lab.device_values import BenchmarkBlock
    from edgectl.lab.measurement import Measurement


@click.command()
@click.argument("model", metavar="BUNDLE|NAME")
@on_option()
@click.option("--protocol", "protocol_name", default="standard", show_default=True, help="short or standard.")
@click.option("--threads", type=click.IntRange(min=0, max=256), default=0, help="0 leaves it to the device.")
@output_option
def bench(model: str, device_name: str, protocol_name: str, threads: int, output: Output) -> None:
    """Measure latency and memory on a device.

    A bundle's file is sent first and does not become active; a NAME is the model that is active there.
    """
    from edgectl.lab.devices import open_device
    from edgectl.lab.protocol import protocol

    chosen = protocol(protocol_name)
    path = bundle_path(model)
    if path is not None:
        read_bundle(path)
    progress = open_progress()
    with open_device(device_name, paths=current_paths()) as client:
        name, digest = _placed(client, model, path, progress)
        with progress.task(f"measure {name} on {device_name}", total=chosen.blocks, unit="blocks") as task:
            measured = client.benchmark(
                name, digest, chosen, threads=threads, on_block=lambda block: _show_block(task, block)
            )
            runs, blocks = len(measured.samples), len(measured.block_sizes)
            task.reach(blocks, note=f"p50 {milliseconds_text(measured.p50)} ms over {runs} runs")
    output.show(measured.document(), measurement_table(measured, title=f"{name} on {device_name}"))


def _placed(client: AgentClient, name: str, path: Path | None, progress: Progress) -> tuple[str, str]:
    if path is None:
        return name, active_model(client, name).digest
    placed = upload(client, path, progress)
    return placed.name, placed.digest


def _show_block(task: Task, block: BenchmarkBlock) -> None:
    from edgectl_protos.quantiles import quantile

    median = quantile(sorted(block.samples_ms), 0.5) if block.samples_ms else None
    task.advance(note=f"p50 {milliseconds_text(median)} ms over {len(block.samples_ms)} runs")


def measurement_table(measured: Measurement, *, title: str) -> Table:
    """A measurement's figures, one to a row."""
    unit = measured.unit
    latencies = (("p50", measured.p50), ("p90", measured.p90), ("p95", measured.p95), ("p99", measured.p99))
    memory = measured.memory
    sizes = (
        ("program", memory.program_bytes),
        ("planned memory", memory.planned_bytes),
        ("resident after load", memory.load_rss_bytes),
        ("resident at most", memory.peak_rss_bytes),
    )
    quality = f"{measured.quality}: {measured.quality_reason}" if measured.quality_reason else measured.quality
    return Table(
        ("figure", "value"),
        (
            *(
                (name, f"{milliseconds_text(value)} {unit}" if value is not None else "too few samples")
                for name, value in latencies
            ),
            ("load", f"{milliseconds_text(measured.load_ms)} ms"),
            *((name, size_text(value)) for name, value in sizes),
            ("samples", f"{len(measured.samples)} in {len(measured.block_sizes)} blocks, protocol {measured.protocol}"),
            ("quality", quality),
        ),
        title=title,
    )
