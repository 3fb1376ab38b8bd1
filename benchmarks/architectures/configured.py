# SPDX-License-Identifier: Apache-2.0
"""Models of the transformers library, made from configurations with small sizes and random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import nn

sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # a broken one must not be imported

_HIDDEN, _HEADS, _INNER = 64, 4, 192


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=_HEADS,
            intermediate_size=_INNER,
            image_size=32,
            patch_size=8,
        )
    )


def swin() -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    return SwinForImageClassification(
        SwinConfig(image_size=32, patch_size=4, embed_dim=32, depths=[2, 1], num_heads=[2, 4], window_size=4)
    )


def convnext() -> nn.Module:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return ConvNextForImageClassification(ConvNextConfig(depths=[1, 1, 2, 1], hidden_sizes=[16, 32, 48, 64]))


def segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    return SegformerForSemanticSegmentation(
        SegformerConfig(
            hidden_sizes=[16, 32, 48, 64],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 2, 3, 4],
            decoder_hidden_size=48,
        )
    )


def mobilevit() -> nn.Module:
    from transformers import MobileViTConfig, MobileViTForImageClassification

    return MobileViTForImageClassification(
        MobileViTConfig(
            image_size=64,
            hidden_sizes=[32, 48, 64],
            neck_hidden_sizes=[16, 16, 24, 32, 48, 64, 96],
            num_attention_heads=4,
        )
    )


def distilbert() -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    return DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=120, dim=_HIDDEN, n_layers=2, n_heads=_HEADS, hidden_dim=_INNER, max_position_embeddings=32
        )
    )


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=120,
            n_embd=_HIDDEN,
            n_layer=2,
            n_head=_HEADS,
            n_positions=32,
            use_cache=False,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def wav2vec2() -> nn.Module:
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    return Wav2Vec2ForSequenceClassification(
        Wav2Vec2Config(
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=_HEADS,
            intermediate_size=_INNER,
            conv_dim=(32, 32, 32),
            conv_stride=(5, 4, 2),
            conv_kernel=(10, 8, 4),
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
            classifier_proj_size=32,
        )
    )


def whisper_encoder() -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return WhisperEncoder(
        WhisperConfig(
            d_model=_HIDDEN,
            encoder_layers=2,
            encoder_attention_heads=_HEADS,
            encoder_ffn_dim=_INNER,
            num_mel_bins=20,
            max_source_positions=32,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def tokens(count: int) -> Callable[[torch.Generator], tuple[torch.Tensor, ...]]:
    """Draws int64 [1, count]."""
    return lambda generator: (torch.randint(0, 120, (1, count), generator=generator),)
