"""Loss balancer: factors from running means, and learned weights."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_tricks import LossBalancer


def terms(main: float, *others: float) -> dict[str, Tensor]:
    named = {"main": main} | {f"extra{i}": value for i, value in enumerate(others)}
    return {name: torch.tensor(value, requires_grad=True) for name, value in named.items()}


def test_terms_within_the_ratio_are_added_as_they_are() -> None:
    balancer = LossBalancer(["main", "extra0", "extra1"])
    assert balancer(terms(1.0, 99.0, 0.02)).item() == pytest.approx(100.02)
    assert balancer.weights == {"main": 1.0, "extra0": 1.0, "extra1": 1.0}


def test_terms_outside_of_it_are_brought_to_its_edge_by_a_factor_without_gradient() -> None:
    balancer = LossBalancer(["main", "extra0", "extra1"], max_ratio=10.0)
    given = terms(2.0, 4000.0, 0.001)
    balancer(given).backward()
    assert balancer.weights == pytest.approx({"main": 1.0, "extra0": 0.005, "extra1": 200.0})
    assert [value.grad.item() for value in given.values()] == pytest.approx([1.0, 0.005, 200.0])
    assert list(balancer.parameters()) == []


def test_the_running_means_are_unbiased_and_keep_the_factors_steady() -> None:
    balancer = LossBalancer(["main", "extra0"])
    for main, extra in ((1.0, 1000.0), (3.0, 3000.0)):
        balancer(terms(main, extra))
    weights = torch.tensor([0.99, 1.0])
    mean = (weights * torch.tensor([1.0, 3.0])).sum() / weights.sum()
    torch.testing.assert_close(balancer.means / balancer.seen, torch.stack([mean, 1000 * mean]))
    for _ in range(500):
        balancer(terms(1.0, 1000.0))
    assert balancer(terms(1.0, 2000.0)).item() == pytest.approx(1 + 2000 * 0.1, rel=0.02)


def test_in_eval_mode_the_factors_stay_and_before_any_call_they_are_one() -> None:
    balancer = LossBalancer(["main", "extra0"]).eval()
    assert balancer(terms(1.0, 1e6)).item() == 1_000_001
    balancer.train()(terms(1.0, 1e6))
    before = balancer.weights
    balancer.eval()(terms(1.0, 1.0))
    assert balancer.weights == before
    restored = LossBalancer(["main", "extra0"])
    restored.load_state_dict(balancer.state_dict())
    assert restored.weights == before


def test_terms_that_are_zero_negative_or_not_finite_leave_finite_factors() -> None:
    balancer = LossBalancer(["main", "extra0", "extra1"])
    assert balancer(terms(0.0, 5.0, 0.0)).item() == 5.0
    balancer = LossBalancer(["main", "extra0", "extra1"])
    assert balancer(terms(-1.0, float("nan"), float("inf"))).isnan()
    assert balancer(terms(-1.0, -500.0, 1.0)).item() == pytest.approx(-1 - 100 + 1)
    assert balancer.weights == pytest.approx({"main": 1.0, "extra0": 0.2, "extra1": 1.0})


def test_uncertainty_is_twice_equation_7_and_its_weights_find_the_inverse_losses() -> None:
    balancer = LossBalancer(["main", "extra0"], method="uncertainty")
    with torch.no_grad():
        balancer.log_variances.copy_(torch.tensor([0.5, -1.0]))
    sigma = (balancer.log_variances.detach() / 2).exp()
    expected = 2 * (3.0 / (2 * sigma[0] ** 2) + 0.2 / (2 * sigma[1] ** 2) + sigma.prod().log())
    torch.testing.assert_close(balancer(terms(3.0, 0.2)).detach(), expected)
    optimizer = torch.optim.SGD(balancer.parameters(), 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        balancer(terms(4.0, 0.5)).backward()
        optimizer.step()
    assert balancer.weights == pytest.approx({"main": 0.25, "extra0": 2.0}, rel=1e-3)


@pytest.mark.parametrize(
    ("names", "arguments", "error", "message"),
    [
        (["main"], {}, ValueError, r"at least two different names, got \['main'\]"),
        (["main", "main"], {}, ValueError, "at least two different names"),
        ("main", {}, ValueError, "at least two different names"),
        ([1, 2], {}, TypeError, "`names` must be a list of names of losses"),
        (["a", "b"], {"method": "sum"}, ValueError, "`method` must be one of 'magnitude', 'uncertainty', got 'sum'"),
        (["a", "b"], {"max_ratio": 0.5}, ValueError, "`max_ratio` must be finite and >= 1, got 0.5"),
    ],
)
def test_wrong_arguments_are_named(names: Any, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LossBalancer(names, **arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": torch.tensor(1.0)}, r"must have the entries \['a', 'b'\], got \['a'\]"),
        ({"a": torch.tensor(1.0), "b": torch.ones(2)}, r"`terms\['b'\]` must be a tensor with one element"),
        ({"a": torch.tensor(1.0), "b": 1.0}, r"`terms\['b'\]` must be a tensor"),
    ],
)
def test_wrong_terms_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossBalancer(["a", "b"])(given)
