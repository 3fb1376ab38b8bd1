# SPDX-License-Identifier: Apache-2.0
"""`edgectl deploy BUNDLE --on DEVICE`: send it and make it the active one, where its golden outputs come out right."""

from __future__ import annotations

from pathlib import Path

import click

from edgectl.cli.models import read_bundle, upload
from edgectl.cli.options import current_paths, on_option, output_option
from edgectl.cli.output import Output
from edgectl.cli.progress import open_progress


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@on_option("--to")
@output_option
def deploy(bundle: Path, device_name: str, output: Output) -> None:
    """Install a bundle on a device and make it the active one.

    The device first runs the bundle's golden inputs; where the outputs differ, the bundle that was active stays so
    (exit code 6).
    """
    from edgectl.lab.devices import open_device

    read_bundle(bundle)
    progress = open_progress()
    with open_device(device_name, paths=current_paths()) as client:
        placed = upload(client, bundle, progress)
        with progress.task("check golden outputs on the device"):
            activation = client.activate(placed.name, placed.digest)
    output.show(
        {
            "name": placed.name,
            "version": placed.version,
            "digest": activation.digest,
            "previous_digest": activation.previous_digest,
            "golden_max_abs_error": activation.golden_max_abs_error,
            "unchecked_budgets": {entry.budget: entry.reason for entry in activation.unchecked_budgets},
            "device": device_name,
        },
        f"{placed.name} {placed.version} ({activation.digest[:12]}) is active on {device_name}; "
        f"golden outputs within {activation.golden_max_abs_error:.3g}",
        *(f"not checked: {entry.budget}: {entry.reason}" for entry in activation.unchecked_budgets),
    )
