"""What a diagnosis costs, next to one forward and backward pass of the same model."""

import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import transformers as hf
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

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


class _Lit(LightningModule):
    """A net with cross entropy on its outputs, and Adam."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        outputs = self.net(batch[0])
        outputs = outputs[0][:, -1] if isinstance(outputs, tuple) else outputs
        return nn.functional.cross_entropy(outputs.flatten(0, -2) if outputs.dim() > 2 else outputs, batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3)


def _dense(*widths: int) -> nn.Sequential:
    return nn.Sequential(*[layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())][:-1])


def _convolutions(*widths: int, norm: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), *([nn.BatchNorm2d(after)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


def _encoder(width: int, layers: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
    mean = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(nn.TransformerEncoder(layer, layers, enable_nested_tensor=False), mean)


class _Logits(nn.Module):
    """A classifier of transformers, of which only the logits are returned."""

    def __init__(self, kind: str, argument: str, **settings: Any) -> None:
        super().__init__()
        model = getattr(hf, kind)
        small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        self.net, self.argument = model(model.config_class(num_labels=10, **small, **settings)), argument

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net(**{self.argument: x}).logits
        return logits


class _ByHand(_Lit):
    """An autoencoder and a critic with an optimizer each, stepped by hand."""

    automatic_optimization = False

    def __init__(self) -> None:
        super().__init__(nn.ModuleDict({"code": _dense(20, 32, 8, 20), "critic": _dense(20, 32, 1)}))

    def losses(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        again = self.net["code"](x)
        real, fake = self.net["critic"](x), self.net["critic"](again.detach())
        critic = nn.functional.softplus(fake).mean() + nn.functional.softplus(-real).mean()
        judged = nn.functional.softplus(-self.net["critic"](again)).mean()
        return nn.functional.mse_loss(again, x) + 0.01 * judged, critic

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for index, optimizer in enumerate(self.optimizers()):
            optimizer.zero_grad()
            self.manual_backward(self.losses(batch[0])[index])
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), 1e-3) for part in self.net.values()]


def _bare_step(model: _Lit, batch: Any) -> None:
    if isinstance(model, _ByHand):
        for loss in model.losses(batch[0]):
            loss.backward()
    else:
        model.training_step(batch, 0).backward()
    model.zero_grad()


SMALL: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "linear": lambda: (nn.Linear(20, 10), (32, 20)),
    "MLP of 2 layers": lambda: (_dense(20, 64, 10), (32, 20)),
    "MLP of 10 layers": lambda: (_dense(20, *[64] * 9, 10), (32, 20)),
    "wide MLP": lambda: (_dense(64, 512, 512, 10), (64, 64)),
    "CNN of 2 layers": lambda: (_convolutions(1, 8, 16), (16, 1, 14, 14)),
    "CNN of 8 layers": lambda: (_convolutions(3, *[16] * 8), (16, 3, 12, 12)),
    "CNN without norms": lambda: (_convolutions(3, 16, 16, norm=False), (16, 3, 16, 16)),
    "LSTM": lambda: (nn.LSTM(8, 10, num_layers=2, batch_first=True), (32, 24, 8)),
    "GRU": lambda: (nn.GRU(8, 10, batch_first=True), (32, 24, 8)),
    "transformer": lambda: (_encoder(32, 2), (16, 16, 32)),
    "ViT": lambda: (_Logits("ViTForImageClassification", "pixel_values", image_size=32, patch_size=8), (16, 3, 32, 32)),
    "BERT": lambda: (_Logits("BertForSequenceClassification", "inputs_embeds", vocab_size=50), (16, 16, 32)),
    "two optimizers by hand": lambda: (_ByHand(), (32, 20)),
}
"""Models whose step takes under 20 ms, and the shapes of their inputs."""


def _beyond_three_steps(make: Callable[[], tuple[nn.Module, tuple[int, ...]]]) -> tuple[float, float]:
    """Return the seconds of CPU time that a diagnosis with loaders takes beyond three steps, and those of a step."""
    torch.manual_seed(0)
    net, shape = make()
    rows = TensorDataset(torch.randn(640, *shape[1:]), torch.randint(0, 10, (640,)))
    model = net if isinstance(net, _Lit) else _Lit(net)
    loader = DataLoader(rows, shape[0], shuffle=True)
    batch, clock = next(iter(loader)), time.process_time
    sides = {
        "diagnose": timed(lambda: diagnose(model, train_dataloaders=loader), clock),
        "step": timed(lambda: _bare_step(model, batch), clock),
    }
    found = {name: statistics.median(values) for name, values in interleaved(sides, repeats=7).items()}
    return found["diagnose"] - 3 * found["step"], found["step"]


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    beyond = {name: _beyond_three_steps(make) for name, make in SMALL.items()}
    for name, (seconds, step) in beyond.items():
        report(f"doctor: diagnose beyond three steps of {1e3 * step:.1f} ms, {name}", f"{seconds:.3f} s", "")
    report(
        "doctor: diagnose beyond three steps, slowest", f"{max(each for each, _ in beyond.values()):.3f} s", "≤ 0.3 s"
    )
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
