"""Gradient noise scale: against the truth of a linear model, and without a trace."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import noise_ranks
import pytest
import torch
from subprocesses import run_script
from tiny import Net, StatefulLoader
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import gradient_noise_scale
from lightning_tricks.engine.gradcheck.step_copy import UncheckableStepError

INPUTS, NOISE = 10, 2.0


class Linear(L.LightningModule):
    """A linear regression whose weights are 0 where the truth is a unit vector."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(INPUTS))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.log("loss", 0.0)
        return F.mse_loss(batch[0] @ self.weight, batch[1])


def loader(seed: int, rows: int = 6400, batch_size: int = 64) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, INPUTS, generator=generator)
    truth = torch.full((INPUTS,), INPUTS**-0.5)
    y = x @ truth + NOISE * torch.randn(rows, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True, generator=generator)


@pytest.mark.parametrize("seed", range(2))
def test_it_is_within_a_fifth_of_the_truth_on_a_linear_model(seed: int) -> None:
    # x ~ N(0, I), error vector d of length 1: E|g|^2 = 4 ((n + 2) |d|^2 + n s^2), |E g|^2 = 4 |d|^2
    truth = (INPUTS + 1) + INPUTS * NOISE**2
    found = gradient_noise_scale(Linear(), loader(seed), num_batches=100)
    assert found.simple == pytest.approx(truth, rel=0.2)
    assert found.low < truth < found.high
    assert (found.small_batch, found.large_batch) == (64, 6400)
    assert found.suggestion in (32, 64)


def test_model_loader_and_generators_are_as_they_were() -> None:
    model, data = Net(), StatefulLoader()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, position = torch.get_rng_state(), data.state_dict()
    gradient_noise_scale(model, data)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert data.state_dict() == position
    shuffled = loader(0, rows=256)
    order = shuffled.generator.get_state()
    first, again = (gradient_noise_scale(Linear(), shuffled) for _ in range(2))
    assert first == again
    assert torch.equal(shuffled.generator.get_state(), order)


def test_a_smaller_last_batch_is_left_out_and_num_batches_bounds_the_reading() -> None:
    assert gradient_noise_scale(Linear(), loader(0, rows=150)).large_batch == 128
    assert gradient_noise_scale(Linear(), loader(0), num_batches=3).large_batch == 192


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (loader(0, rows=64), ValueError, "at least two batches of one size, got 1"),
        ([], ValueError, "at least two batches of one size, got 0"),
        ([{"x": 1.0}] * 2, ValueError, "number of rows of a batch is unknown"),
        ([(torch.ones(2, 3), torch.ones(2))] * 2, UncheckableStepError, "`training_step` in float64 raised"),
    ],
)
def test_what_cannot_be_measured_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gradient_noise_scale(Linear(), data)


def test_the_ranks_together_measure_what_one_process_measures_on_all_batches(tmp_path: Path) -> None:
    run = run_script("noise_ranks", tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert ranks[0]["together"] == ranks[1]["together"]
    assert ranks[0]["alone"] != ranks[1]["alone"]
    whole = gradient_noise_scale(noise_ranks.Linear(), noise_ranks.batches())
    simple, small, large, small_batch, large_batch, low, high = ranks[0]["together"]
    assert [simple, small, large] == pytest.approx(list(whole[:3]))
    assert (small_batch, large_batch) == (64, 512)
    assert low < simple < high
    assert ranks[0]["one batch each"][4] == 128
    assert "got 64, 32 rows" in ranks[1]["error"]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="`num_batches` must be at least 2, got 1"):
        gradient_noise_scale(Linear(), loader(0), num_batches=1)
