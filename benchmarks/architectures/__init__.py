# SPDX-License-Identifier: Apache-2.0
"""Thirty public architectures that no one here designed, small enough that all of them compress in minutes.

Twenty-one are re-implementations in the style of the original code, sizes written out; nine are the transformers
library's own, from configurations. Weights are random from a fixed seed; batch-norm statistics are those of a batch, so
that activations keep a realistic spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from architectures import classic, configured, dense_outputs, mobile, sequences

SEED = 20261125
_SETTLING_ITEMS = 16

Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to make a model, and how to draw one item of its inputs."""

    name: str
    make: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], Inputs]
    needs_transformers: bool = False

    def model(self) -> nn.Module:
        """The model in eval mode, always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            module = self.make()
            if any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) for layer in module.modules()):
                _settle(module, [torch.cat(column) for column in zip(*self.items(_SETTLING_ITEMS), strict=True)])
        return module.eval()

    def items(self, count: int, *, seed: int = 0) -> list[Inputs]:
        """`count` items of batch 1."""
        generator = torch.Generator().manual_seed(seed)
        return [self.draw(generator) for _ in range(count)]


def _settle(module: nn.Module, batch: list[torch.Tensor]) -> None:
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
    module.train()
    with torch.no_grad():
        module(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def noise(*shape: int) -> Callable[[torch.Generator], Inputs]:
    """Draws float32 [1, *shape]: noise with a slope, so that neighbours are alike."""

    def draw(generator: torch.Generator) -> Inputs:
        item = torch.randn(1, *shape, generator=generator)
        return (0.5 * item + torch.randn(1, *shape[:-1], 1, generator=generator),)

    return draw


_IMAGE = noise(3, 32, 32)

ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture("alexnet", classic.AlexNet, _IMAGE),
    Architecture("vgg", classic.VGG, _IMAGE),
    Architecture("resnet", classic.ResNet, _IMAGE),
    Architecture("resnext", lambda: classic.ResNet(groups=8, width_per_group=16), _IMAGE),
    Architecture("densenet", classic.DenseNet, _IMAGE),
    Architecture("googlenet", classic.GoogLeNet, _IMAGE),
    Architecture("regnet", classic.RegNet, _IMAGE),
    Architecture("mobilenet_v1", mobile.MobileNetV1, _IMAGE),
    Architecture("mobilenet_v2", mobile.mobilenet_v2, _IMAGE),
    Architecture("mobilenet_v3", mobile.mobilenet_v3, _IMAGE),
    Architecture("efficientnet", mobile.efficientnet, _IMAGE),
    Architecture("ghostnet", mobile.GhostNet, _IMAGE),
    Architecture("shufflenet_v1", mobile.ShuffleNetV1, _IMAGE),
    Architecture("shufflenet_v2", mobile.ShuffleNetV2, _IMAGE),
    Architecture("squeezenet", mobile.SqueezeNet, _IMAGE),
    Architecture("unet", dense_outputs.UNet, _IMAGE),
    Architecture("deeplab", dense_outputs.DeepLab, _IMAGE),
    Architecture("ssd", dense_outputs.SSD, _IMAGE),
    Architecture("ds_cnn", sequences.DSCNN, noise(1, 49, 10)),
    Architecture("tcn", sequences.TCN, noise(8, 64)),
    Architecture("gru_tagger", sequences.GRUTagger, configured.tokens(24)),
    Architecture("vit", configured.vit, _IMAGE, needs_transformers=True),
    Architecture("swin", configured.swin, _IMAGE, needs_transformers=True),
    Architecture("convnext", configured.convnext, noise(3, 64, 64), needs_transformers=True),
    Architecture("segformer", configured.segformer, noise(3, 64, 64), needs_transformers=True),
    Architecture("mobilevit", configured.mobilevit, noise(3, 64, 64), needs_transformers=True),
    Architecture("distilbert", configured.distilbert, configured.tokens(16), needs_transformers=True),
    Architecture("gpt2", configured.gpt2, configured.tokens(16), needs_transformers=True),
    Architecture("wav2vec2", configured.wav2vec2, noise(1600), needs_transformers=True),
    Architecture("whisper_encoder", configured.whisper_encoder, noise(20, 64), needs_transformers=True),
)
