"""planned_factors: what the schedules of a run multiply the rate by, over the steps that are left."""

from typing import Any

import pytest
from recorders import Recorder
from tiny import BATCHES, Net, fit
from torch.optim import lr_scheduler

from lightning_tricks import (
    CosineWarmRestarts,
    LRFinder,
    LRSchedule,
    PolynomialDecay,
    ReduceLROnPlateau,
    WarmupStableDecay,
)
from lightning_tricks.engine.lr.planned_factors import planned_factors

EPOCHS = 20
LEFT = EPOCHS * BATCHES


def plan_at_start(*callbacks: Any, planned: int | None = LEFT) -> Any:
    asked = Recorder(on_train_start=lambda trainer, _: planned_factors(trainer, planned))
    fit(*callbacks, asked, max_epochs=EPOCHS)
    return asked.seen["on_train_start"][0]


@pytest.mark.parametrize(
    ("callbacks", "mean", "highest"),
    [
        ([], 1.0, 1.0),
        ([PolynomialDecay()], 0.5, 1.0),
        ([CosineWarmRestarts("0.5dur", warmup="0.1dur")], 0.48, 1.0),
        ([WarmupStableDecay("0.2dur")], 0.9, 1.0),
        ([PolynomialDecay(), ReduceLROnPlateau("train_loss", patience=50)], 0.5, 1.0),
        ([LRSchedule(lambda epoch: 3.0, unit="st")], 3.0, 3.0),
        ([LRSchedule(lambda epoch: 0.0)], 1.0, 1.0),
    ],
)
def test_they_are_the_mean_and_the_highest_multiplier_of_the_run(
    callbacks: list[Any], mean: float, highest: float
) -> None:
    planned = plan_at_start(*callbacks)
    assert planned.mean == pytest.approx(mean, abs=0.03)
    assert planned.highest == pytest.approx(highest, abs=0.05)


def test_in_the_middle_of_a_run_only_the_rest_counts_and_a_run_of_unknown_length_is_constant() -> None:
    asked = Recorder(on_train_epoch_start=lambda trainer, _: planned_factors(trainer, LEFT - trainer.global_step))
    fit(PolynomialDecay(), asked, max_epochs=EPOCHS)
    assert asked.seen["on_train_epoch_start"][EPOCHS // 2] == pytest.approx((0.25, 0.5), abs=0.01)
    assert plan_at_start(PolynomialDecay(), planned=None) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("build", "interval", "mean", "highest"),
    [
        (lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, EPOCHS), "epoch", 0.525, 1.0),
        (lambda sgd: lr_scheduler.LambdaLR(sgd, lambda step: 1 - step / LEFT), "step", 0.5, 1.0),
        (lambda sgd: lr_scheduler.CyclicLR(sgd, 0.0, 0.1, 10, cycle_momentum=False), "step", 0.5, 1.0),
        (lambda sgd: lr_scheduler.OneCycleLR(sgd, 0.1, LEFT, cycle_momentum=False), "step", 0.51, 1.0),
        (lambda sgd: lr_scheduler.StepLR(sgd, EPOCHS // 2), "epoch", 0.55, 1.0),
    ],
)
def test_the_modules_own_scheduler_counts_as_a_share_of_its_peak_and_moves_on_as_without_the_question(
    build: Any, interval: str, mean: float, highest: float
) -> None:
    class Scheduled(Net):
        def configure_optimizers(self) -> Any:
            sgd = super().configure_optimizers()
            return {"optimizer": sgd, "lr_scheduler": {"scheduler": build(sgd), "interval": interval}}

    asked = Recorder(on_train_start=lambda trainer, _: planned_factors(trainer, LEFT))
    module = fit(LRFinder(apply=False, num_steps=10), asked, net=Scheduled(), max_epochs=EPOCHS)
    assert asked.seen["on_train_start"][0] == pytest.approx((mean, highest), abs=0.02)
    assert module.trace == fit(net=Scheduled(), max_epochs=EPOCHS).trace


def test_a_scheduler_that_follows_a_metric_counts_as_one() -> None:
    class Plateau(Net):
        def configure_optimizers(self) -> Any:
            sgd = super().configure_optimizers()
            scheduler = lr_scheduler.ReduceLROnPlateau(sgd, patience=0)
            return {"optimizer": sgd, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}

    asked = Recorder(on_train_start=lambda trainer, _: planned_factors(trainer, LEFT))
    fit(LRFinder(apply=False, num_steps=10), asked, net=Plateau(), max_epochs=2)
    assert asked.seen["on_train_start"][0] == (1.0, 1.0)
