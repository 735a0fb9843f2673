"""Dropout rates: set in place on the layers that patterns choose; the old rates are returned."""

import pytest
import torch
from torch import nn

from lightning_tricks import LockedDropout, set_dropout_
from lightning_tricks.functional.dropout_rates import find_dropout, ramp


def model() -> nn.Module:
    return nn.ModuleDict(
        {
            "body": nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(0.1), nn.AlphaDropout(0.2)),
            "rnn": nn.LSTM(4, 4, num_layers=2, dropout=0.3),
            "single": nn.GRU(4, 4),
            "attention": nn.MultiheadAttention(4, 1, dropout=0.4),
            "head": nn.Sequential(LockedDropout(0.6), nn.Linear(4, 2)),
        }
    )


OLD = {"body.1": 0.1, "body.2": 0.2, "rnn": 0.3, "head.0": 0.6}


def test_all_dropout_layers_are_set_and_can_be_restored() -> None:
    net = model()
    assert list(find_dropout(net)) == list(OLD)
    assert set_dropout_(net, 0.5) == OLD
    assert set_dropout_(net, 0.0) == dict.fromkeys(OLD, 0.5)
    assert net["attention"].dropout == 0.4  # type: ignore[index]
    for name, p in OLD.items():
        set_dropout_(net, p, include=[name])
    assert set_dropout_(net, 0.1) == OLD


def test_the_rate_acts_at_once() -> None:
    net = nn.Sequential(nn.Dropout(0.0))
    set_dropout_(net, 0.9)
    assert (net(torch.ones(1000)) == 0).float().mean() > 0.8


def test_patterns_choose_and_one_without_effect_is_refused() -> None:
    assert set_dropout_(model(), 0.5, include=["head.*", "body.1"]) == {"body.1": 0.1, "head.0": 0.6}
    with pytest.raises(ValueError, match=r"`include`: 'tail.\*' matches no dropout layer .*: body.1, bod"):
        set_dropout_(model(), 0.5, include=["head.*", "tail.*"])


@pytest.mark.parametrize("p", [1.0, -0.1, float("nan")])
def test_a_rate_outside_of_its_range_is_refused_and_nothing_is_set(p: float) -> None:
    net = model()
    with pytest.raises(ValueError, match=r"`p` must lie in \[0, 1\)"):
        set_dropout_(net, p)
    assert set_dropout_(net, 0.5) == OLD


def test_the_way_from_one_rate_to_another_is_straight() -> None:
    assert [ramp(0.2, 0.6, share) for share in (0, 0.25, 1, 2)] == pytest.approx([0.2, 0.3, 0.6, 0.6])
