"""Gradient check: compare the gradients of a whole training step with finite differences."""

import time
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_number
from lightning_tricks.core.time_budgets import parse_budget
from lightning_tricks.engine.gradcheck.step_copy import StepCopy, UncheckableStepError
from lightning_tricks.functional.derivatives import Comparison, compare_derivative
from lightning_tricks.reports.gradient_check_result import GradientCheck


def gradient_check(
    model: nn.Module,
    batch: Any,
    *,
    eps: float = 1e-6,
    tol: float = 1e-7,
    directions: int = 8,
    seed: int = 0,
    budget: float | str = "60s",
) -> GradientCheck:
    r"""Compare the gradients of a training step with finite differences, on a copy of the model in float64.

    For random directions :math:`d` in all trainable parameters, then in each parameter on its own, :math:`g \cdot d` is
    compared with :math:`(L(\theta + \epsilon d) - L(\theta - \epsilon d)) / 2 \epsilon`. Where these disagree, other
    step sizes and one-sided differences distinguish rounding, kinks and errors. Dropout and sampling draw the same
    numbers at each call. The model, the batch and the random generators are not changed.

    Gradients that differ from those of the loss by design (``detach``, straight-through estimators, gradient reversal)
    are reported as wrong.

    Args:
        model: a LightningModule; or a module whose ``forward`` computes a scalar loss from the batch.
        batch: the argument of its ``training_step``.
        eps: the step size of each weight, in [1e-9, 1e-2].
        tol: the largest relative difference of correct gradients, in (0, 1).
        directions: number of random directions in all parameters, at least 1.
        seed: seed of the directions.
        budget: wall-clock time, in seconds or as ``"30s"`` or ``"2min"``; the first direction is always compared.

    Returns:
        The verdict, the relative difference :math:`‖g - g'‖ / (‖g‖ + ‖g'‖)`, and a table of parameters.

    Raises:
        UncheckableStepError: a ``ValueError`` with the reason why the step cannot be judged: it casts to float32 (other
            than in the code of installed libraries), draws new random numbers at each call, raises, cannot be copied,
            or returns no loss, or a loss that is detached, not finite or an integer.
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> class Squares(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.ones(3))
        ...     def forward(self, x):
        ...         return (self.weight * x).pow(2).sum()
        >>> gradient_check(Squares(), torch.ones(3)).ok
        True

    References:
        PyTorch documentation, "Gradcheck mechanics"; CS231n notes, "Neural Networks Part 3: Gradient Checks".
    """
    check_number("eps", eps, 1e-9, 1e-2)
    check_number("tol", tol, 0, 1, low_open=True, high_open=True)
    check_count("directions", directions, 1)
    check_count("seed", seed, 0)
    deadline = time.perf_counter() + parse_budget("budget", budget)
    step = StepCopy(model, batch)
    if not step.parameters:
        raise UncheckableStepError("No parameter of the model is trainable: there is no gradient to compare.")
    check = _Check(step, eps, tol, seed)
    for place in range(directions):
        if not place or time.perf_counter() < deadline:
            check.compare_all(place)
    for name in step.parameters:
        if time.perf_counter() < deadline:
            check.compare_one(name)
        else:
            check.unchecked.append(name)
    return check.result()


class _Check:
    """The comparisons so far."""

    def __init__(self, step: StepCopy, eps: float, tol: float, seed: int) -> None:
        self._step, self._eps, self._tol = step, eps, tol
        self._generator = torch.Generator().manual_seed(seed)
        self._loss, self._gradients = step.loss_and_gradients()
        self._of_all: dict[str, Comparison] = {}
        self._of_one: dict[str, Comparison] = {}
        self.unchecked: list[str] = []

    def compare_all(self, place: int) -> None:
        """Compare along a random direction in all parameters."""
        self._of_all[f"direction {place}"] = self._compare(self._gradients)

    def compare_one(self, name: str) -> None:
        """Compare along a random direction in one parameter."""
        self._of_one[name] = self._compare([name])

    def _compare(self, names: Iterable[str]) -> Comparison:
        directions = {name: self._draw(self._gradients[name]) for name in names}
        analytic = _product(self._gradients, directions)

        def value(step: float) -> float:
            return self._step.loss_at(directions, step)

        return compare_derivative(value, analytic, eps=self._eps, tol=self._tol, at_zero=self._loss)

    def _draw(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator, dtype=like.dtype).to(like.device)

    def result(self) -> GradientCheck:
        """Return the result.

        Raises:
            UncheckableStepError: no difference is reliable.
        """
        found = {**self._of_all, **self._of_one}
        known = {name: each for name, each in found.items() if each.verdict in ("right", "rounding", "wrong")}
        if not known and not any(each.verdict == "kink" for each in found.values()):
            raise UncheckableStepError(
                "Differences with several step sizes contradict each other: the step may cast to float32 in a custom "
                "function, round, or have kinks everywhere near this point. Compute in the dtype of the input."
            )
        by_parameter = {name: _relative([known[name]]) for name in self._of_one if name in known}
        of_all = [known[name] for name in self._of_all if name in known]  # none if every direction meets a kink
        return GradientCheck(
            ok=all(each.verdict != "wrong" for each in known.values()),
            relative_difference=_relative(of_all or [known[name] for name in by_parameter]),
            by_parameter=dict(sorted(by_parameter.items(), key=lambda item: -item[1])),
            kinks=[name for name in found if name not in known],
            unchecked=self.unchecked,
            tol=self._tol,
        )


def _product(gradients: Mapping[str, Tensor], directions: Mapping[str, Tensor]) -> float:
    parts = [(gradients[name].conj() * way).real.sum() for name, way in directions.items()]
    return float(torch.stack([part.cpu() for part in parts]).sum())


def _relative(found: Iterable[Comparison]) -> float:
    """Return the norm of the differences over the sum of the norms."""
    found = list(found)
    difference = sqrt(sum(each.difference**2 for each in found))
    size = sqrt(sum(each.analytic**2 for each in found)) + sqrt(sum(each.numeric**2 for each in found))
    return difference / size if difference else 0.0
