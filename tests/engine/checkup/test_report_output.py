"""The figure of a report reaches each logger that accepts figures, and no logger ends a fit."""

import os
from pathlib import Path
from typing import Any

import pytest
from fake_loggers import CometLogger, MLFlowLogger, PlainLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers import CSVLogger
from tiny import fit

import lightning_tricks as lt


class Broken(WandbLogger):
    """A service that is down."""

    def log_image(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route")


@pytest.mark.filterwarnings("ignore:Broken did not accept")
def test_each_logger_gets_the_figure_once_a_report_though_another_one_fails(tmp_path: Path) -> None:
    board, wandb, comet, mlflow, plain = loggers = [
        TensorBoardLogger(), WandbLogger(), CometLogger(), MLFlowLogger(), PlainLogger()
    ]  # fmt: skip
    files = CSVLogger(tmp_path / "csv", version=0)
    fit(lt.RunReport(str(tmp_path / "run"), every_n_epochs=2), logger=[Broken(), *loggers, files])
    assert board.figures == wandb.figures == comet.figures == [("report/curves", 12), ("report/curves", 18)]
    assert mlflow.figures == [("run 7", "report/curves.png")] * 2
    assert plain.figures == []
    assert (Path(files.log_dir) / "curves.png").read_bytes() == (tmp_path / "run" / "curves.png").read_bytes()


def test_a_logger_that_fails_is_one_warning_and_the_files_are_there(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Broken did not accept a result of lightning-tricks: ConnectionError: no ro"):
        fit(lt.RunReport(str(tmp_path)), logger=Broken(), max_epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "report.html", "report.json"]


def test_without_a_picture_no_logger_is_called(tmp_path: Path) -> None:
    wandb = WandbLogger()
    fit(lt.RunReport(str(tmp_path), curves=False), logger=wandb, max_epochs=1)
    assert wandb.figures == []
