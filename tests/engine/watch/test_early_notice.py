"""Early notice: a wrong monitor is named after the sanity validation, and one that may come later is not."""

import warnings
from typing import Any

import pytest
from tiny import Net, fit

from lightning_tricks import EarlyStopping, ReduceLROnPlateau
from lightning_tricks.engine.watch.early_notice import warn_of_unknown_monitor


def told(monitor: str, *logged: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_unknown_monitor("EarlyStopping", monitor, logged)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("monitor", "logged", "offer"),
    [
        ("val_loss", ["val/acc", "val/loss"], "Did you mean `val/loss`?"),
        ("val_los", ["val_acc", "val_loss"], "Did you mean `val_loss`"),
        ("Score", ["score"], "Did you mean `score`?"),
        ("valid/f1", ["roc", "step_count"], "it logged `roc`, `step_count`. If nothing logs it later"),
    ],
)
def test_a_name_of_validations_or_another_spelling_is_named(monitor: str, logged: list[str], offer: str) -> None:
    (message,) = told(monitor, *logged)
    assert message.startswith(f"`EarlyStopping` monitors `{monitor}`, which the sanity validation did not log")
    assert offer in message


@pytest.mark.parametrize(
    ("monitor", "logged"),
    [("train_loss", ["val_loss"]), ("loss", ["val_loss"]), ("acc", ["val_acc"]), ("val_loss", [])],
)
def test_what_training_may_log_is_not(monitor: str, logged: list[str]) -> None:
    assert told(monitor, *logged) == []


class Steps(Net):
    """Note how many steps were taken when it was told."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.loss(batch))


@pytest.mark.parametrize("rule", [EarlyStopping, ReduceLROnPlateau])
def test_it_is_told_before_the_first_step_and_the_first_check_is_the_error(rule: Any) -> None:
    net = Steps()
    with (
        pytest.warns(
            UserWarning, match=r"monitors `val_loss`, which the sanity .* Did you mean `val/loss`\?"
        ) as caught,
        pytest.raises(RuntimeError, match="`val_loss`, which is not available"),
    ):
        fit(rule(), net=net)
    assert len([w for w in caught if "sanity" in str(w.message)]) == 1
    assert len(net.trace) == 6


def test_a_metric_that_training_logs_alone_is_silent() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = fit(EarlyStopping("train_loss"))
    assert net.trace
    assert not [w for w in caught if "sanity" in str(w.message)]
