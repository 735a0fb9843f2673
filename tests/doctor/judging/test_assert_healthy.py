"""assert_healthy: the doctor in a user's test."""

import pytest
import torch
from torch import nn

from lightning_tricks import assert_healthy

BATCH = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


def sick() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def test_a_healthy_model_passes() -> None:
    assert_healthy(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), BATCH)


def test_the_message_is_the_report() -> None:
    with pytest.raises(AssertionError, match=r"(?s)Sequential: not healthy.*PLC001 dropout-before-batchnorm.*try: "):
        assert_healthy(sick(), BATCH)


def test_findings_below_the_bar_and_ignored_ones_pass() -> None:
    assert_healthy(sick(), BATCH, fail_on="error")
    assert_healthy(sick(), BATCH, ignore=["PLC001:1", "PLC011"])
    mild = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
    assert_healthy(mild, BATCH)
    with pytest.raises(AssertionError, match="PLC005"):
        assert_healthy(mild, BATCH, fail_on="info")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="`fail_on` must be one of 'error', 'warning', 'info', got 'fatal'"):
        assert_healthy(sick(), BATCH, fail_on="fatal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'PLX' is not a rule"):
        assert_healthy(sick(), BATCH, ignore=["PLX"])
