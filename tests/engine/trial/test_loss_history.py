"""Loss history: the means of all losses of a run, in bounded memory."""

import math
from statistics import fmean

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.engine.trial.loss_history import MOST, LossHistory


def history(losses: list[float]) -> LossHistory:
    found = LossHistory()
    for loss in losses:
        found.add({"loss": torch.tensor(loss)})
    return found


@given(count=st.integers(0, 5 * MOST), seed=st.integers(0, 9))
def test_the_means_are_those_of_equally_many_losses_each_except_the_last(count: int, seed: int) -> None:
    losses = torch.rand(count, generator=torch.Generator().manual_seed(seed)).tolist()
    means = history(losses).means()
    assert len(means) <= MOST
    width = 1
    while width * MOST < count:
        width *= 2
    assert means == pytest.approx([fmean(losses[place : place + width]) for place in range(0, count, width)], rel=1e-5)


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 3 * MOST + 2])
def test_a_loaded_history_goes_on_as_one_that_was_not_interrupted(count: int) -> None:
    losses = torch.rand(count + MOST, generator=torch.Generator().manual_seed(0)).tolist()
    whole, resumed = history(losses), LossHistory()
    resumed.load(history(losses[:count]).plain_state())
    for loss in losses[count:]:
        resumed.add(torch.tensor(loss))
    assert resumed.means() == whole.means()


@pytest.mark.parametrize("output", [None, {}, {"loss": None}, torch.ones(3), {"prediction": torch.tensor(1.0)}, 0.5])
def test_an_output_without_one_loss_is_left_out(output: object) -> None:
    found = history([1.0])
    found.add(output)
    assert found.means() == [1.0]


def test_a_loss_that_is_not_finite_is_kept_as_such_and_a_half_precision_one_is_widened() -> None:
    found = history([math.nan])
    found.add(torch.tensor([300.0], dtype=torch.float16))
    first, second = found.means()
    assert math.isnan(first)
    assert second == 300.0


def test_a_loss_that_the_module_changes_later_stays_as_it_was() -> None:
    found, loss = LossHistory(), torch.tensor(1.0)
    found.add(loss)
    loss.fill_(5.0)
    assert found.means() == [1.0]
