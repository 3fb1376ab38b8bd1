# SPDX-License-Identifier: Apache-2.0
"""The programs that `edgectl device report` measures: the same on every board, so that reports can be compared.

None is trained: their weights come from a seed, and what they compute is of no use. They are kept by what they are
made from, since lowering them takes a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.bundle import BundleInfo, open_bundle
from edgectl_protos.errors import BundleError, UsageError

from edgectl.lower.bundle import write_bundle
from edgectl.targets import load_target

if TYPE_CHECKING:
    import torch
    from torch import nn

BUNDLE_NAME = "edgectl-report"
"""Of all of them: each is a version of this model, so that one at a time serves on the board."""

_SEED = 20_261_125
_CALIBRATION_ITEMS, _GOLDEN_CASES = 8, 3


@dataclass(frozen=True, slots=True)
class ReferenceProgram:
    """A program and the rate in Hz at which it is driven. `quantized` is int8."""

    name: str
    description: str
    rate_hz: float
    input_shape: tuple[int, ...]
    quantized: bool


@dataclass(frozen=True, slots=True)
class ReferenceBundle:
    """A program as a bundle's file."""

    program: ReferenceProgram
    path: Path
    info: BundleInfo


REFERENCE_PROGRAMS = (
    ReferenceProgram("cnn-fp32", "convolutions, 64 x 64 pixels, float", 30.0, (1, 3, 64, 64), quantized=False),
    ReferenceProgram("cnn-int8", "convolutions, 64 x 64 pixels, int8", 30.0, (1, 3, 64, 64), quantized=True),
    ReferenceProgram(
        "mobile-int8", "inverted residuals, 128 x 128 pixels, int8", 15.0, (1, 3, 128, 128), quantized=True
    ),
    ReferenceProgram("encoder-fp32", "a transformer encoder, 64 tokens, float", 15.0, (1, 64, 128), quantized=False),
)


def reference_bundles(cache: Path, *, say: Callable[[str], object]) -> tuple[ReferenceBundle, ...]:
    """Every program as a bundle below `cache`, made where it is not there yet.

    Raises:
        CompileError: one cannot be lowered.
        UsageError: the folder cannot be written.
    """
    folder = cache / "reference-programs" / _made_from()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror})", expected="a folder of yours") from error
    return tuple(_bundle(program, folder, say) for program in REFERENCE_PROGRAMS)


def _made_from() -> str:
    """Programs of other sources or versions are other programs."""
    made_from = hashlib.sha256(Path(__file__).read_bytes())
    made_from.update(
        "".join(f"{name} {metadata.version(name)} " for name in ("torch", "executorch", "edgectl")).encode()
    )
    return made_from.hexdigest()[:16]


def _bundle(program: ReferenceProgram, folder: Path, say: Callable[[str], object]) -> ReferenceBundle:
    path = folder / f"{BUNDLE_NAME}-{program.name}.edge"
    try:
        with open_bundle(path) as bundle:
            bundle.verify()
            return ReferenceBundle(program, path, bundle.info)
    except (UsageError, BundleError):
        say(f"making the program {program.name}: {program.description}")
    return ReferenceBundle(program, path, _written(program, path))


def _written(program: ReferenceProgram, path: Path) -> BundleInfo:
    import torch

    from edgectl.lower.golden import golden_of_graph
    from edgectl.lower.program import library_noise_silenced, lower_graph

    with torch.random.fork_rng(devices=[]), torch.no_grad(), library_noise_silenced():
        torch.manual_seed(_SEED)
        module = _MODULES[program.name]().eval()
        items = torch.randn(_CALIBRATION_ITEMS, *program.input_shape[1:])
        graph = torch.export.export(module, (items[:1],)).module()
        if program.quantized:
            graph = _quantized(graph, items)
        golden = golden_of_graph(graph, items[:_GOLDEN_CASES])
        lowered = lower_graph(graph, (items[:1],))
    return write_bundle(
        path,
        program=lowered,
        name=BUNDLE_NAME,
        version=program.name,
        golden=golden.cases,
        tolerance=golden.tolerance,
        labels=(),
        target=load_target("generic"),
        provenance={"made_for": "edgectl device report", "description": program.description},
    )


def _quantized(graph: Any, items: torch.Tensor) -> Any:
    """Static int8, weights per channel: the usual flow for XNNPACK, so that it stays the same when ours learns more."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(graph, quantizer)
    for row in range(len(items)):
        prepared(items[row : row + 1])
    return convert_pt2e(prepared)


def _cnn() -> nn.Module:
    from torch import nn

    widths = (3, 16, 32, 64, 64)
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, stride=2 if index else 1, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def _mobile() -> nn.Module:
    """Inverted residuals with linear bottlenecks (Sandler et al. 2018), narrower and shallower."""
    from torch import nn

    blocks = ((16, 8, 1), (8, 16, 2), (16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 48, 2), (48, 48, 1), (48, 96, 2))
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU6()]
    layers += [_inverted_residual(before, after, stride) for before, after, stride in blocks]
    return nn.Sequential(*layers, nn.Conv2d(96, 320, 1), nn.ReLU6(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(320, 100))


def _inverted_residual(before: int, after: int, stride: int) -> nn.Module:
    from torch import nn

    wide = 6 * before
    path = nn.Sequential(
        nn.Conv2d(before, wide, 1),
        nn.ReLU6(),
        nn.Conv2d(wide, wide, 3, stride=stride, padding=1, groups=wide),
        nn.ReLU6(),
        nn.Conv2d(wide, after, 1),
    )
    return _residual(path) if stride == 1 and before == after else path


def _residual(path: nn.Module) -> nn.Module:
    from torch import nn

    class Residual(nn.Module):
        """The path's output and its input, added."""

        def __init__(self) -> None:
            super().__init__()
            self.path = path

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = values + self.path(values)
            return result

    return Residual()


def _encoder() -> nn.Module:
    """Two layers of 128 features and 4 heads, normalized first."""
    from torch import nn

    width, heads = 128, 4

    class Layer(nn.Module):
        """Attention and a feed-forward net, each with its residual."""

        def __init__(self) -> None:
            super().__init__()
            self.attended, self.fed = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.joined = nn.Linear(width, width)
            self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            # The batch is 1, so that heads take its place: nothing has to be expanded.
            normal = self.attended(tokens)
            query, key, value = (self._by_head(part(normal)) for part in (self.query, self.key, self.value))
            weights = (query.bmm(key.transpose(1, 2)) / (width // heads) ** 0.5).softmax(-1)
            tokens = tokens + self.joined(weights.bmm(value).transpose(0, 1).reshape(tokens.shape))
            result: torch.Tensor = tokens + self.feed(self.fed(tokens))
            return result

        def _by_head(self, values: torch.Tensor) -> torch.Tensor:
            return values.reshape(-1, heads, width // heads).transpose(0, 1)

    return nn.Sequential(Layer(), Layer(), nn.Linear(width, 10))


_MODULES: dict[str, Callable[[], nn.Module]] = {
    "cnn-fp32": _cnn,
    "cnn-int8": _cnn,
    "mobile-int8": _mobile,
    "encoder-fp32": _encoder,
}
