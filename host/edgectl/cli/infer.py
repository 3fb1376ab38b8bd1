# SPDX-License-Identifier: Apache-2.0
"""`edgectl infer NAME|BUNDLE --on DEVICE --input x.npy`: one run of the active program there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from edgectl_protos.tensors import TensorSpec, check_inputs

from edgectl.cli.arrays import load_array, save_array
from edgectl.cli.models import bundle_path, read_bundle, upload
from edgectl.cli.options import current_paths, on_option, output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.progress import open_progress
from edgectl.workflows.output_folder import output_folder

if TYPE_CHECKING:
    from edgectl.lab.device_values import Array, Inference

_TOP = 5
_MOST_VALUES = 4096


@click.command()
@click.argument("model", metavar="NAME|BUNDLE")
@on_option()
@click.option(
    "--input",
    "inputs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="An .npy file; one for each input of the program, in order.",
)
@click.option("--output-dir", type=click.Path(path_type=Path), help="Write output0.npy ... into this folder.")
@output_option
def infer(model: str, device_name: str, inputs: tuple[Path, ...], output_dir: Path | None, output: Output) -> None:
    """Run a model on a device over .npy inputs.

    A bundle's file is deployed first (it becomes the active one), and its labels name the best five of a single
    output. The JSON holds the values of outputs of at most 4,096 items; --output-dir keeps any.
    """
    from edgectl.lab.devices import open_device

    arrays = [load_array(path) for path in inputs]
    path = bundle_path(model)
    labels: tuple[str, ...] = ()
    if path is not None:
        manifest = read_bundle(path).manifest
        check_inputs(tuple(TensorSpec(array.dtype.name, array.shape) for array in arrays), manifest.inputs)
        labels = manifest.labels
    with open_device(device_name, paths=current_paths()) as client:
        name = model
        if path is not None:
            placed = upload(client, path, open_progress())
            client.activate(placed.name, placed.digest)
            name = placed.name
        result = client.infer(name, arrays)
    if output_dir is not None:
        with output_folder(output_dir):
            for index, array in enumerate(result.outputs):
                save_array(output_dir / f"output{index}.npy", array)
    _show(name, result, top_labels(result.outputs, labels), output)


def top_labels(outputs: list[Array], labels: tuple[str, ...]) -> list[tuple[str, float]]:
    """The best labels and their scores, best first; none where labels and outputs do not belong together."""
    if len(outputs) != 1 or outputs[0].size != len(labels):
        return []
    scores = [float(score) for score in outputs[0].reshape(-1)]
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[:_TOP]
    return [(labels[index], scores[index]) for index in best]


def _show(name: str, result: Inference, top: list[tuple[str, float]], output: Output) -> None:
    document: dict[str, Any] = {
        "name": name,
        "digest": result.digest,
        "execute_us": result.execute_us,
        "outputs": [_output_document(array) for array in result.outputs],
        "top": [{"label": label, "score": score} for label, score in top],
    }
    tensors = Table(
        ("output", "is", "values"),
        tuple((str(index), _spec(array), _preview(array)) for index, array in enumerate(result.outputs)),
        title=f"{name} ({result.digest[:12]}){_time(result.execute_us)}",
    )
    best = Table(("label", ">score"), tuple((label, f"{score:.4g}") for label, score in top))
    output.show(document, tensors, *([best] if top else []))


def _time(execute_us: float | None) -> str:
    return "" if execute_us is None else f", {execute_us:.1f} us"


def _output_document(array: Array) -> dict[str, Any]:
    values = array.tolist() if array.size <= _MOST_VALUES else None
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def _spec(array: Array) -> str:
    return f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"


def _preview(array: Array) -> str:
    flat = array.reshape(-1)
    text = " ".join(f"{value:.4g}" for value in flat[:_TOP].tolist())
    return f"{text} ..." if flat.size > _TOP else text
