"""The picture of a report reaches each kind of logger that takes pictures, by the logger's public methods alone."""

import os
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import Logger
from tiny import fit

import lightning_tricks as lt


class Fake(Logger):
    """What every logger has; it records the calls that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    name = version = "fake"

    def log_metrics(self, metrics: Any, step: int | None = None) -> None: ...
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...


class FakeTensorBoard(Fake):
    """``TensorBoardLogger.experiment`` is a ``SummaryWriter``."""

    @property
    def experiment(self) -> Any:
        return self

    def add_image(self, tag: str, img_tensor: Any, global_step: int | None = None, dataformats: str = "CHW") -> None:
        assert img_tensor.shape[2] == 3
        assert 0 <= img_tensor.min() < img_tensor.max() <= 1
        self.calls.append((tag, global_step, dataformats))


class FakeWandb(Fake):
    """``WandbLogger.log_image``."""

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.calls.append((key, [Path(image).read_bytes()[:4] for image in images], step))


class FakeMLflow(Fake):
    """``MLFlowLogger.experiment`` is an ``MlflowClient``."""

    run_id = "run 7"

    @property
    def experiment(self) -> Any:
        return self

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        self.calls.append((run_id, Path(local_path).name, artifact_path))


def test_each_logger_gets_the_picture_once_a_report(tmp_path: Path) -> None:
    board, wandb, mlflow, plain = loggers = [FakeTensorBoard(), FakeWandb(), FakeMLflow(), Fake()]
    files = CSVLogger(tmp_path / "csv", version=0)
    fit(lt.RunReport(str(tmp_path / "run"), every_n_epochs=2), logger=[*loggers, files])
    assert board.calls == [("report/curves", 12, "HWC"), ("report/curves", 18, "HWC")]
    assert wandb.calls == [("report/curves", [b"\x89PNG"], 12), ("report/curves", [b"\x89PNG"], 18)]
    assert mlflow.calls == [("run 7", "curves.png", "report")] * 2
    assert plain.calls == []
    assert (Path(files.log_dir) / "curves.png").read_bytes() == (tmp_path / "run" / "curves.png").read_bytes()


def test_a_logger_that_fails_is_one_warning_and_the_files_are_there(tmp_path: Path) -> None:
    class Broken(FakeWandb):
        def log_image(self, *args: Any, **kwargs: Any) -> None:
            raise ConnectionError("no route")

    with pytest.warns(UserWarning, match="`RunReport` could not log its picture: ConnectionError: no route"):
        fit(lt.RunReport(str(tmp_path)), logger=Broken(), max_epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "report.html", "report.json"]


def test_without_a_picture_no_logger_is_called(tmp_path: Path) -> None:
    wandb = FakeWandb()
    fit(lt.RunReport(str(tmp_path), curves=False), logger=wandb, max_epochs=1)
    assert wandb.calls == []
