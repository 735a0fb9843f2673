"""Input normalizer: fitted by a loader, restored by a state_dict alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import InputNormalizer

IMAGES = torch.randint(0, 256, (20, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_pass_over_a_loader_gives_mean_zero_and_deviation_one() -> None:
    loader = DataLoader(TensorDataset(torch.arange(20), IMAGES), batch_size=6)
    normalizer = InputNormalizer(3).fit_(loader, key=1)
    normalized = normalizer(IMAGES)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3), correction=0), torch.ones(3))
    expected = IMAGES.double().numpy()
    np.testing.assert_allclose(normalizer.mean, expected.mean((0, 2, 3)), rtol=1e-6)
    assert normalizer.num_rows == 20 * 16


def test_a_state_dict_alone_is_enough_for_inference() -> None:
    fitted = InputNormalizer(3).fit_([IMAGES[:4].float()])
    other = InputNormalizer(3)
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(IMAGES), fitted(IMAGES))


def test_an_unfitted_one_changes_nothing_but_the_dtype() -> None:
    assert torch.equal(InputNormalizer(3)(IMAGES), IMAGES.float())


def test_padding_is_left_alone_and_the_pass_can_be_limited() -> None:
    batches = [{"x": torch.tensor([[[1.0], [9.0]]]), "valid": torch.tensor([[True, False]])}] * 2
    batches.append({"x": torch.full((1, 2, 1), 1000.0), "valid": torch.ones(1, 2, dtype=torch.bool)})
    normalizer = InputNormalizer(1, dim=-1).fit_(batches, mask="valid", limit_batches=2)
    assert (normalizer.mean.item(), normalizer.num_rows.item()) == (1, 2)
    assert normalizer(batches[0]["x"], batches[0]["valid"]).flatten().tolist() == [0, 9]


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ([], "The loader is empty"),
        ([torch.ones(2, 4)], "num_features=3, but the input has 4"),
        ([torch.ones(2, 3), torch.ones(2, 4)], "changes between batches: 3, then 4"),
        ([torch.tensor([[1.0, torch.nan, 2.0]])], "The input must be finite, got NaN or infinity in feature 1 of"),
        ([torch.eye(3).to_sparse()], "sparse"),
        ([torch.tensor([1, 2])], "no floating-point tensor"),
    ],
    ids=str,
)
def test_rows_that_cannot_be_measured_are_refused_and_leave_it_unfitted(loader: Any, message: str) -> None:
    normalizer = InputNormalizer(3)
    with pytest.raises(ValueError, match=message):
        normalizer.fit_(loader)
    assert normalizer.num_rows == 0
    assert torch.equal(normalizer.mean, torch.zeros(3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_features": 0}, ValueError, "`num_features` must be at least 1, got 0"),
        ({"num_features": 2, "dim": 0}, ValueError, "`dim` must be .* not 0"),
        ({"num_features": 2, "dim": "1"}, TypeError, "`dim` must be a whole number"),
        ({"num_features": 2, "eps": 0.0}, ValueError, "`eps` must be finite and > 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        InputNormalizer(**arguments)


def test_an_input_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_features=3 in dimension 1, got an input of shape \(2, 4\)"):
        InputNormalizer(3)(torch.ones(2, 4))
