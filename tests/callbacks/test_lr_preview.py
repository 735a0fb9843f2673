"""preview_lr: what a Trainer will use, before there is one."""

import copy
import pickle
from typing import Any

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping
from tiny import BATCHES, Net, fit
from tricks import TINY

from lightning_tricks import CosineDecay, ExponentialDecay, LRSchedule, preview_lr
from lightning_tricks.engine.lr.lr_factor import LRFactor

FORESEEN = [name for name, make in TINY.items() if getattr(make(), "follows_clock", False)]


class Plateau(LRFactor):
    """Stands for a rule that follows a metric: it cannot be asked before training."""

    name = None
    replace_scheduler = False

    def factors_at(self, moment: Any, optimizer: int) -> Any:
        raise AssertionError("asked before training")


@pytest.mark.parametrize("name", FORESEEN)
def test_it_shows_what_a_trainer_uses(name: str) -> None:
    shown = preview_lr([TINY[name]()], epochs=3, steps_per_epoch=BATCHES, lr=0.1)
    assert list(shown) == [lrs[-1] for _, lrs in fit(TINY[name]()).trace]
    halved = preview_lr([TINY[name]()], epochs=3, steps_per_epoch=BATCHES // 2, lr=0.1)
    assert list(halved) == [lrs[-1] for _, lrs in fit(TINY[name](), accumulate_grad_batches=2).trace]


def test_it_shows_the_product_of_all_and_passes_over_other_callbacks() -> None:
    callbacks = [TINY[name]() for name in FORESEEN]
    shown = preview_lr([*callbacks, EarlyStopping("train_loss")], epochs=3, steps_per_epoch=BATCHES, lr=0.1)
    assert shown[:] == shown.lrs == [lrs[-1] for _, lrs in fit(*callbacks).trace]
    assert shown.epochs == [step / BATCHES for step in range(3 * BATCHES)]
    assert {name.split("/")[0].split("[")[0] for name in shown.factors} == set(FORESEEN)
    assert shown.unforeseen == []


def test_a_rule_that_follows_the_run_is_taken_as_one_and_said_so() -> None:
    both = preview_lr([Plateau(), ExponentialDecay(0.5)], epochs=2, steps_per_epoch=2)
    assert list(both) == list(preview_lr([ExponentialDecay(0.5)], epochs=2, steps_per_epoch=2))
    assert both.unforeseen == ["Plateau"]
    assert "Plateau is known only during the run; it counts as 1 here." in str(both)


def test_without_any_callback_the_rate_is_the_base() -> None:
    assert list(preview_lr([], epochs=2, steps_per_epoch=2, lr=0.3)) == [0.3] * 4


def test_it_leaves_the_callbacks_as_they_were_also_in_the_middle_of_a_fit() -> None:
    class Curious(Net):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            preview_lr(self.trainer.callbacks, epochs=9, steps_per_epoch=5)

    callback = CosineDecay(warmup=1)
    assert callback.state_key == "CosineDecay"  # which is remembered
    before = copy.copy(vars(callback))
    preview_lr([callback], epochs=3, steps_per_epoch=4)
    assert vars(callback) == before
    assert fit(callback, net=Curious()).trace == fit(CosineDecay(warmup=1)).trace


def test_a_schedule_that_cannot_be_pickled_can_be_shown() -> None:
    schedule = LRSchedule(lambda t: 1 / (1 + t))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(schedule)
    assert list(preview_lr([schedule], epochs=2, steps_per_epoch=1)) == [1.0, 0.5]


def test_rows_hold_the_numbers_with_the_factors_apart() -> None:
    row = preview_lr([CosineDecay(end_factor=0.5, warmup=1)], epochs=2, steps_per_epoch=2, lr=2)[1:]
    rows = preview_lr([CosineDecay(end_factor=0.5, warmup=1)], epochs=2, steps_per_epoch=2, lr=2).rows()
    assert [list(row) for row in rows] == [["step", "epoch", "lr", "CosineDecay/schedule", "CosineDecay/warmup"]] * 4
    assert [row["lr"] for row in rows][1:] == row
    assert rows[2] == {"step": 2, "epoch": 1.0, "lr": 1.5, "CosineDecay/schedule": 0.75, "CosineDecay/warmup": 1.0}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "`epochs` must be finite and >= 1, got 0"),
        ({"epochs": 1.5}, ValueError, "`epochs` must be a whole number, got 1.5"),
        ({"steps_per_epoch": 0}, ValueError, "`steps_per_epoch` must be finite and >= 1, got 0"),
        ({"steps_per_epoch": "9"}, TypeError, "`steps_per_epoch` must be a number, got '9'"),
        ({"lr": -1}, ValueError, "`lr` must be finite and >= 0, got -1"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        preview_lr([CosineDecay()], **{"epochs": 1, "steps_per_epoch": 1, **arguments})


def test_two_that_a_trainer_would_refuse_are_refused() -> None:
    with pytest.raises(MisconfigurationException, match="Two `CosineDecay` cannot be distinguished"):
        preview_lr([CosineDecay(), CosineDecay(2)], epochs=1, steps_per_epoch=1)
