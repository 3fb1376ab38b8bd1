# SPDX-License-Identifier: Apache-2.0
"""Small models, one for each way channels can be coupled; all take float32 [N, 3, 8, 8] and give [N, 5]."""

from __future__ import annotations

import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.state import ModelState
from torch import Tensor, nn
from torch.nn import functional

ITEM_SHAPE = (3, 8, 8)
CLASSES = 5


def prunable_state(module: nn.Module) -> ModelState:
    """The exported model, with batch-norm statistics and scales that are not the neutral ones."""
    generator = torch.Generator().manual_seed(7)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.running_mean, layer.bias):
                assert tensor is not None
                tensor.data.uniform_(-0.3, 0.3, generator=generator)
            for tensor in (layer.running_var, layer.weight):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    example = (torch.randn(1, *ITEM_SHAPE, generator=generator),)
    return ModelState(export_model(module, example).graph, example)


def block(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, groups=groups)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Headed(nn.Module):
    """A body, then the mean over the image and a linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, CLASSES)

    def body(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(inputs).mean((2, 3)))
        return logits


class Chain(Headed):
    def __init__(self) -> None:
        super().__init__(48)
        self.layers = nn.Sequential(block(3, 32), nn.MaxPool2d(2), block(32, 48), nn.Dropout(0.1), block(48, 48))

    def body(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return outputs


class Residual(Headed):
    def __init__(self) -> None:
        super().__init__(48)
        self.stem, self.inner, self.outer = block(3, 32), block(32, 32), block(32, 48)
        self.shortcut = nn.Conv2d(32, 48, 1)

    def body(self, inputs: Tensor) -> Tensor:
        stem = self.stem(inputs)
        added = stem + self.inner(stem)
        return functional.relu(self.outer(added) + self.shortcut(added))


class Concatenated(nn.Module):
    """Two branches side by side, then flattened into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.joint = block(3, 16), block(3, 24, kernel=1), block(40, 32)
        self.head = nn.Linear(32 * 16, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        joint = self.joint(torch.cat([self.wide(inputs), self.narrow(inputs)], dim=1))
        logits: Tensor = self.head(torch.flatten(functional.max_pool2d(joint, 2), 1))
        return logits


class Depthwise(Headed):
    def __init__(self) -> None:
        super().__init__(32)
        self.layers = nn.Sequential(block(3, 32), block(32, 32, groups=32), block(32, 64, 1), block(64, 128, groups=64))
        self.last = block(128, 32, kernel=1)

    def body(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.layers(inputs))
        return outputs


class HardCodedView(nn.Module):
    """Sizes written into `view`, from an image to a vector and back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = block(3, 32), block(16, 24)
        self.middle, self.head = nn.Linear(32 * 16, 256), nn.Linear(24 * 16, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        vector = functional.max_pool2d(self.first(inputs), 2).contiguous().view(-1, 512)
        image = functional.relu(self.middle(vector)).view(-1, 16, 4, 4)
        logits: Tensor = self.head(self.second(image).reshape(-1, 384))
        return logits


class Shuffled(Headed):
    """Chunks, a channel shuffle and a grouped convolution, as in ShuffleNet."""

    def __init__(self) -> None:
        super().__init__(64)
        self.stem, self.right, self.grouped = block(3, 32), block(16, 16), block(32, 64, groups=4)

    def body(self, inputs: Tensor) -> Tensor:
        left, right = self.stem(inputs).chunk(2, 1)
        joined = torch.cat([left, self.right(right)], dim=1)
        shuffled = joined.reshape(-1, 2, 16, 8, 8).transpose(1, 2).reshape(-1, 32, 8, 8)
        outputs: Tensor = self.grouped(shuffled)
        return outputs


class Gated(Headed):
    """Squeeze-and-excitation, a learned scale per channel, PReLU and a slice of the channels."""

    def __init__(self) -> None:
        super().__init__(32)
        self.stem, self.side = block(3, 32), block(20, 20)
        self.squeeze, self.excite = nn.Conv2d(32, 16, 1), nn.Conv2d(16, 32, 1)
        self.scale, self.slope = nn.Parameter(torch.rand(32, 1, 1) + 0.5), nn.PReLU(32)

    def body(self, inputs: Tensor) -> Tensor:
        stem = self.stem(inputs)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(stem, 1)))))
        gated = self.slope(stem * gate * self.scale)
        return torch.cat([self.side(gated[:, :20]), gated[:, 20:]], dim=1)


class SharedLayer(Headed):
    """One convolution used twice."""

    def __init__(self) -> None:
        super().__init__(32)
        self.stem, self.twice = block(3, 32), nn.Conv2d(32, 32, 3, padding=1)

    def body(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.twice(functional.relu(self.twice(self.stem(inputs))))
        return outputs


class SoftmaxOverChannels(Headed):
    """An operator without a rule in the middle."""

    def __init__(self) -> None:
        super().__init__(32)
        self.stem, self.last = block(3, 32), block(32, 32)

    def body(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(torch.softmax(self.stem(inputs), dim=1))
        return outputs


class TransformerEncoder(nn.Module):
    """Attention and layer norm keep their channels; the feed-forward layer between them can lose some."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Linear(24, 32), nn.Linear(32, CLASSES)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embedding(inputs.flatten(2).transpose(1, 2).reshape(-1, 8, 24))
        logits: Tensor = self.head(self.layer(tokens).mean(1))
        return logits


COUPLINGS: tuple[type[nn.Module], ...] = (
    Chain,
    Residual,
    Concatenated,
    Depthwise,
    HardCodedView,
    Shuffled,
    Gated,
    SharedLayer,
    SoftmaxOverChannels,
    TransformerEncoder,
)
