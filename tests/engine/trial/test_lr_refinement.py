"""Trials around a suggestion: what they are judged by, how long they are, and what they make of it."""

import math
from typing import Any

import pytest
import torch
from tiny import LargeBatchNet, Net, StatefulLoader, fit
from torch import Tensor

from lightning_tricks import LRFinder, LRFinderResult, find_lr
from lightning_tricks.functional.lr_trials import best_trial, damp_move, trial_rates


def refined(net: Net, max_epochs: int = 3, **arguments: Any) -> LRFinderResult:
    finder = LRFinder(min_lr=1e-4, num_steps=60, **{"refine": 20, **arguments})
    fit(finder, net=net, max_epochs=max_epochs)
    assert finder.result is not None
    assert finder.result.suggestion is not None
    return finder.result


def test_a_trial_is_no_longer_than_the_training_and_then_believed_in_full() -> None:
    result = refined(LargeBatchNet())
    plain = refined(LargeBatchNet(), refine=0)
    assert plain.suggestion is not None
    assert [lr for lr, _ in result.trials] == trial_rates(plain.suggestion, 18, 180, 18)
    assert result.suggestion == pytest.approx(best_trial(result.trials))
    said = f"of 7 rates, {result.suggestion:.2g} reaches the lowest validation loss after 18 steps"
    assert result.reason == said


def test_of_a_longer_training_it_says_what_the_trials_make_of_the_suggestion() -> None:
    result, plain = refined(LargeBatchNet(), max_epochs=30), refined(LargeBatchNet(), max_epochs=30, refine=0)
    rates, best = [lr for lr, _ in result.trials], best_trial(result.trials)
    assert plain.suggestion is not None
    assert best is not None
    assert result.suggestion == damp_move(plain.suggestion, best / rates[len(rates) // 2], 20, 180)
    moves = f"moves from {plain.suggestion:.2g} to {result.suggestion:.2g} instead of {best:.2g}"
    assert result.reason.endswith(
        f"a training of 180 steps needs a smaller rate than a short trial, so the suggestion {moves}"
    )


class Judged(LargeBatchNet):
    """A module whose validation prefers the smaller ones of the rates it was trained with, or the larger."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign, self.rate = sign, 0.0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        self.rate = self.trainer.optimizers[0].param_groups[1]["lr"] or self.rate
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return torch.tensor(self.sign * self.rate)


@pytest.mark.parametrize(("sign", "place"), [(1.0, 0), (-1.0, -2)])
def test_it_is_the_validation_loss_that_decides(sign: float, place: int) -> None:
    result = refined(Judged(sign))
    assert result.suggestion == pytest.approx(result.trials[place][0])


@pytest.mark.parametrize(("batches", "rates", "steps"), [(6, 7, 20), (24, 7, 24), (40, 5, 30)])
def test_without_validation_a_trial_passes_over_the_data_once(batches: int, rates: int, steps: int) -> None:
    class Unvalidated(Net):
        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

        def train_dataloader(self) -> StatefulLoader:
            return StatefulLoader(batches, batch_size=32)

    reason = refined(Unvalidated(), max_epochs=20, refine=30).reason
    assert f"of {rates} rates, " in reason
    assert f"the lowest training loss after {steps} steps" in reason


def test_where_every_trial_breaks_there_is_no_suggestion() -> None:
    class Breaking(LargeBatchNet):
        def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
            return torch.tensor(math.nan)

    finder = LRFinder(min_lr=1e-4, num_steps=60, refine=20)
    with pytest.warns(UserWarning, match="training diverges at every rate around"):
        fit(finder, net=Breaking())
    assert finder.result is not None
    assert finder.result.suggestion is None


def test_an_error_of_the_users_in_a_validation_is_theirs_to_see() -> None:
    class Faulty(LargeBatchNet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if self.global_step == 0 and not self.trainer.sanity_checking:
                raise KeyError("label")

    with pytest.raises(KeyError, match="label"):
        fit(LRFinder(min_lr=1e-4, num_steps=60, refine=20), net=Faulty())


def test_a_validation_never_sees_the_weights_that_the_sweep_has_broken() -> None:
    class Careful(LargeBatchNet):
        def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
            seen.append(float(self.head.weight.abs().max()))
            return self.loss(batch)

    seen: list[float] = []
    finder = LRFinder(min_lr=1e-4, num_steps=60, refine=20, max_lr=1e6, stop_factor=math.inf, apply=False)
    fit(finder, net=Careful(), num_sanity_val_steps=0)
    assert finder.result is not None
    assert finder.result.diverged
    assert seen[0] == float(Careful().head.weight.abs().max())


def test_with_weights_that_a_rate_has_broken_nobody_validates() -> None:
    class Strict(LargeBatchNet):
        def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = self.loss(batch)
            if not loss.isfinite():
                raise ValueError("Input contains NaN.")
            return loss

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if refining and self.trainer.optimizers[0].param_groups[1]["lr"] > 0.11:  # the run's own is 0.1
                with torch.no_grad():
                    self.head.weight.fill_(math.inf)

        def on_validation_start(self) -> None:
            refining.append(True)

    refining: list[bool] = []
    finder = LRFinder(min_lr=1e-4, num_steps=60, refine=20, apply=False)
    fit(finder, net=Strict(), num_sanity_val_steps=0, max_epochs=1)
    assert finder.result is not None
    lost = [lr for lr, loss in finder.result.trials if not math.isfinite(loss)]
    assert lost == [lr for lr, _ in finder.result.trials if lr > 0.11] != []
    assert finder.result.suggestion is not None


def test_find_lr_refines_on_validation_batches_that_it_is_given() -> None:
    arguments = {"min_lr": 1e-4, "num_steps": 60, "refine": 20}
    loaders = StatefulLoader(batch_size=32), StatefulLoader(2, batch_size=32)
    with_validation = find_lr(LargeBatchNet(), loaders[0], val_dataloaders=loaders[1], **arguments)
    assert "the lowest validation loss" in with_validation.reason
    assert loaders[1].epoch == 0
    assert find_lr(LargeBatchNet(), loaders[0], val_dataloaders=loaders[1], min_lr=1e-4, num_steps=60).trials == []
