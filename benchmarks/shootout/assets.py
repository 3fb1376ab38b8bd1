# SPDX-License-Identifier: Apache-2.0
"""What every conversion of a model starts from, made once by eager torch: MODEL FOLDER.

weights.pt; input.npy, a float32 item with its batch of 1; expected.npy, its output; calibration.npy, [items, ...].
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from shootout.models import BUILDERS, CALIBRATION_ITEMS, SEED, build, noise


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    module, item = build(name), BUILDERS[name].item
    example = noise(item, 1, seed=SEED + 2)
    with torch.no_grad():
        expected = module(example)
    torch.save(module.state_dict(), folder / "weights.pt")
    np.save(folder / "input.npy", example.numpy())
    np.save(folder / "expected.npy", expected.numpy())
    np.save(folder / "calibration.npy", noise(item, CALIBRATION_ITEMS, seed=SEED + 3).numpy())
    (folder / "name.txt").write_text(name)


if __name__ == "__main__":
    main()
