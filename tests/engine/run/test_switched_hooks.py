"""Hooks of a callback are hidden from Lightning in the batches in which they would do nothing, and shown again."""

from typing import Any

import lightning as L
import pytest
from lightning.pytorch import Callback
from tiny import Net, fit

from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.switched_hooks import SwitchedHooks
from lightning_tricks.engine.run.trick import Trick


class Sampling(Trick):
    """Acts in every third batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def begin_fit(self, run: Run) -> None:
        run.part(SwitchedHooks).add(self, Sampling, ["on_train_batch_end"], lambda: run.batch_idx % 3 == 0)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(batch_idx)


class SeesAll(Sampling):
    """A subclass with a purpose of its own in the hook."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(batch_idx)


class Visible(Callback):
    """Records whether Lightning sees the hook of a trick in each batch."""

    def __init__(self, trick: Trick, error_at: int | None = None) -> None:
        self.trick, self.error_at, self.visible = trick, error_at, []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.visible.append(callable(self.trick.on_train_batch_end))
        if batch_idx == self.error_at:
            raise RuntimeError("a slip of the user's")


def test_a_hook_is_called_in_the_batches_of_its_condition_and_hidden_from_lightning_in_the_others() -> None:
    trick = Sampling()
    visible = Visible(trick)
    fit(trick, visible, net=Net(), max_epochs=1)
    batches = len(visible.visible)
    assert batches > 4
    assert trick.seen == list(range(0, batches, 3))
    assert visible.visible == [index % 3 == 0 for index in range(batches)]
    assert callable(trick.on_train_batch_end)


def test_a_hook_that_a_subclass_overrides_is_always_called() -> None:
    trick = SeesAll()
    fit(trick, net=Net(), max_epochs=1)
    assert len(trick.seen) > 4
    assert trick.seen == list(range(len(trick.seen)))


@pytest.mark.parametrize("error_at", [1, 3])
def test_after_an_exception_every_hook_is_shown_again_and_a_second_fit_is_as_the_first(error_at: int) -> None:
    trick = Sampling()
    with pytest.raises(RuntimeError, match="a slip of the user's"):
        fit(trick, Visible(trick, error_at), net=Net(), max_epochs=1)
    assert callable(trick.on_train_batch_end)
    trick.seen.clear()
    fit(trick, net=Net(), max_epochs=1)
    assert trick.seen[:2] == [0, 3]
