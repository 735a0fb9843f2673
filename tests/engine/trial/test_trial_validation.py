"""The loss on validation batches in the middle of a trial: which number it is, and that nobody hears of it."""

import math
from typing import Any

import pytest
import torch
import torchmetrics
from lightning.pytorch import Callback
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from ranks import SaveRank, load_ranks
from recorders import Recorder
from stateful_net import DATA, StatefulNet, end_state, fit_stateful
from tiny import LargeBatchNet, Net, StatefulLoader, fit, same, trainer, weights
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tricks import LRFinder
from lightning_tricks.engine.trial.trial_validation import validation_loss


class Ask(Callback):
    """Ask for the validation loss when the first epoch starts."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.heard: Tensor | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.heard = validation_loss(trainer, pl_module, self.limit)
        assert trainer.training
        assert all(module.training for module in pl_module.modules())


class Step(Net):
    """Validate on one batch that says what is to be reported."""

    def __init__(self, step: Any, loaders: Any = None) -> None:
        super().__init__()
        self.step, self.loaders, self.metric = step, loaders, torchmetrics.MeanMetric()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return self.step(self, batch, batch_idx)

    def val_dataloader(self) -> Any:
        return DataLoader(torch.tensor([1.0, 3.0]), 1) if self.loaders is None else self.loaders


def asked(net: Net, limit: int = 100, **arguments: Any) -> float | None:
    ask = Ask(limit)
    fit(ask, net=net, max_epochs=1, **{"num_sanity_val_steps": 0, **arguments})
    return None if ask.heard is None else float(ask.heard)


def test_it_is_what_the_validation_loop_reports_a_moment_later() -> None:
    class Compare(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.early = validation_loss(trainer, pl_module, 100)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self.late = trainer.callback_metrics["val_loss"]

    compare = Compare()
    net = Net(lr=0.0)
    net.body[1].track_running_stats = False
    fit(compare, net=net, max_epochs=1)
    assert torch.allclose(compare.early, compare.late)


def metric_step(net: Any, batch: Any, batch_idx: int) -> None:
    net.metric.update(batch)
    net.log("val/loss", net.metric, on_epoch=True)


REPORTS = {
    "logged": lambda net, batch, _: net.log("val_loss", batch.mean()),
    "logged as a number": lambda net, batch, _: net.log("valid_loss", float(batch)),
    "logged next to others": lambda net, batch, _: net.log_dict(
        {"val_acc": 9.0, "val/Loss": batch.mean(), "l2_loss": 9}
    ),
    "logged, and something returned": lambda net, batch, _: (net.log("loss", batch.mean()), torch.tensor(7.0))[1],
    "a metric": metric_step,
    "returned": lambda net, batch, _: batch.mean(),
    "returned in a dict": lambda net, batch, _: {"loss": batch.mean(), "accuracy": 7.0},
}


@pytest.mark.parametrize("report", REPORTS)
def test_it_finds_the_loss_however_it_is_reported(report: str) -> None:
    assert asked(Step(REPORTS[report])) == 2.0


@pytest.mark.parametrize(
    "step", [lambda *_: None, lambda net, batch, _: net.log("val_acc", batch.mean()), lambda *_: torch.zeros(2)]
)
def test_without_a_reported_loss_there_is_none(step: Any) -> None:
    assert asked(Step(step)) is None


def test_without_a_validation_loader_there_is_none() -> None:
    assert asked(Net(), limit_val_batches=0) is None


def test_a_step_that_fetches_its_own_batches_is_left_alone() -> None:
    class Fetching(Net):
        def validation_step(self, dataloader_iter: Any) -> None:
            next(dataloader_iter)

    assert asked(Fetching()) is None


def test_a_loader_that_can_be_read_only_once_is_left_to_the_validation() -> None:
    class Once(LargeBatchNet):
        def val_dataloader(self) -> Any:
            return (batch for batch in StatefulLoader(batches=2))

    ask = Ask()
    fit(ask, net=Once(), max_epochs=1, num_sanity_val_steps=0)
    assert ask.heard is None
    finder = LRFinder(num_steps=30, min_lr=1e-4, refine=5)
    net = Once()
    runner = trainer(finder, num_sanity_val_steps=0, max_epochs=1)
    runner.fit(net)
    assert finder.result is not None
    assert "training loss" in finder.result.reason
    assert "val_loss" in runner.callback_metrics


def test_no_more_batches_are_looked_at_than_the_limits_allow() -> None:
    assert asked(Step(REPORTS["logged"]), limit=1) == 1.0
    assert asked(Step(REPORTS["logged"]), limit_val_batches=1) == 1.0


@pytest.mark.parametrize("mode", ["sequential", "max_size"])
def test_of_several_loaders_the_first_one_counts(mode: str) -> None:
    loaders = CombinedLoader([DataLoader(torch.tensor([value]), 1) for value in (1.0, 5.0)], mode)
    of_first = lambda net, batch, _: net.log("loss", batch.mean() if mode == "sequential" else batch[0].mean())  # noqa: E731
    assert asked(Step(of_first, loaders)) == 1.0


class Lively(StatefulNet):
    """A module whose validation has hooks, draws random numbers and changes what it can."""

    def on_validation_epoch_start(self) -> None:
        self.outputs: list[Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        assert not self.training
        assert self.trainer.validating or self.trainer.sanity_checking
        x, y = batch
        self.count += 1
        self.history.append(self.dice.random())
        self.outputs.append(self.head(self.body(x + 0.1 * torch.randn_like(x))))
        loss = (self.outputs[-1] - y).pow(2).mean()
        self.metric.update(loss)
        self.log("val_loss", loss)
        self.logger.log_metrics({"direct": 2.0}) if self.logger else None


VALIDATION = {
    "in order": lambda: DataLoader(DATA, 8),
    "shuffled": lambda: DataLoader(DATA, 8, shuffle=True),
    "own generator": lambda: DataLoader(DATA, 8, shuffle=True, generator=torch.Generator().manual_seed(5)),
    "persistent workers": lambda: DataLoader(DATA, 8, num_workers=1, persistent_workers=True),
    "stateful": lambda: StatefulLoader(batches=2),
}


@pytest.mark.parametrize("loader", VALIDATION)
def test_a_training_after_trials_that_validated_equals_one_without(loader: str) -> None:
    def run(finder: LRFinder | None) -> tuple[dict[str, Any], int]:
        net, heard = Lively(), Recorder(on_validation_start=lambda trainer, module: True)
        net.val_dataloader = VALIDATION[loader]
        runner, net = fit_stateful(finder, "large batches", net=net, callbacks=[heard])
        return end_state(runner, net), len(heard.seen["on_validation_start"])

    finder = LRFinder(apply=False, num_steps=25, min_lr=1e-4, max_lr=1.0, refine=5)
    with_finder, without = run(finder), run(None)
    assert finder.result is not None
    assert len(finder.result.trials) == 7
    assert "validation loss" in finder.result.reason
    assert all(math.isfinite(loss) for _, loss in finder.result.trials)
    for name in without[0]:
        assert same(with_finder[0][name], without[0][name]), name
    assert with_finder[1] == without[1]


class Averaged(LargeBatchNet):
    """A module that validates with averaged weights, to which its parameters point meanwhile."""

    def on_fit_start(self) -> None:
        self.shadow = {name: value.data.clone() for name, value in self.named_parameters()}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        for name, value in self.named_parameters():
            self.shadow[name].mul_(0.9).add_(value.data, alpha=0.1)

    def on_validation_start(self) -> None:
        self.backup = {name: value.data for name, value in self.named_parameters()}
        for name, value in self.named_parameters():
            value.data = self.shadow[name]

    def on_validation_end(self) -> None:
        for name, value in self.named_parameters():
            value.data = self.backup[name]


def test_weights_that_point_elsewhere_for_a_validation_point_back() -> None:
    finder = LRFinder(apply=False, num_steps=30, min_lr=1e-4, refine=5)
    one, other = fit(finder, net=Averaged()), fit(net=Averaged())
    assert finder.result is not None
    assert finder.result.trials
    assert same(weights(one), weights(other))
    assert same(one.shadow, other.shadow)


class OneSided(LargeBatchNet):
    """A module that reports its validation loss on process 0 alone."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.trainer.is_global_zero:
            self.log("val_loss", self.loss(batch), rank_zero_only=True)


def test_where_one_process_hears_no_loss_none_of_them_validates(tmp_path: Any) -> None:
    def reason(trainer: Any, pl_module: Any) -> str:
        return next(callback.result.reason for callback in trainer.callbacks if isinstance(callback, LRFinder))

    finder = LRFinder(num_steps=30, min_lr=1e-4, refine=5)
    fit(finder, SaveRank(tmp_path, reason), net=OneSided(), strategy="ddp_fork", devices=2, max_epochs=1)
    reasons = load_ranks(tmp_path)
    assert "training loss" in reasons[0]
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize("refine", [0, 5])
def test_a_validation_loader_is_asked_where_it_stands_only_by_who_will_read_it(refine: int) -> None:
    class Asked(StatefulLoader):
        def state_dict(self) -> dict[str, int]:
            asked.append(True)
            return super().state_dict()

    asked: list[bool] = []
    finder = LRFinder(apply=False, num_steps=30, min_lr=1e-4, refine=refine)
    trainer(finder, max_epochs=1).fit(LargeBatchNet(), val_dataloaders=Asked(batches=2))
    assert bool(asked) == bool(refine)
