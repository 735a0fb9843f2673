"""A project as the pages assume one: modules to diagnose, a Hydra application, and the runs that commands are about."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning_tricks.engine.control.run_marker import RunMarker
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series
from lightning_tricks.sweeps.sweep_records import JobRecord, SweepRecord, write_job, write_sweep

MODEL = """
from torch import nn
from tiny import Net as TinyNet

class Net(TinyNet):
    pass

def make():
    return Net()
"""
DATA = """
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

class Digits(LightningDataModule):
    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        torch.manual_seed(0)
        x = torch.randn(64, 4)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True).tanh()), self.batch_size, shuffle=True)
"""
FEATURES = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def callable():
    model = nn.Sequential()
    model.add_module("pool", nn.Linear(4, 3))
    return model, DataLoader(TensorDataset(torch.randn(8, 4), torch.arange(8)), 4)
"""
TEAM = """
from lightning_tricks.doctor.rules.rule import rule

@rule("TEAM001", "info", kind="static")
def teams_rule(evidence):
    '''A rule of the team.'''
    return ()
"""
CONFIG = """
seed: 0
model: {lr: 0.1, momentum: 0.9, hidden: 16, layers: 1}
data: {batch_size: 32}
trainer: {accelerator: cpu, devices: 1, max_epochs: 3}
"""
FILES = {
    "project/__init__.py": "",
    "project/model.py": MODEL,
    "project/data.py": DATA,
    "pkg/module.py": FEATURES,
    "team_package/doctor_rules.py": TEAM,
    "conf/config.yaml": CONFIG,
    "tricks.yaml": "cosine_decay: {warmup: 100st}\n",
}
CONF = Path("conf")
"""The folder of the configuration."""


def write_files(files: dict[str, str]) -> None:
    """Write files of the project into the current folder."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


@contextmanager
def prepared(words: Sequence[str]) -> Iterator[None]:
    """The runs that a command is about: finished ones, a sweep, or one that `control` can reach."""
    command, *arguments = words
    folders = [Path(word) for word in arguments if not word.startswith("-")]
    if command in ("report", "checklist"):
        for folder in folders[: 1 if command == "checklist" else len(folders)]:
            _write_report(folder)
    if command == "compare":
        _write_sweep(folders[0])
    marker = None
    if command == "control":
        marker = RunMarker(str(Path("RUN", "control.yaml").absolute()), [])
    try:
        yield
    finally:
        if marker is not None:
            marker.release()


def _write_report(folder: Path) -> None:
    if folder.suffix:  # the page that the command writes
        return
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord("Net", "completed", epochs=2, steps=4, metrics={"val_loss": Series((2, 4), (0.5, 0.25))})
    (folder / "report.json").write_text(record.to_json())


def _write_sweep(folder: Path) -> None:
    values = [0.5**i for i in range(9)]
    space = {"model.lr": "tag(log,interval(1e-4,1))"}
    write_sweep(folder, SweepRecord("random", 0, len(values), [space], [], [[f"model.lr={lr}"] for lr in values]))
    for job, lr in enumerate(values):
        write_job(folder / str(job), JobRecord("completed", 0.0, 2.0))
        (folder / str(job) / "metrics.csv").write_text(f"step,val_loss\n9,{lr}\n")
