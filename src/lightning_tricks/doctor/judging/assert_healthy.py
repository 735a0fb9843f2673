"""Assert health: use the doctor in a test."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from lightning_tricks.core.arguments import check_choice
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.rules.finding import SEVERITIES, Severity


def assert_healthy(model: nn.Module, batch: Any, *, ignore: Iterable[str] = (), fail_on: Severity = "warning") -> None:
    """Raise an ``AssertionError`` with the report if the doctor finds a problem.

    Args:
        model: a LightningModule or any module.
        batch: the argument of its ``training_step``, or of its ``forward``.
        ignore: codes, prefixes and names of rules to skip; ``"PLC001:encoder.*"`` skips a rule in one place.
        fail_on: the lowest severity that fails.

    Raises:
        AssertionError: there is a finding of this severity; the message is the report.
        ValueError: an unknown rule or severity.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.95), nn.ReLU(), nn.Linear(8, 1))
        >>> assert_healthy(net, torch.randn(16, 4), ignore=["PLC"])
        >>> assert_healthy(net, torch.randn(16, 4))
        Traceback (most recent call last):
        ...
        AssertionError: Sequential: not healthy (1 warning...
    """
    check_choice("fail_on", fail_on, SEVERITIES)
    report = diagnose(model, batch, ignore=ignore)
    if report.at_least(fail_on):
        raise AssertionError(str(report))
