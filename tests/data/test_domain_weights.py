"""Domain weights against known density ratios."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_tricks import domain_weights


def gaussian(count: int, mean: list[float], deviation: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return deviation * torch.randn(count, len(mean), generator=generator) + torch.tensor(mean)


def log_density(x: Tensor, mean: list[float], deviation: float) -> Tensor:
    return torch.distributions.Normal(torch.tensor(mean), deviation).log_prob(x).sum(1)


@pytest.mark.parametrize(
    ("mean", "deviation"), [([1.0, 0.0], 1.0), ([-0.5, 0.5], 1.0), ([0.0, 0.0], 0.5), ([1.0, 1.0], 0.6)]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_follow_the_true_density_ratio(mean: list[float], deviation: float, seed: int) -> None:
    source, target = gaussian(1000, [0.0, 0.0], seed=seed), gaussian(1000, mean, deviation, seed=seed + 50)
    weights = domain_weights(source, target)
    ratio = (log_density(source, mean, deviation) - log_density(source, [0.0, 0.0], 1.0)).exp()
    assert torch.corrcoef(torch.stack([weights, ratio]))[0, 1] >= 0.9


def test_weights_have_mean_one_and_a_bound_and_depend_on_the_seed_alone() -> None:
    source, target = gaussian(300, [0.0]), gaussian(200, [2.0], seed=1)
    for bound in (1.0, 2.0, 10.0):
        weights = domain_weights(source, target, max_weight=bound)
        assert weights.shape == (300,)
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
        assert weights.max() <= bound
    before = torch.random.get_rng_state()
    assert torch.equal(domain_weights(source, target), domain_weights(source.numpy(), target))
    assert torch.equal(before, torch.random.get_rng_state())


def test_one_domain_twice_gives_weights_near_one() -> None:
    weights = domain_weights(gaussian(500, [0.0] * 5), gaussian(500, [0.0] * 5, seed=1))
    assert weights.min() > 0.5
    assert weights.max() < 2


def fit_line(x: Tensor, y: Tensor, weights: Tensor) -> nn.Module:
    """A logistic regression: a model too simple for the whole source domain."""
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=50)

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = nn.functional.binary_cross_entropy_with_logits(model(x).squeeze(1), y, reduction="none")
        value = (weights * losses).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return model


@pytest.mark.parametrize("seed", range(3))
def test_a_weighted_classifier_beats_the_unweighted_one_on_the_target(seed: int) -> None:
    source, target = gaussian(800, [0.0], seed=seed), gaussian(800, [1.5], 0.5, seed=seed + 50)

    def labels(x: Tensor) -> Tensor:
        return ((x[:, 0] > -0.5) & (x[:, 0] < 1.5)).float()  # no line separates this; on the target one does

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = domain_weights(source, target)
    accuracies = []
    for given in (torch.ones(800), weights):
        model = fit_line(source, labels(source), given)
        accuracies.append(((model(target).squeeze(1) > 0) == labels(target).bool()).float().mean().item())
    assert accuracies[1] > accuracies[0] + 0.2


def test_domains_that_hardly_overlap_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="source rows are effective; the domains hardly overlap"):
        weights = domain_weights(gaussian(1000, [0.0]), gaussian(1000, [4.0], seed=1), max_weight=1000.0)
    assert weights.isfinite().all()


def test_features_that_are_constant_and_rows_of_images_are_taken() -> None:
    source, target = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0)), torch.ones(30, 2, 3)
    source[:, 0] = 1
    target[:, 1] = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    weights = domain_weights(source, target)
    assert weights.shape == (40,)
    assert torch.equal(weights, domain_weights(source.flatten(1), target.flatten(1)))
    assert weights.isfinite().all()
    assert weights.std() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_weight": 0.5}, r"`max_weight` must be finite and >= 1, got 0.5"),
        ({"source": torch.zeros(20)}, r"`source` must have shape \(N, d\).*view\(-1, 1\)"),
        ({"source": torch.zeros(5, 2)}, "`source` must have at least 10 rows, got 5"),
        ({"target": torch.full((20, 2), float("nan"))}, "`target` must be finite, got NaN or infinity in 20 of 20"),
        ({"target": torch.zeros(20, 3)}, "same features, got 2 and 3"),
    ],
)
def test_it_refuses(arguments: dict[str, Any], message: str) -> None:
    given = {"source": torch.zeros(20, 2), "target": torch.zeros(20, 2), **arguments}
    with pytest.raises(ValueError, match=message):
        domain_weights(given.pop("source"), given.pop("target"), **given)
