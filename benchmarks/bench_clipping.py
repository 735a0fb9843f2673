"""What clipping costs: each way against torch's foreach ``clip_grad_norm_``, and in a whole fit.

The callbacks are called as a Trainer calls them, in ``on_before_optimizer_step``: finding the gradients, counting and
skipping are part of what is timed.
"""

import logging
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import (
    AdaptiveGradientClipping,
    AutoClip,
    CosineWarmRestarts,
    EarlyStopping,
    GradientClipping,
    ReduceLROnPlateau,
    ZClip,
)
from measure import interleaved, median_ratio, report, side_by_side, take_turn, timed

# Bounds of the ratio to torch's, on a transformer and on many tiny tensors.
BOUNDS = {
    "norm": ("<= 1.05", "<= 1.0"),
    "norm, skipping": ("<= 1.1", "<= 1.1"),
    "AGC": ("<= 1.8", "<= 3.3"),
    "AutoClip": ("<= 1.3", "<= 1.3"),
    "ZClip": ("<= 1.3", "<= 1.3"),
}


def transformer() -> nn.Module:
    """About 10 M parameters in 147 tensors."""
    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True, dropout=0.0)
    body = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
    return nn.Sequential(nn.Embedding(2000, 256), body, nn.Linear(256, 256))


def many_tiny() -> nn.Module:
    """1,000 tensors of 35 and of 5 numbers: nothing but overhead."""
    return nn.ModuleList([nn.Linear(7, 5) for _ in range(500)])


def timm_agc(params: list[Tensor], clip_factor: float, eps: float = 1e-3) -> None:
    """Timm's adaptive clipping, written out: tensor by tensor."""
    for p in params:
        dims = tuple(range(1, p.ndim)) if p.ndim > 1 else (0,)
        limit = p.detach().norm(2, dim=dims, keepdim=True).clamp_(min=eps).mul_(clip_factor)
        norm = p.grad.norm(2, dim=dims, keepdim=True)
        scaled = p.grad * (limit / norm.clamp(min=1e-6))
        p.grad.copy_(torch.where(norm < limit, p.grad, scaled))


def hook_of(callback: Any, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """The callback's hook, with as much of a Trainer as it looks at."""
    trainer = SimpleNamespace(optimizers=[optimizer], precision_plugin=None, global_step=0)
    module = SimpleNamespace(automatic_optimization=True)

    def hook() -> None:
        callback.on_before_optimizer_step(trainer, module, optimizer)
        optimizer.__dict__.pop("found_inf", None)  # as the step does

    return hook


def ways_to_clip(model: nn.Module) -> dict[str, Callable[[], float]]:
    """Every way, over gradients that stay as they are: a threshold that nothing reaches costs the same."""
    params = list(model.parameters())
    for p in params:
        p.grad = torch.randn_like(p) * 1e-4
    fused, far = torch.optim.AdamW(params, fused=True), 1e9
    ways: dict[str, Callable[[], object]] = {
        "torch": lambda: torch.nn.utils.clip_grad_norm_(params, far, foreach=True),
        "norm": hook_of(GradientClipping(far, skip_nonfinite=False), fused),
        "norm, skipping": hook_of(GradientClipping(far), fused),
        "norm, skipping, max_skips": hook_of(GradientClipping(far, max_skips=3), fused),
        "value, skipping": hook_of(GradientClipping(clip_value=far), fused),
        "AGC": hook_of(AdaptiveGradientClipping(far, skip_nonfinite=False), fused),
        "AGC, skipping": hook_of(AdaptiveGradientClipping(far), fused),
        "AutoClip": hook_of(AutoClip(100.0), fused),
        "ZClip": hook_of(ZClip(), fused),
        "timm's AGC": lambda: timm_agc(params, far),
    }
    return {name: cold(timed(way)) for name, way in ways.items()}


def cold(measure: Callable[[], float]) -> Callable[[], float]:
    """Return a measurement that finds the caches full of something else, as after a backward pass."""
    other = torch.zeros(16 * 2**20)

    def measure_cold() -> float:
        other.add_(1)
        return measure()

    return measure_cold


class Learner(L.LightningModule):
    """An MLP bound by its parameters."""

    def __init__(self, **of_optimizer: Any) -> None:
        super().__init__()
        self.net = nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(512, 512), nn.ReLU())])
        self.of_optimizer = of_optimizer

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return any loss."""
        take_turn()
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log something to stop by."""
        self.log("val_loss", self.net(batch[0]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-4, **self.of_optimizer)


def fit(*callbacks: L.Callback, gradient_clip_val: float | None = None, **of_optimizer: Any) -> None:
    """Fit for three epochs of 80 steps: the first copy of the best weights costs as much as a few steps."""
    data = DataLoader(TensorDataset(torch.randn(640, 512)), batch_size=8)
    L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=list(callbacks),
        gradient_clip_val=gradient_clip_val,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Learner(**of_optimizer), data, DataLoader(TensorDataset(torch.randn(16, 512)), batch_size=8))


def ways_to_fit(max_norm: float) -> dict[str, Callable[[], None]]:
    """Ours next to what Lightning has, that once more, to see what the figures are worth, and nothing."""

    def lightnings(**of_optimizer: Any) -> None:
        fit(LightningsEarlyStopping("val_loss"), gradient_clip_val=max_norm, **of_optimizer)

    def ours(**of_optimizer: Any) -> None:
        tricks = [CosineWarmRestarts(1), ReduceLROnPlateau(), EarlyStopping(), GradientClipping(max_norm)]
        fit(*tricks, **of_optimizer)

    return {
        "bare": fit,
        "Lightning's": lightnings,
        "once more": lightnings,
        "ours": ours,
        "Lightning's, fused": lambda: lightnings(fused=True),
        "ours, fused": lambda: ours(fused=True),
    }


def main(repeats: int = 41, fits: int = 7) -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for column, workload in enumerate((transformer, many_tiny)):
        model = workload()
        found = interleaved(ways_to_clip(model), repeats, warmup=3)
        tensors = sum(1 for _ in model.parameters())
        for way in list(found)[1:]:
            bound = BOUNDS.get(way, ("", ""))[column]
            report(
                f"{way} / clip_grad_norm_, {tensors} tensors ({workload.__name__})",
                f"{median_ratio(found, way, 'torch'):.3f}",
                bound,
            )
    print("  a fit with restarts, plateau rule, early stopping and clipping / Lightning's clipping and stopping:")
    pairs = [("ours", "Lightning's"), ("ours, fused", "Lightning's, fused")]
    for clips, max_norm in (("never", 1e3), ("at every step", 1e-9)):
        found = side_by_side(ways_to_fit(max_norm), fits)
        for side, to in pairs:
            report(f"clips {clips}: {side} / {to}", f"{median_ratio(found, side, to):.4f}", "<= 1.02")
        report("Lightning's once more / Lightning's", f"{median_ratio(found, 'once more', pairs[0][1]):.4f}", "1")
        report(f"clips {clips}: ours / bare", f"{median_ratio(found, 'ours', 'bare'):.4f}", "")


if __name__ == "__main__":
    main()
