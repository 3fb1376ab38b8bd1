# SPDX-License-Identifier: Apache-2.0
"""Tensors as .npy files. Files come from anywhere: no pickle, and nothing but .npy."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def load_array(path: Path) -> npt.NDArray[np.generic]:
    """The array in an .npy file.

    Raises:
        UsageError: the file cannot be read.
        InputError: it is not an .npy file, is damaged, or holds Python objects.
    """
    from numpy.lib import format as npy

    try:
        with path.open("rb") as file:
            return npy.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", expected="an .npy file", action="check the path") from error
    except (ValueError, EOFError, MemoryError, OverflowError, SyntaxError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as .npy ({error})",
            expected="an array that numpy.save wrote, of numbers",
            action="write it again with numpy.save(path, array, allow_pickle=False)",
        ) from error


def save_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write an .npy file whole or not at all."""
    from numpy.lib import format as npy

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            npy.write_array(file, array, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
