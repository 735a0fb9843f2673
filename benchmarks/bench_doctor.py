"""What a diagnosis costs, beside one forward and backward pass of the same model."""

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import nn

from lightning_tricks.doctor.judging.diagnose import diagnose
from measure import interleaved, median_ratio, report, timed

_TEXT = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256}
_WORDS = {**_TEXT, "vocab_size": 500}
_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


class _Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, num_layers=2, dropout=0.3, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


def _mlp() -> tuple[nn.Module, Any]:
    layers = [nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, *layers, nn.Linear(512, 10)), torch.randn(512, 512)


def _cnn() -> tuple[nn.Module, Any]:
    blocks: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        blocks += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 16, 10)), torch.randn(32, 3, 32, 32)


def _text(kind: str, **settings: Any) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        model = getattr(hf, kind)
        ids = torch.randint(3, 500, (8, 64))
        return model(model.config_class(**settings)), {"input_ids": ids, "labels": ids}

    return make


def _image(kind: str, **settings: Any) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        model = getattr(hf, kind)
        return model(model.config_class(**settings)), {"pixel_values": torch.randn(8, 3, 64, 64)}

    return make


ARCHITECTURES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "MLP": _mlp,
    "CNN": _cnn,
    "LSTM": lambda: (_Tagger(), torch.randn(32, 40, 64)),
    "BERT": _text("BertForMaskedLM", **_WORDS),
    "GPT-2": _text("GPT2LMHeadModel", n_embd=128, n_layer=4, n_head=4, vocab_size=500, **_IDS),
    "Llama": _text("LlamaForCausalLM", **_WORDS),
    "DeBERTa": _text("DebertaV2ForMaskedLM", **_WORDS),
    "ViT": _image("ViTForImageClassification", **_TEXT, image_size=64, patch_size=8),
    "ResNet": _image(
        "ResNetForImageClassification",
        embedding_size=32,
        hidden_sizes=[32, 64, 128],
        depths=[2, 2, 2],
        layer_type="basic",
    ),
    "ConvNeXt": _image("ConvNextForImageClassification", num_stages=3, hidden_sizes=[32, 64, 128], depths=[2, 2, 2]),
}


def _step(model: nn.Module, batch: Any) -> Callable[[], None]:
    def run() -> None:
        output = model(**batch) if isinstance(batch, dict) else model(batch)
        loss = output if isinstance(output, torch.Tensor) else getattr(output, "loss", None)
        (output.logits if loss is None else loss).float().mean().backward()

    return run


def _ratio(make: Callable[[], tuple[nn.Module, Any]]) -> float:
    torch.manual_seed(0)
    model, batch = make()
    model.train()
    sides = {"diagnose": timed(lambda: diagnose(model, batch)), "step": timed(_step(model, batch))}
    return median_ratio(interleaved(sides, repeats=7), "diagnose", to="step")


def _milliseconds(model: nn.Module, batch: Any) -> float:
    measured = interleaved({"diagnose": timed(lambda: diagnose(model, batch), time.process_time)}, repeats=9)
    return 1e3 * statistics.median(measured["diagnose"])


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ratios = {name: _ratio(make) for name, make in ARCHITECTURES.items()}
    for name, ratio in ratios.items():
        report(f"doctor: diagnose / forward + backward, {name}", f"{ratio:.2f}×", "")
    median = statistics.median(ratios.values())
    report("doctor: diagnose / forward + backward, median of ten", f"{median:.2f}×", "≤ 4×")
    small = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3))
    report("doctor: diagnose, small MLP", f"{_milliseconds(small, torch.randn(32, 20)):.1f} ms", "≤ 50 ms")
    conv = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten())
    conv.append(nn.Linear(8 * 24 * 24, 10))
    report("doctor: diagnose, small CNN", f"{_milliseconds(conv, torch.randn(32, 1, 28, 28)):.1f} ms", "≤ 50 ms")


if __name__ == "__main__":
    main()
