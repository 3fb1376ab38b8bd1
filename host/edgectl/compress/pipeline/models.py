# SPDX-License-Identifier: Apache-2.0
"""A recipe's model: made by a user's function, or by transformers from a local path: nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from edgectl_protos.errors import CompileError, StateError, UsageError
from torch import nn

from edgectl.compress.entry_points import call_entry_point, load_entry_point
from edgectl.compress.reasons import first_line
from edgectl.compress.recipe import HUGGING_FACE

CONFIGURATION = "config.json"


def build_model(spec: str, arguments: Mapping[str, Any], *, seed: int) -> nn.Module:
    """The module that a recipe names, its random weights drawn from `seed`.

    Raises:
        UsageError: there is no such entry point or path.
        CompileError: it fails, or is no module.
        StateError: transformers is not installed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if spec.startswith(HUGGING_FACE):
            return _from_transformers(Path(spec.removeprefix(HUGGING_FACE)), arguments)
        module = call_entry_point(load_entry_point(spec), spec, arguments, failure=CompileError)
    if not isinstance(module, nn.Module):
        raise CompileError(f"{spec} returned a {type(module).__name__}", expected="a torch.nn.Module")
    return module


def _from_transformers(path: Path, arguments: Mapping[str, Any]) -> nn.Module:
    folder = path if path.is_dir() else path.parent
    file = path / CONFIGURATION if path.is_dir() else path
    document = _configuration(file)
    try:
        import transformers
    except ImportError as error:
        raise StateError(f"transformers cannot be imported ({error})", action="pip install transformers") from error
    names = document.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    made = getattr(transformers, name, None) if isinstance(name, str) and name.isidentifier() else None
    made = made if isinstance(made, type) and issubclass(made, transformers.PreTrainedModel) else None
    if name is not None and made is None:
        raise UsageError(f"{file}: transformers has no {name!r}", expected="a model class of transformers")
    try:
        settings = transformers.AutoConfig.for_model(**{**document, **arguments})
        if path.is_dir() and list(folder.glob("*.safetensors")) and made is not None:
            loaded = made.from_pretrained(folder, config=settings, local_files_only=True, use_safetensors=True)
        else:
            loaded = made._from_config(settings) if made else transformers.AutoModel.from_config(settings)  # type: ignore[no-untyped-call]  # noqa: SLF001
    except Exception as error:
        raise CompileError(f"{path}: transformers cannot make it: {first_line(error)}") from error
    module: nn.Module = loaded
    return module.eval()


def _configuration(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", expected="a transformers config.json") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {first_line(error)}", expected="a transformers config.json") from error
    if not isinstance(document, dict) or "model_type" not in document:
        raise UsageError(f"{file} has no model_type", expected="a transformers config.json")
    return document
