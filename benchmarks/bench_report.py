"""What it costs a fit that the doctor watches it and a report is kept, step by step and once."""

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench_lr import Learner
from lightning_tricks import Doctor, RunReport
from lightning_tricks.engine.checkup.report_output import write_files
from lightning_tricks.engine.checkup.run_history import RunHistory
from lightning_tricks.reports.run_record import RunRecord
from measure import report, side_by_side

SHORT, LONG = 60, 240


def mlp() -> tuple[nn.Module, Tensor]:
    """Bound by its parameters: 8 layers of 512."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(512, 512), nn.ReLU())]
    return nn.Sequential(*layers), torch.randn(32, 512)


def cnn() -> tuple[nn.Module, Tensor]:
    """Bound by arithmetic: two convolutions on 32×32."""
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.AvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16 * 8 * 8, 10)), torch.randn(32, 3, 32, 32)


def fit(workload: Callable[[], tuple[nn.Module, Tensor]], steps: int, *callbacks: L.Callback) -> None:
    """Fit for one epoch, with Lightning's own distance of 50 steps between samples."""
    net, batch = workload()
    data = DataLoader(TensorDataset(batch.repeat(steps, *[1] * (batch.dim() - 1))), batch_size=len(batch))
    L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Learner(net), data)


def compare_steps(workload: Callable[[], tuple[nn.Module, Tensor]], folder: str, repeats: int) -> None:
    """Compare the time that more steps take: what is done once, before the first step and at the end, cancels out."""
    sides = {
        "bare short": lambda: fit(workload, SHORT),
        "bare long": lambda: fit(workload, LONG),
        "ours short": lambda: fit(workload, SHORT, Doctor(), RunReport(folder)),
        "ours long": lambda: fit(workload, LONG, Doctor(), RunReport(folder)),
    }
    found = side_by_side(sides, repeats)
    bare, ours = (
        [long - short for long, short in zip(found[f"{side} long"], found[f"{side} short"], strict=True)]
        for side in ("bare", "ours")
    )
    step = statistics.median(bare) / (LONG - SHORT)
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    what = f"{workload.__name__} ({1e3 * step:.1f} ms a step)"
    report(f"Doctor and RunReport / bare fit, step by step, {what}", f"{ratio:.4f}", "<= 1.02")
    once = statistics.median(a - b for a, b in zip(found["ours short"], found["bare short"], strict=True))
    report("the look before the first step and the report at the end, once", f"{once:.2f} s", "")


def time_large_report(folder: Path) -> None:
    """Time and size of the report of 10,000 steps and 200 layers."""
    history, names = RunHistory(), [f"layers.{i}.attention.weight" for i in range(200)]
    numbers = torch.rand(2 + 2 * len(names)).tolist()
    for step in range(0, 10_000, 50):
        history.add([(step, {f"metric:loss {i}": numbers[i] / (step + 1) for i in range(10)})])
        history.add_look(step, names, [1.0, *numbers[: 2 * len(names)]])
    record = RunRecord("Net", metrics=history.by_kind("metric"), update_ratios=history.ratios, steps=10_000)
    write_files(folder, record, curves=True)  # imports matplotlib
    start = time.process_time()
    write_files(folder, record, curves=True)
    report("report of 10,000 steps and 200 layers", f"{time.process_time() - start:.2f} s", "<= 2 s")
    size = sum(file.stat().st_size for file in folder.iterdir())
    report("its three files", f"{size / 1e6:.2f} MB", "<= 2 MB")


def main(repeats: int = 7) -> None:
    """Print the ratios, and the size and time of a large report."""
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for workload in (mlp, cnn):
            compare_steps(workload, folder, repeats)
        time_large_report(Path(folder))


if __name__ == "__main__":
    main()
