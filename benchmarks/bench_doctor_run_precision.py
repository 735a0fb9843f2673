"""How often the doctor raises false alarms while healthy programs train: all rules, every architecture, real data."""

import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lightning_tricks import Doctor
from measure import report_alarms

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from healthy import programs
from healthy_trainings import trainings

# at this rate, with momentum and without a warm-up, the loss of this one is NaN after 32 steps
SICK = {"transformer-cosine-128"}


def fits(steps: int, optimizers_each: int) -> Iterator[tuple[str, Any]]:
    """Return names, and functions that fit with a callback."""
    for training in trainings():
        yield training.name, training.fit
    for program in programs(optimizers_each):
        given = program.build()
        model, loader = given["model"], given.get("train_dataloaders")
        if loader is None or "one-cycle" in program.name:  # its schedule has a length of its own
            continue

        def fit(doctor: Doctor, model: Any = model, given: Any = given, epochs: int = -(-steps // len(loader))) -> None:
            torch.manual_seed(1)
            L.Trainer(
                accelerator="cpu",
                max_epochs=epochs,
                log_every_n_steps=10,
                callbacks=[doctor],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            ).fit(model, given["train_dataloaders"], given["val_dataloaders"])

        yield program.name, fit


def main(steps: int = 300, optimizers_each: int = 1) -> None:
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    alarms: dict[str, list[str]] = {}
    infos: Counter[str] = Counter()
    for name, fit in fits(steps, optimizers_each):
        doctor = Doctor()
        fit(doctor)
        found = doctor.report.findings if doctor.report else []
        late = [finding for finding in found if finding.code.startswith("RUN")]
        alarms[name] = [str(finding) for finding in late if finding.at_least("warning")]
        infos.update({finding.code for finding in late if finding.severity == "info"})
    report_alarms("healthy trainings", alarms, SICK)
    print(f"  trainings with an info: {dict(infos.most_common())}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
