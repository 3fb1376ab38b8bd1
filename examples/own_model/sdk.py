# SPDX-License-Identifier: Apache-2.0
"""The road of recipe.yaml in Python: compress, deploy to a local agent, ask it. Run it from this folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from edgectl.compress.data import load_splits
from edgectl.compress.pipeline import SilentObserver
from edgectl.compress.recipe import load_recipe
from edgectl.config import paths_from_environment
from edgectl.lab.devices import open_device
from edgectl.lab.protocol import SHORT
from edgectl.workflows.compress_run import compress


def main() -> int:
    recipe = load_recipe(Path(__file__).with_name("recipe.yaml"))
    with TemporaryDirectory() as folder, open_device("local", paths=paths_from_environment(os.environ)) as device:
        run = compress(recipe, output_dir=Path(folder), device=device, protocol=SHORT, observer=SilentObserver())
        for stage in run.stages:
            latency = 1000 * (stage.p50_ms or 0)
            print(
                f"{stage.name:10} accuracy {stage.accuracy:.3f}, {stage.program_bytes:7,} bytes, p50 {latency:.1f} us"
            )
        installed = device.put_bundle(run.bundle)
        device.activate(installed.name, installed.digest)
        data = load_splits(recipe.data)
        answer = device.infer(installed.name, [data.test_inputs[:1].numpy()])
        print(f"the device says {data.labels[answer.outputs[0].argmax()]}, it is {data.labels[data.test_targets[0]]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
