"""Loss names: which logged metrics are the training and the validation loss."""

from collections.abc import Mapping, Sequence

from lightning_tricks.reports.series import Series


def training_and_validation(names: Mapping[str, Series] | Sequence[str]) -> tuple[str, str] | None:
    """Return the names of a training and a validation loss whose gap indicates overfitting, if both exist.

    Example:
        >>> training_and_validation(["batch loss", "train_loss", "val_loss"])
        ('train_loss', 'val_loss')
    """
    known = list(names)
    val = next((name for name in known if name.startswith("val") and "loss" in name), None)
    wanted = ("train_loss_epoch", "train/loss_epoch", "train_loss", "train/loss", "loss", "batch loss")
    train = next((name for name in wanted if name in known), None)
    return (train, val) if train is not None and val is not None else None
