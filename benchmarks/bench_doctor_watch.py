"""What it costs a fit that the doctor continues watching it, next to the one look before the first step."""

import logging
import statistics
import warnings

import torch

from bench_lr import cnn, empty, fit, mlp
from lightning_tricks import Doctor, PlacementCheck
from measure import interleaved, median_ratio, report, side_by_side, timed


def main(repeats: int = 11) -> None:
    """Print the ratios and the time added to an empty step."""
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for workload in (mlp, cnn):
        sides = {
            "look": lambda workload=workload: fit(workload, PlacementCheck()),
            "look once more": lambda workload=workload: fit(workload, PlacementCheck()),
            "watch": lambda workload=workload: fit(workload, Doctor(select=["PLC", "RUN"])),
        }
        found = side_by_side(sides, repeats)
        step = 1e3 * statistics.median(found["look"]) / workload()[2]
        what = f"{workload.__name__} ({step:.1f} ms a step)"
        report(
            f"doctor: fit watched / looked at once, {what}", f"{median_ratio(found, 'watch', 'look'):.4f}", "<= 1.01"
        )
        again = f"{median_ratio(found, 'look once more', 'look'):.4f}"
        report(f"doctor: looked at once more / looked at once, {workload.__name__}", again, "1")
    sides = {
        "look": timed(lambda: fit(empty, PlacementCheck())),
        "watch": timed(lambda: fit(empty, Doctor(select=["PLC", "RUN"]))),
    }
    found = interleaved(sides, repeats)
    added = statistics.median(a - b for a, b in zip(found["watch"], found["look"], strict=True)) / empty()[2]
    step = statistics.median(found["look"]) / empty()[2]
    report(f"doctor: watching, added to an empty step (of {1e6 * step:.0f} µs)", f"{1e6 * added:.1f} µs", "")


if __name__ == "__main__":
    main()
