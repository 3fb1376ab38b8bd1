# SPDX-License-Identifier: Apache-2.0
"""`edgectl rollback NAME --on DEVICE`: make the bundle active that was so before."""

from __future__ import annotations

import click

from edgectl.cli.options import current_paths, on_option, output_option
from edgectl.cli.output import Output


@click.command()
@click.argument("name")
@on_option()
@output_option
def rollback(name: str, device_name: str, output: Output) -> None:
    """Go back to the bundle that was active before."""
    from edgectl.lab.devices import open_device

    with open_device(device_name, paths=current_paths()) as client:
        done = client.rollback(name)
    output.show(
        {"name": name, "digest": done.digest, "rolled_back_digest": done.rolled_back_digest, "device": device_name},
        f"{name} on {device_name} is back to {done.digest[:12]}, from {done.rolled_back_digest[:12]}",
    )
