"""What the plateau rule and early stopping cost a fit, against the same Trainer with Lightning's EarlyStopping."""

import logging
import statistics
import warnings
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import EarlyStopping, ReduceLROnPlateau
from measure import median_ratio, report, side_by_side, take_turn

STEPS, EPOCHS = 60, 3


class Learner(L.LightningModule):
    """A network bound by its parameters (8 layers of 512) that gets better at each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(512, 512), nn.ReLU())])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return any loss."""
        take_turn()
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log a new best each time: the dearest case for whoever keeps the best weights."""
        self.net(batch[0])
        self.log("val_loss", -float(self.global_step))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.SGD(self.parameters(), lr=1e-4, momentum=0.9)


def fit(*callbacks: L.Callback, **arguments: Any) -> None:
    """Fit with a validation after each epoch."""
    data = DataLoader(TensorDataset(torch.randn(8 * STEPS, 512)), batch_size=8)
    L.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=list(callbacks),
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    ).fit(Learner(), data, data)


class Copies(TorchDispatchMode):
    """Count what is copied, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count ``copy_``."""
        if func.overloadpacket.__name__ == "copy_":
            self.bytes += args[0].numel() * args[0].element_size()
        return func(*args, **(kwargs or {}))


def copied(*callbacks: L.Callback) -> int:
    """Return the bytes that a fit copies."""
    with Copies() as copies:
        fit(*callbacks)
    return copies.bytes


def main(repeats: int = 9) -> None:
    """Print ratios, and how much is copied for each new best."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    sides = {
        "lightning's": lambda: fit(LightningsEarlyStopping("val_loss", patience=50)),
        "lightning's once more": lambda: fit(LightningsEarlyStopping("val_loss", patience=50)),
        "early_stopping": lambda: fit(EarlyStopping("val_loss", patience=50)),
        "early_stopping without weights": lambda: fit(EarlyStopping("val_loss", patience=50, restore_best=False)),
        "reduce_lr_on_plateau": lambda: fit(ReduceLROnPlateau("val_loss")),
    }
    found = side_by_side(sides, repeats)
    step = 1e3 * statistics.median(found["lightning's"]) / (STEPS * EPOCHS)
    for name in list(sides)[1:]:
        ratio = median_ratio(found, name, "lightning's")
        report(
            f"fit with {name} / with Lightning's ({step:.1f} ms a step)",
            f"{ratio:.4f}",
            "1" if "once more" in name else "<= 1.01",
        )
    model = sum(tensor.numel() * tensor.element_size() for tensor in Learner().parameters())
    extra = copied(EarlyStopping("val_loss", patience=50)) - copied(EarlyStopping("val_loss", restore_best=False))
    # one more than the new bests: the weights that are restored in the end
    report("models copied for each new best", f"{(extra / model - 1) / EPOCHS:.3f}", "1")


if __name__ == "__main__":
    main()
