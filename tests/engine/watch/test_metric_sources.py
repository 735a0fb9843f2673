"""Where a metric is logged × when validation runs: what is checked, and when, next to Lightning's own EarlyStopping."""

from typing import Any

import pytest
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from tiny import Net, fit

from lightning_tricks import EarlyStopping

EPOCHS, BATCHES = 4, 6
VALIDATIONS: dict[str, dict[str, Any]] = {
    "no validation": {"limit_val_batches": 0},
    "each epoch": {},
    "every second epoch": {"check_val_every_n_epoch": 2},
    "twice an epoch": {"val_check_interval": 3},
}
BY_TRAINING: dict[str, tuple[str, dict[str, bool], list[float]]] = {
    # where, how, and the value that each epoch ends with: the n-th call logs -n
    "a step": ("training_step", {"on_step": True, "on_epoch": False}, [-6, -12, -18, -24]),
    "a step, Lightning's defaults": ("training_step", {}, [-6, -12, -18, -24]),
    "the epoch's mean": ("training_step", {"on_step": False, "on_epoch": True}, [-3.5, -9.5, -15.5, -21.5]),
    "both": ("training_step", {"on_step": True, "on_epoch": True}, [-3.5, -9.5, -15.5, -21.5]),
    "every third step": ("every third step", {}, [-2, -4, -6, -8]),
    "on_train_batch_end": ("on_train_batch_end", {}, [-6, -12, -18, -24]),
    "on_train_epoch_end": ("on_train_epoch_end", {}, [-1, -2, -3, -4]),
}
BY_VALIDATION: dict[str, tuple[str, dict[str, list[float]]]] = {
    "validation_step": (
        "validation_step",
        {
            "each epoch": [-1.5, -3.5, -5.5, -7.5],
            "every second epoch": [-1.5, -3.5],
            "twice an epoch": [-1.5, -3.5, -5.5, -7.5, -9.5, -11.5, -13.5, -15.5],
        },
    ),
    "on_validation_epoch_end": (
        "on_validation_epoch_end",
        {
            "each epoch": [-1, -2, -3, -4],
            "every second epoch": [-1, -2],
            "twice an epoch": [-1, -2, -3, -4, -5, -6, -7, -8],
        },
    ),
}


class Logging(Net):
    """Logs ``x`` in one hook: -1, -2, -3, ..."""

    def __init__(self, where: str, how: dict[str, bool] | None = None) -> None:
        super().__init__()
        self.where, self.how, self.calls = where, how or {}, 0

    def reach(self, hook: str) -> None:
        if hook == self.where:
            self.calls += 1
            self.log("x", -float(self.calls), **self.how)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.reach("training_step")
        if batch_idx % 3 == 0:
            self.reach("every third step")
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.reach("validation_step")

    def on_train_batch_end(self, *_: Any) -> None:
        self.reach("on_train_batch_end")

    def on_train_epoch_end(self) -> None:
        self.reach("on_train_epoch_end")

    def on_validation_epoch_end(self) -> None:
        self.reach("on_validation_epoch_end")


class Recording(EarlyStopping):
    """Notes each value that it checks."""

    def reset(self) -> None:
        super().reset()
        self.checked: list[float] = []

    def observe(self, trainer: Any, reading: Any) -> None:
        self.checked.append(reading.value)
        super().observe(trainer, reading)


class LightningsRecording(LightningsEarlyStopping):
    """Notes each value that Lightning's own checks."""

    def __init__(self) -> None:
        super().__init__("x", patience=99, strict=False)
        self.checked: list[float] = []

    def _run_early_stopping_check(self, trainer: Any) -> None:
        self.checked += [float(value) for name, value in trainer.callback_metrics.items() if name == "x"]
        super()._run_early_stopping_check(trainer)


def checked(net: Net, validations: str, callback: Any) -> list[float]:
    fit(callback, net=net, max_epochs=EPOCHS, num_sanity_val_steps=0, **VALIDATIONS[validations])
    return list(callback.checked)


@pytest.mark.parametrize("validations", VALIDATIONS)
@pytest.mark.parametrize("source", BY_TRAINING)
def test_what_training_logs_is_checked_at_the_end_of_each_training_epoch(source: str, validations: str) -> None:
    where, how, expected = BY_TRAINING[source]
    assert checked(Logging(where, how), validations, Recording("x", patience=99)) == expected
    if validations in ("no validation", "each epoch"):
        # elsewhere Lightning checks after validations, where an epoch's value is missing or the last epoch's
        assert checked(Logging(where, how), validations, LightningsRecording()) == expected


@pytest.mark.parametrize("validations", ["each epoch", "every second epoch", "twice an epoch"])
@pytest.mark.parametrize("source", BY_VALIDATION)
def test_what_validation_logs_is_checked_after_each_validation_as_lightning_does(source: str, validations: str) -> None:
    where, expected = BY_VALIDATION[source]
    assert checked(Logging(where), validations, Recording("x", patience=99)) == expected[validations]
    assert checked(Logging(where), validations, LightningsRecording()) == expected[validations]
