# SPDX-License-Identifier: Apache-2.0
"""Why a model cannot be exported: the call, the line of the user's source it is in, and what to change."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
from edgectl_protos.errors import CompileError

from edgectl.compress.reasons import first_line

_LONGEST_SOURCE = 120
_NOT_THE_USERS = (Path(torch.__file__).parent, Path(__file__).parent)

# what an error's text says -> what to change; the first that occurs in it is told
_ACTIONS = (
    ("data-dependent", "a branch or a size depends on values: use torch.where or torch.cond, or make it a constant"),
    ("datadependent", "a branch or a size depends on values: use torch.where or torch.cond, or make it a constant"),
    ("unbacked", "a branch or a size depends on values: use torch.where or torch.cond, or make it a constant"),
    (".item()", "keep the value in a tensor: .item() and int() of a tensor cannot be exported"),
    ("_local_scalar_dense", "keep the value in a tensor: .item() and int() of a tensor cannot be exported"),
    ("numpy", "compute with torch alone inside forward: numpy arrays cannot be exported"),
    ("no fake impl", "give the custom operator a fake implementation (torch.library.register_fake)"),
    ("meta kernel", "give the custom operator a fake implementation (torch.library.register_fake)"),
    ("fake tensor", "make every tensor that forward uses a parameter, a buffer or an input"),
    ("fakified", "make every tensor that forward uses a parameter, a buffer or an input"),
)
_OTHERWISE = "take the operation on that line out of the model, or write it with plain torch operators"


def export_error(name: str, error: BaseException) -> CompileError:
    """The error to raise for a model called `name` that torch.export refused."""
    place = user_line(error)
    at = f", at {place}" if place else ""
    text = str(error).casefold()
    action = next((action for sign, action in _ACTIONS if sign in text), _OTHERWISE)
    return CompileError(
        f"{name} cannot be exported{at}: {first_line(error)}",
        expected="a model that torch.export accepts",
        action=action,
    )


def user_line(error: BaseException) -> str:
    """FILE:LINE and the source of the innermost call outside torch and this package; empty where there is none."""
    found = ""
    for cause in _causes(error):
        for frame in traceback.extract_tb(cause.__traceback__):
            path = Path(frame.filename)
            if frame.filename.startswith("<") or any(path.is_relative_to(folder) for folder in _NOT_THE_USERS):
                continue
            if frame.line and "contextlib" not in frame.filename:
                found = f"{path.name}:{frame.lineno} `{frame.line.strip()[:_LONGEST_SOURCE]}`"
        if found:
            return found
    return found


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
