# SPDX-License-Identifier: Apache-2.0
"""Ask a model that the agent on this board serves: ask.py FOLDER [MODEL INPUT.npy ...]. Without a model, list them."""

from __future__ import annotations

import sys

import numpy as np
from edgectl_agent.client import BusyError, connect
from edgectl_protos.errors import EdgectlError


def main(folder: str, name: str = "", *files: str) -> None:
    with connect(folder) as models:
        if not name:
            for one in models.listings():
                print(
                    f"{one.name} {one.version}: {', '.join(map(str, one.inputs))} -> {', '.join(map(str, one.outputs))}"
                )
            return
        answer = models.model(name).run(*map(np.load, files), timeout=5)
        for array in answer.arrays():
            print(np.array2string(array, precision=4))
        print(f"{answer.execute_us:.0f} us inside the program")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BusyError as error:
        sys.exit(f"too much is asked of it: {error}")
    except EdgectlError as error:
        sys.exit(str(error))
