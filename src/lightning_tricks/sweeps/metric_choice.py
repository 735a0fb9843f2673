"""Metric choice: choose the metric by which a sweep is compared, if the user names none."""

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
    """Return ``val_loss`` if it is logged, otherwise the only metric or the only validation metric.

    Raises:
        ValueError: the choice is ambiguous; the message lists the metrics.

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
    raise ValueError(f"the jobs logged several metrics. Choose with --metric among {', '.join(names)}.")


def choose_mode(metric: str) -> Literal["min", "max"]:
    """Return ``"max"`` for a metric with the name of a score for which higher is better, otherwise ``"min"``.

    Example:
        >>> choose_mode("val_loss"), choose_mode("val/f1")
        ('min', 'max')
    """
    return "max" if _HIGHER_IS_BETTER & set(re.split(r"[^0-9a-z]+", metric.lower())) else "min"
