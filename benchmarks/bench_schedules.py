"""What the named schedules cost: in a fit against the bare Trainer, and to ask for ten thousand times."""

import logging
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch

from bench_lr import empty, fit, mlp
from lightning_tricks import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PolynomialDecay,
    cosine_warm_restarts,
    exponential_decay,
    inverse_sqrt_decay,
    one_cycle,
    polynomial_decay,
    preview_lr,
)
from measure import median_ratio, report, side_by_side, timed


def family() -> list[Any]:
    """Five schedules at once, one of them with a momentum."""
    return [
        ExponentialDecay(staircase=True),
        InverseTimeDecay(),
        PolynomialDecay(cycle=True),
        CosineDecay(),
        OneCycle(),
    ]


def fits(workload: Any) -> dict[str, Callable[[], object]]:
    return {
        "bare": lambda: fit(workload),
        "one": lambda: fit(workload, OneCycle()),
        "five": lambda: fit(workload, *family()),
    }


def main(repeats: int = 11) -> None:
    """Print the ratios and times."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    found = side_by_side(fits(mlp), repeats)
    report(
        "fit with one-cycle, momentum too / bare Trainer, mlp", f"{median_ratio(found, 'one', 'bare'):.4f}", "<= 1.01"
    )
    report("fit with five schedules / bare Trainer, mlp", f"{median_ratio(found, 'five', 'bare'):.4f}", "")
    found = side_by_side(fits(empty), repeats)
    for name, what in (("one", "one-cycle"), ("five", "five schedules")):
        added = statistics.median(a - b for a, b in zip(found[name], found["bare"], strict=True)) / empty()[2]
        report(f"added to an empty step by {what}", f"{1e6 * added:.1f} µs", "")
    ts = [i / 100 for i in range(10_000)]
    slow = (exponential_decay(0.9, 3, True), polynomial_decay(9, cycle=True), cosine_warm_restarts(5, 1.5))
    for schedule in (inverse_sqrt_decay(), one_cycle(100), *slow):
        report(f"10,000 values of {schedule}", f"{1e3 * timed(lambda s=schedule: s.values(ts))():.1f} ms", "")
    report(
        "preview of five schedules over 10,000 steps",
        f"{1e3 * timed(lambda: preview_lr(family(), 40, 250))():.0f} ms",
        "",
    )


if __name__ == "__main__":
    main()
