"""Result logging: what tricks found reaches every logger in its own way, from one process, and never ends a fit."""

import csv
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_loggers import CometLogger, MLFlowLogger, PlainLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers import CSVLogger
from tiny import Net, fit, trainer

from lightning_tricks import Doctor, EarlyStopping, LiveControl, LRFinder, ReduceLROnPlateau


class Broken(TensorBoardLogger):
    """A service that is down when the results come."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith("tricks/") for name in metrics):
            raise ConnectionError("the service is down")

    @property
    def experiment(self) -> Any:
        return SimpleNamespace()


def tricks() -> list[Any]:
    return [
        LRFinder(num_steps=20),
        EarlyStopping("val_loss", patience=1, min_delta=1e9),
        ReduceLROnPlateau("val_loss", patience=5),
        Doctor(),
    ]


def test_found_rate_best_score_stop_reason_and_findings_reach_every_logger(tmp_path: Path) -> None:
    takers = [TensorBoardLogger(), MLFlowLogger(), WandbLogger(), CometLogger()]
    plain, table = PlainLogger(), CSVLogger(tmp_path)
    finder, stopping, plateau, doctor = callbacks = tricks()
    fit(*callbacks, logger=[*takers, plain, table], log_every_n_steps=1)
    for logger in [*takers, plain]:
        assert logger.numbers["tricks/LRFinder/suggestion"] == [(0, finder.result.suggestion)]
        assert logger.numbers["tricks/EarlyStopping/best_score"] == [(12, stopping.best_score)]
        assert logger.numbers["tricks/EarlyStopping/stopped_epoch"] == [(12, 1)]
        assert logger.numbers["tricks/ReduceLROnPlateau/best_score"] == [(12, plateau.best_score)]
        assert logger.numbers["tricks/Doctor/errors"][-1][1] == len(doctor.report.errors)
    texts = takers[0].texts
    assert texts == {
        "tricks/LRFinder/reason": finder.result.reason,
        "tricks/EarlyStopping/stop_reason": stopping.stopping_reason_message,
        "tricks/Doctor/report": str(doctor.report),
    }
    assert all(logger.texts == texts for logger in takers)
    assert not plain.texts
    with open(Path(table.log_dir) / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows), "each row has the columns of the header"
    (found,) = (row for row in rows if row["tricks/LRFinder/suggestion"])
    assert float(found["tricks/LRFinder/suggestion"]) == pytest.approx(finder.result.suggestion)
    assert sum(bool(row["train_loss"]) for row in rows) == 12


@pytest.mark.filterwarnings("ignore:Broken did not accept")
def test_a_logger_that_fails_costs_a_warning_and_the_others_have_everything() -> None:
    whole = PlainLogger()
    with pytest.warns(UserWarning, match="Broken did not accept a result of lightning-tricks: ConnectionError: the"):
        fit(*tricks(), logger=[Broken(), whole])
    found = {name.split("/")[1] for name in whole.numbers if name.startswith("tricks/")}
    assert found == {"LRFinder", "EarlyStopping", "ReduceLROnPlateau", "Doctor"}
    assert "val_loss" in whole.numbers


def test_a_logger_that_fails_does_not_end_a_fit_whose_warnings_are_errors() -> None:
    runner = trainer(EarlyStopping("val_loss"), logger=Broken(), max_epochs=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Broken did not accept")
        runner.fit(Net())
    assert runner.state.finished


def test_two_of_a_class_are_told_apart_and_what_is_not_finite_is_left_out() -> None:
    logger = PlainLogger()
    never = ReduceLROnPlateau("val_loss", mode="max", min_delta=float(torch.finfo(torch.float32).max))
    fit(ReduceLROnPlateau("val_loss"), never, logger=logger, max_epochs=1)
    names = {name.split("/")[1] for name in logger.numbers if name.startswith("tricks/")}
    assert names == {"ReduceLROnPlateau-val_loss-min", "ReduceLROnPlateau-val_loss-max"}


def test_a_stop_that_was_ordered_is_logged_with_its_reason(tmp_path: Path) -> None:
    class Stop(LiveControl):
        def on_train_batch_end(self, *arguments: Any) -> None:
            self.stopping_reason_message, arguments[0].should_stop = "stop ordered at step 1", True

    board = TensorBoardLogger()
    fit(Stop(), logger=board, default_root_dir=tmp_path, max_epochs=1)
    assert board.texts == {"tricks/Stop/stop_reason": "stop ordered at step 1"}


def test_a_dry_run_logs_nothing() -> None:
    board = TensorBoardLogger()
    runner = trainer(EarlyStopping("val_loss"), logger=False, fast_dev_run=True)
    runner.loggers = [board]
    runner.fit(Net())
    assert not [name for name in [*board.numbers, *board.texts] if name.startswith("tricks/")]


class FileLogger(TensorBoardLogger):
    """One file a process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith("tricks/") for name in metrics):
            rank = torch.distributed.get_rank()
            (self.folder / f"rank{rank}").write_text(" ".join(metrics))


def test_of_two_processes_the_first_alone_logs(tmp_path: Path) -> None:
    runner = trainer(
        EarlyStopping("val_loss"), logger=FileLogger(tmp_path), strategy="ddp_fork", devices=2, max_epochs=1
    )
    runner.fit(Net())
    assert [file.name for file in sorted(tmp_path.glob("rank*"))] == ["rank0"]
