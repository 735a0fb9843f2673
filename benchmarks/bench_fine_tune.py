"""What rates by layer cost a fit, and what frozen layers save it."""

import logging
import statistics
import warnings

import torch

from bench_lr import fit, mlp
from lightning_tricks import DiscriminativeLR, GradualUnfreezing
from measure import median_ratio, report, side_by_side

HEAD_ALONE = [0, *[None] * 7]


def main(repeats: int = 11) -> None:
    """Print the ratios to a fit of the bare Trainer."""
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    sides = {
        "bare": lambda: fit(mlp),
        "rates": lambda: fit(mlp, DiscriminativeLR()),
        "thawed": lambda: fit(mlp, GradualUnfreezing([0] * 8)),
        "head": lambda: fit(mlp, GradualUnfreezing(HEAD_ALONE)),
    }
    found = side_by_side(sides, repeats)
    step = 1e3 * statistics.median(found["bare"]) / mlp()[2]
    of = f"/ bare, mlp ({step:.1f} ms a step)"
    report(f"fit with rates by layer {of}", f"{median_ratio(found, 'rates', 'bare'):.4f}", "")
    report(f"fit with gradual unfreezing, all thawed {of}", f"{median_ratio(found, 'thawed', 'bare'):.4f}", "<= 1.01")
    report(f"fit of the head alone {of}", f"{median_ratio(found, 'head', 'bare'):.4f}", "< 1")


if __name__ == "__main__":
    main()
