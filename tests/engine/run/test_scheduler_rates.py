"""scheduler_rates: the cycles of the module's own schedulers are compared with the patience of the run's rules."""

import warnings
from typing import Any

import pytest
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from tiny import BATCHES, Net, fit
from torch.optim import Optimizer, lr_scheduler

from lightning_tricks import EarlyStopping, GradientClipping

EPOCHS = 9
STEPS = EPOCHS * BATCHES


class Scheduled(Net):
    """A module that returns one scheduler of its own."""

    def __init__(self, build: Any, interval: str = "epoch", frequency: int = 1) -> None:
        super().__init__()
        self.build, self.interval, self.frequency = build, interval, frequency

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        config = {"scheduler": self.build(optimizer), "interval": self.interval, "frequency": self.frequency}
        return {"optimizer": optimizer, "lr_scheduler": config}


def restarts(optimizer: Optimizer) -> Any:
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4)


def hard_restarts(optimizer: Optimizer) -> Any:
    return lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch % 4 / 4)


def triangles(optimizer: Optimizer) -> Any:
    return lr_scheduler.CyclicLR(optimizer, 0.001, 0.1, step_size_up=2 * BATCHES, cycle_momentum=False)


def one_cycle(optimizer: Optimizer) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS + 1, cycle_momentum=False)


def warmed_restarts(optimizer: Optimizer) -> Any:
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=6)
    return lr_scheduler.ChainedScheduler([warmup, restarts(optimizer)])


def warned(module: Net, *callbacks: Any, epochs: int = EPOCHS) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*callbacks, net=module, max_epochs=epochs)
    return " | ".join(str(w.message) for w in caught if any(word in str(w.message) for word in ("cycle", "rate")))


@pytest.mark.parametrize(
    ("build", "interval", "name"),
    [
        (restarts, "epoch", "CosineAnnealingWarmRestarts"),
        (hard_restarts, "epoch", "LambdaLR"),
        (triangles, "step", "CyclicLR"),
    ],
)
def test_a_patience_shorter_than_a_cycle_is_warned_about_with_both_numbers(
    build: Any, interval: str, name: str
) -> None:
    found = warned(Scheduled(build, interval), EarlyStopping("val_loss", patience=2))
    assert "patience=2)` stops the run after 2 checks" in found
    assert f"a cycle of `{name}` lasts 4 epochs (4 checks)" in found


def test_lightnings_stopping_is_compared_too_and_a_patience_of_a_whole_cycle_is_silent() -> None:
    theirs = warned(Scheduled(restarts), GradientClipping(), LightningEarlyStopping("val_loss", patience=3))
    assert "Lightning's `EarlyStopping(monitor='val_loss', patience=3)` stops the run after 3 checks" in theirs
    assert warned(Scheduled(triangles, "step"), EarlyStopping("val_loss", patience=4)) == ""


def test_a_stop_before_the_fall_a_long_warmup_and_an_end_at_the_peak_are_warned_about() -> None:
    found = warned(Scheduled(one_cycle, "step"), EarlyStopping("val_loss", patience=3))
    assert "patience=3)` can stop the run after 4 epochs (3 checks (3 epochs) without a better score)" in found
    assert "the learning rate of `OneCycleLR` is above half its peak until" in found
    found = warned(Scheduled(warmed_restarts), GradientClipping())
    assert "The warm-up of `ChainedScheduler` lasts 6 epochs, longer than its first cycle of 4 epochs" in found
    found = warned(Scheduled(restarts), GradientClipping(), epochs=9)
    assert (
        "The run ends after 9 epochs, only 1 epoch after a restart of `CosineAnnealingWarmRestarts`, at 100%" in found
    )


def test_healthy_schedulers_and_those_that_follow_a_metric_are_silent_and_train_as_without_the_forecast() -> None:
    watched = Scheduled(restarts, "step", 2)
    assert warned(watched, GradientClipping(max_norm=1e9, skip_nonfinite=False)) == ""
    alone = Scheduled(restarts, "step", 2)
    assert warned(alone) == ""
    assert watched.trace == alone.trace

    class Plateau(Net):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            scheduler = lr_scheduler.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}

    assert warned(Plateau(), EarlyStopping("val_loss", patience=2)) == ""
