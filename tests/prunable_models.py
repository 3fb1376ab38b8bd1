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
    """Layer norm keeps its channels; heads, their width and the feed-forward layer can lose some."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Linear(24, 32), nn.Linear(32, CLASSES)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embedding(inputs.flatten(2).transpose(1, 2).reshape(-1, 8, 24))
        logits: Tensor = self.head(self.layer(tokens).mean(1))
        return logits


class FusedAttention(nn.Module):
    """One weight for queries, keys and values, cut into heads by a reshape, as vision transformers have it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Conv2d(3, 32, 2, stride=2), nn.LayerNorm(32)
        self.token, self.position = nn.Parameter(torch.rand(1, 1, 32)), nn.Parameter(torch.rand(1, 17, 32))
        self.qkv, self.out, self.head = nn.Linear(32, 96), nn.Linear(32, 32), nn.Linear(32, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embedding(inputs).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.position
        batch, count, width = tokens.shape
        queries, keys, values = (
            self.qkv(self.norm(tokens)).reshape(batch, count, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        logits: Tensor = self.head(tokens[:, 0])
        return logits


class WindowAttention(nn.Module):
    """Written-out attention in shifted windows with a bias per head from a table, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm, self.head = nn.Conv2d(3, 32, 1), nn.LayerNorm(32), nn.Linear(32, CLASSES)
        self.query, self.key, self.value = (nn.Linear(32, 32) for _ in range(3))
        self.table, self.out = nn.Parameter(torch.rand(9, 4)), nn.Linear(32, 32)
        self.register_buffer("places", torch.randint(0, 9, (4, 4), generator=torch.Generator().manual_seed(0)))
        self.places: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        image = torch.roll(self.embedding(inputs).permute(0, 2, 3, 1), shifts=(-1, -1), dims=(1, 2))
        windows = image.view(-1, 4, 2, 4, 2, 32).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 32)
        heads = [
            layer(self.norm(windows)).view(-1, 4, 4, 8).transpose(1, 2) for layer in (self.query, self.key, self.value)
        ]
        scores = heads[0] @ heads[1].transpose(-1, -2) / 8**0.5
        bias = self.table[self.places.view(-1)].view(4, 4, -1).permute(2, 0, 1).contiguous()
        weights = torch.softmax(scores + bias.unsqueeze(0), dim=-1)
        windows = windows + self.out((weights @ heads[2]).transpose(1, 2).reshape(-1, 4, 32))
        tokens = windows.view(-1, 64, 32)
        logits: Tensor = self.head(tokens.mean(1))
        return logits


class Grouped(Headed):
    """Grouped convolutions with several channels in and out of each group, and a group norm."""

    def __init__(self) -> None:
        super().__init__(32)
        self.stem, self.wide, self.norm = block(3, 32), block(32, 64, groups=4), nn.GroupNorm(8, 64)
        self.last = nn.Conv2d(64, 32, 1)

    def body(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(functional.relu(self.norm(self.wide(self.stem(inputs)))))
        return outputs


class UpAndDown(Headed):
    """Transposed convolutions, pixel shuffle, upsampling and a skip connection, as in U-Net."""

    def __init__(self) -> None:
        super().__init__(48)
        self.down, self.deep = block(3, 16), block(16, 32)
        self.up, self.fine = nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ConvTranspose2d(16, 64, 3, padding=1, groups=4)
        self.narrow = nn.Conv2d(64 + 16, 64, 1)
        self.last = nn.Conv2d(16, 48, 3)

    def body(self, inputs: Tensor) -> Tensor:
        left = self.down(inputs)
        deep = functional.relu(self.up(self.deep(functional.max_pool2d(left, 2))))
        joined = self.narrow(torch.cat([functional.relu(self.fine(deep)), left], dim=1))
        outputs: Tensor = self.last(functional.interpolate(functional.pixel_shuffle(joined, 2), scale_factor=0.5))
        return outputs


class ChannelsLast(nn.Module):
    """Permutes, a norm over the channels, a hidden layer, a learned scale and a gate, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.spread = nn.Conv2d(3, 24, 2, stride=2), nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.norm, self.wide, self.back = nn.LayerNorm(24), nn.Linear(24, 96), nn.Linear(48, 24)
        self.scale, self.head = nn.Parameter(torch.rand(24)), nn.Linear(24, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        stem = self.stem(inputs)
        hidden = functional.glu(self.wide(self.norm(self.spread(stem).permute(0, 2, 3, 1))), dim=-1)
        outputs = stem + (self.scale * self.back(functional.gelu(hidden))).permute(0, 3, 1, 2)
        logits: Tensor = self.head(outputs.mean([-2, -1]))
        return logits


class Recurrent(nn.Module):
    """A convolution over a line, then a recurrent layer, which keeps what enters it."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.deeper = nn.Conv1d(24, 32, 3, padding=1), nn.Conv1d(32, 16, 1)
        self.memory, self.head = (
            nn.LSTM(16, 24, batch_first=True),
            nn.Sequential(nn.Linear(24, 32), nn.Linear(32, CLASSES)),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        line = self.deeper(functional.relu(self.line(inputs.flatten(1, 2))))
        states, _ = self.memory(line.transpose(1, 2))
        logits: Tensor = self.head(states[:, -1])
        return logits


class SharedKeys(nn.Module):
    """Grouped queries: two heads of queries to one of keys and values, with an einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(24, 64), nn.Linear(24, 32), nn.Linear(24, 32)
        self.out, self.head = nn.Linear(64, 24), nn.Linear(24, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = inputs.reshape(-1, 8, 24)
        queries = self.query(tokens).view(-1, 8, 8, 8).transpose(1, 2)
        keys, values = (
            layer(tokens).view(-1, 8, 4, 8).transpose(1, 2)[:, :, None].expand(-1, 4, 2, 8, 8).reshape(-1, 8, 8, 8)
            for layer in (self.key, self.value)
        )
        scores = torch.softmax(torch.einsum("bhqd,bhkd->bhqk", queries, keys), dim=-1)
        mixed = torch.matmul(scores, values).transpose(1, 2).flatten(2)
        logits: Tensor = self.head(self.out(mixed).mean(1))
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
    FusedAttention,
    WindowAttention,
    Grouped,
    UpAndDown,
    ChannelsLast,
    Recurrent,
    SharedKeys,
)
