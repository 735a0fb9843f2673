"""Weight source rows by their likeness to a shifted target domain, whose density ratio is known.

Source and target inputs are Gaussian with different means; a line is too simple for the labels of both domains.

Usage: python examples/shifted_domain.py
"""

import sys
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_tricks import domain_weights
from lightning_tricks.core.text_table import align

MEAN = torch.tensor([1.0, 1.0])
"""The mean of the target domain; that of the source domain is 0, and both have unit covariance."""


class Result(NamedTuple):
    """What one draw of the two domains gave; accuracies are those on the target domain."""

    correlation: float  # of the estimated weights with the true density ratio
    unweighted: float  # accuracy of a line fitted to the source rows
    weighted: float  # of a line fitted to the weighted source rows
    of_target: float  # of a line fitted to labeled target rows, which are not available in practice


def draw(mean: Tensor, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return inputs and labels; the boundary is a parabola, the same in both domains, with 5 % of labels flipped."""
    x = torch.randn(rows, 2, generator=generator) + mean
    y = (x[:, 1] > x[:, 0].square() - 0.5).float()
    return x, torch.where(torch.rand(rows, generator=generator) < 0.05, 1 - y, y)


def fit_line(x: Tensor, y: Tensor, weights: Tensor) -> nn.Linear:
    """Return a logistic regression that minimizes the weighted loss."""
    line = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(line.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (weights * F.binary_cross_entropy_with_logits(line(x).squeeze(1), y, reduction="none")).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return line


def run(seed: int) -> Result:
    """Draw both domains, estimate the weights and fit the lines."""
    generator = torch.Generator().manual_seed(seed)
    (source, labels), (target, of_target) = draw(torch.zeros(2), 1000, generator), draw(MEAN, 1000, generator)
    test, truth = draw(MEAN, 5000, generator)
    weights = domain_weights(source, target, max_weight=100, seed=seed)  # the true ratio reaches 20 to 100
    ratio = (source @ MEAN - MEAN @ MEAN / 2).exp()  # N(x; MEAN, I) / N(x; 0, I)
    correlation = float(torch.corrcoef(torch.stack([weights, ratio]))[0, 1])
    ones = torch.ones(1000)
    lines = fit_line(source, labels, ones), fit_line(source, labels, weights), fit_line(target, of_target, ones)
    with torch.no_grad():
        return Result(correlation, *(float(((line(test).squeeze(1) > 0) == truth).float().mean()) for line in lines))


def main(seeds: int = 5) -> list[Result]:
    """Print the correlation and the accuracies of each seed."""
    results = [run(seed) for seed in range(seeds)]
    rows = [["seed", "correlation", "unweighted", "weighted", "with target labels"]]
    rows += [[str(seed), *(f"{number:.3f}" for number in result)] for seed, result in enumerate(results)]
    print("\n".join(align(rows)))
    return results


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
