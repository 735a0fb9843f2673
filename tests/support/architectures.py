"""Twenty architectures of `transformers`, tiny and with random weights: nothing is downloaded."""

from typing import Any

import transformers as hf

_TEXT = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_VISION = {key: value for key, value in _TEXT.items() if key != "vocab_size"} | {"image_size": 8, "patch_size": 4}
_BART = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "vocab_size": 50,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 32,
}  # fmt: skip

# model class, arguments of its configuration, numbered blocks
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], int]] = {
    "Bert": ("BertForSequenceClassification", _TEXT, 3),
    "BertMasked": ("BertForMaskedLM", _TEXT, 3),
    "Roberta": ("RobertaForSequenceClassification", _TEXT, 3),
    "Electra": ("ElectraForSequenceClassification", {**_TEXT, "embedding_size": 8}, 3),
    "Albert": ("AlbertForSequenceClassification", {**_TEXT, "embedding_size": 8}, 1),
    "DistilBert": (
        "DistilBertForSequenceClassification",
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16, "vocab_size": 50},
        3,
    ),
    "MPNet": ("MPNetForSequenceClassification", _TEXT, 3),
    "DebertaV2": ("DebertaV2ForSequenceClassification", _TEXT, 3),
    "GPT2": ("GPT2LMHeadModel", {"n_embd": 16, "n_layer": 3, "n_head": 2, "vocab_size": 50, **_IDS}, 3),
    "GPTNeoX": ("GPTNeoXForCausalLM", _TEXT, 3),
    "OPT": (
        "OPTForCausalLM",
        {**_TEXT, "ffn_dim": 16, "word_embed_proj_dim": 16, "max_position_embeddings": 32},
        3,
    ),
    "Llama": ("LlamaForCausalLM", {**_TEXT, "num_key_value_heads": 2}, 3),
    "Mistral": ("MistralForSequenceClassification", {**_TEXT, "num_key_value_heads": 2, **_IDS}, 3),
    "Qwen2": ("Qwen2ForCausalLM", {**_TEXT, "num_key_value_heads": 2}, 3),
    "T5": (
        "T5ForConditionalGeneration",
        {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2, "vocab_size": 50},
        4,
    ),
    "Bart": ("BartForSequenceClassification", _BART, 4),
    "ViT": ("ViTForImageClassification", _VISION, 3),
    "DeiT": ("DeiTForImageClassification", _VISION, 3),
    "Dinov2": (
        "Dinov2ForImageClassification",
        {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 8, "patch_size": 4},
        3,
    ),
    "ResNet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [2, 2], "layer_type": "basic"},
        2,
    ),
}


def build(name: str) -> Any:
    """Build one of them."""
    kind, arguments, _ = ARCHITECTURES[name]
    model = getattr(hf, kind)
    return model(model.config_class(**arguments))
