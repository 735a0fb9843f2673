"""Architectures of `transformers` with a batch each, for the doctor: those of `architectures.py` and some with dropout
and batch norms in one net."""

from typing import Any

import torch
import transformers as hf
from architectures import ARCHITECTURES, build

_IMAGES = {
    "ConvNext": ("ConvNextForImageClassification", {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2}),
    "RegNet": (
        "RegNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "groups_width": 4},
    ),
    "LeViT": (
        "LevitForImageClassification",
        {
            "image_size": 32, "hidden_sizes": [16, 16, 16], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1],
            "key_dim": [4, 4, 4], "mlp_ratio": [1, 1, 1], "attention_ratio": [1, 1, 1],
        },
    ),
    "MobileNetV2": (
        "MobileNetV2ForImageClassification",
        {"image_size": 32, "depth_multiplier": 0.25, "classifier_dropout_prob": 0.2},
    ),
}  # fmt: skip
_SPEECH = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8, 8],
    "conv_stride": [5, 2], "conv_kernel": [10, 3], "num_feat_extract_layers": 2, "vocab_size": 12,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.0, "layerdrop": 0.0,
}  # fmt: skip

NAMES = [*ARCHITECTURES, *_IMAGES, "PatchTST", "Wav2Vec2", "SpeechT5"]


def model_and_batch(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a model in training mode and a batch."""
    torch.manual_seed(0)
    return _OTHERS[name]() if name in _OTHERS else _common(name)


def _common(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    if name in _IMAGES:
        kind, arguments = _IMAGES[name]
        model = getattr(hf, kind)
        model = model(model.config_class(**arguments))
    else:
        model = build(name)
    model.config.decoder_start_token_id = 0
    labels = torch.tensor([0, 1, 1, 0])
    if "Image" in type(model).__name__:
        side = 8 if name in ("ViT", "DeiT", "Dinov2") else 32
        return model.train(), {"pixel_values": torch.randn(8, 3, side, side), "labels": labels.repeat(2)}
    ids = torch.randint(3, 50, (4, 7))
    ids[:, -1] = 2  # Bart reads the last token of each sentence
    return model.train(), {"input_ids": ids, "labels": labels if "Sequence" in type(model).__name__ else ids}


def _patch_tst() -> tuple[Any, dict[str, torch.Tensor]]:
    config = hf.PatchTSTConfig(
        num_input_channels=2, context_length=16, patch_length=4, patch_stride=4, prediction_length=4, d_model=8,
        num_hidden_layers=1, num_attention_heads=2, ffn_dim=8, norm_type="batchnorm", positional_dropout=0.2,
    )  # fmt: skip
    model = hf.PatchTSTForPrediction(config).train()
    return model, {"past_values": torch.randn(4, 16, 2), "future_values": torch.randn(4, 4, 2)}


def _wav2vec2() -> tuple[Any, dict[str, torch.Tensor]]:
    model = hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**_SPEECH)).train()
    return model, {"input_values": torch.randn(4, 400), "labels": torch.randint(1, 12, (4, 3))}


def _speech_t5() -> tuple[Any, dict[str, torch.Tensor]]:
    config = hf.SpeechT5Config(
        vocab_size=20, hidden_size=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, speech_decoder_prenet_units=8,
        num_mel_bins=8, speech_decoder_postnet_units=8, speech_decoder_postnet_layers=3, encoder_layerdrop=0.0,
        decoder_layerdrop=0.0, speaker_embedding_dim=4, use_guided_attention_loss=False,
    )  # fmt: skip
    model = hf.SpeechT5ForTextToSpeech(config).train()
    batch = {
        "input_ids": torch.randint(4, 20, (4, 7)),
        "labels": torch.randn(4, 8, 8),
        "speaker_embeddings": torch.randn(4, 4),
    }
    return model, batch


_OTHERS = {"PatchTST": _patch_tst, "Wav2Vec2": _wav2vec2, "SpeechT5": _speech_t5}
