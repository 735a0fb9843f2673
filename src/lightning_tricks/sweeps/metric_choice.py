"""Metric choice: which of the jobs' metrics a sweep is compared by, where the user names none."""

import re
from collections.abc import Iterable
from typing import Literal

from lightning_tricks.core.result_names import is_result

_HIGHER_IS_BETTER = {
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "f1",
    "iou",
    "dice",
    "precision",
    "recall",
    "r2",
    "psnr",
    "ssim",
}


def choose_metric(logged: Iterable[str]) -> str:
    """Return ``val_loss`` if it is logged, else the one metric that there is, of validation if several are logged.

    Raises:
        ValueError: several could be meant; the message lists them.

    Example:
        >>> choose_metric(["train_loss", "val_loss"]), choose_metric(["train_loss", "lr-SGD", "val/f1"])
        ('val_loss', 'val/f1')
    """
    names = sorted(name for name in logged if not name.startswith("lr-") and not is_result(name))
    validations = [name for name in names if name.startswith("val")]
    for candidates in (["val_loss"] if "val_loss" in names else [], validations, names):
        if len(candidates) == 1:
            return candidates[0]
    if not names:
        return "val_loss"
    raise ValueError(f"the jobs logged several metrics. Choose by --metric among {', '.join(names)}.")


def choose_mode(metric: str) -> Literal["min", "max"]:
    """Return ``"max"`` for a metric named after a score of which more is better, else ``"min"``.

    Example:
        >>> choose_mode("val_loss"), choose_mode("val/f1")
        ('min', 'max')
    """
    return "max" if _HIGHER_IS_BETTER & set(re.split(r"[^0-9a-z]+", metric.lower())) else "min"
