"""A second look at the very batch that goes NaN in a fit: the operation is named, and the run goes on as it would."""

import contextlib
import copy
import logging
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy
from ranks import SaveRank, load_ranks
from tiny import same, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import Doctor

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")


class Rooted(L.LightningModule):
    """The square root of a column that one batch alone makes negative, or zero."""

    def __init__(self, *, in_loss: bool = True) -> None:
        super().__init__()
        self.net, self.drop, self.in_loss = nn.Linear(4, 3), nn.Dropout(0.1), in_loss

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        logits = self.net(self.drop(x))
        if self.in_loss:
            return F.cross_entropy(logits * x[:, :1].sqrt(), y)
        return F.cross_entropy(logits, y) + (logits * x[:, :1]).sum().square().sqrt()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.05)


def rows(bad: float) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 4, generator=generator) + 0.1
    x[40:48] = bad
    return DataLoader(TensorDataset(x, torch.arange(64) % 3), 8)


def fit(model: L.LightningModule, loader: DataLoader, *, watched: bool = True, **arguments: object) -> L.Trainer:
    torch.manual_seed(1)
    doctor = [Doctor()] if watched else []
    runner = trainer(*doctor, max_epochs=1, **arguments)
    runner.fit(model, loader)
    return runner


def report_of(runner: L.Trainer) -> str:
    return "\n".join(str(each) for each in runner.callbacks[0].report.errors)


def test_the_operation_that_makes_a_loss_nan_is_named_with_its_step() -> None:
    found = report_of(fit(Rooted(), rows(-1.0)))
    assert "NUM001" in found
    assert "`sqrt` (test_nonfinite_rerun.py:" in found
    assert "of step 6 is not finite" in found


def test_the_operation_that_makes_a_gradient_nan_is_named_while_the_loss_is_finite() -> None:
    found = report_of(fit(Rooted(in_loss=False), rows(0.0)))
    assert "NUM002" in found
    assert "the backward pass of `sqrt`" in found
    assert "of step 6" in found


class Remembers(Rooted):
    """Keeps weights, gradients and random state after each backward pass; its hook comes after the callbacks'."""

    def __init__(self, *, in_loss: bool) -> None:
        super().__init__(in_loss=in_loss)
        self.seen: list[list[Tensor]] = []

    def on_after_backward(self) -> None:
        values = [value for each in self.parameters() for value in (each.detach(), each.grad)]
        self.seen.append([*(value.nan_to_num(7.0) for value in values), torch.get_rng_state()])


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("in_loss", [True, False])
def test_a_second_look_changes_nothing(in_loss: bool, accumulate: int) -> None:
    """What was seen until the bad batch counts: after its step all weights are NaN."""
    models = [Remembers(in_loss=in_loss)]
    models.append(copy.deepcopy(models[0]))
    for model, watched in zip(models, (False, True), strict=True):
        run = fit(model, rows(-1.0 if in_loss else 0.0), watched=watched, accumulate_grad_batches=accumulate)
    assert "NUM00" in report_of(run)
    assert len(models[0].seen) == 8
    assert same(models[0].seen, models[1].seen)


def test_a_finite_run_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_tricks.engine.checkup import nonfinite_rerun

    monkeypatch.setattr(nonfinite_rerun, "search_nonfinite", lambda patient: pytest.fail("a finite step was run again"))
    assert report_of(fit(Rooted(), rows(1.0))) == ""


@pytest.mark.parametrize("callback", [L.callbacks.ModelCheckpoint, L.callbacks.EarlyStopping])
def test_a_callback_of_lightnings_that_follows_the_test_set_is_reported(callback: type, tmp_path: object) -> None:
    doctor = Doctor(select=["DAT013"])
    arguments = {"dirpath": tmp_path} if callback is L.callbacks.ModelCheckpoint else {"strict": False}
    runner = trainer(doctor, callback(monitor="test_loss", **arguments), max_epochs=1, limit_train_batches=1)
    with contextlib.suppress(MisconfigurationException):  # no metric has that name
        runner.fit(Rooted(), rows(1.0))
    assert doctor.report is not None
    assert [finding.code for finding in doctor.report.errors] == ["DAT013"]


class Gathered(Rooted):
    """Every step gathers the outputs of both processes; a row that only the second one has makes its loss NaN."""

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        assert len(self.all_gather(self.net(batch[0]))) == 2 or torch.distributed.get_world_size() == 1
        return super().training_step(batch, index)


def test_the_module_is_named_on_both_of_two_processes_whichever_made_the_nan(tmp_path: Path) -> None:
    doctor = Doctor(select=["RUN003"])
    report = SaveRank(tmp_path, lambda trainer, module: str(doctor.report.findings[0]), hook="on_fit_end")
    strategy = DDPStrategy(process_group_backend="gloo", start_method="fork", timeout=timedelta(seconds=60))
    loader = rows(1.0)
    loader.dataset.tensors[0][41] = -1.0  # without shuffling, the second process has the odd rows
    runner = trainer(report, doctor, max_epochs=1, devices=2, strategy=strategy, log_every_n_steps=2)
    runner.fit(Gathered(), DataLoader(loader.dataset, 4))
    first, second = load_ranks(tmp_path)
    assert first == second
    assert "NaN or infinite at step 6 on rank 1: `sqrt` produced the first NaN value" in first
