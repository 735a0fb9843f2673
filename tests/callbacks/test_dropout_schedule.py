"""Dropout schedule: rates follow the run's clock, layers are chosen, everything is restored."""

from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from recorders import Recorder
from stateful_net import StatefulNet, end_state, fit_stateful
from tiny import Net, fit, same, weights
from torch import nn

from lightning_tricks import DropoutSchedule, GradualUnfreezing, LRFinder


def rates_of(schedule: DropoutSchedule, **arguments: Any) -> list[float]:
    """The rate that each batch was trained with."""
    recorder = Recorder(on_train_batch_end=lambda trainer, module: schedule.rate)
    fit(schedule, recorder, **arguments)
    return recorder.seen["on_train_batch_end"]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("1dur", [0.2 + 0.3 * step / 12 for step in range(12)]),
        ("3st", [0.2, 0.3, 0.4, *[0.5] * 9]),
        (1, [*[0.2 + 0.3 * step / 6 for step in range(6)], *[0.5] * 6]),
        (0, [0.5] * 12),
    ],
)
def test_the_rate_moves_on_a_straight_line_step_by_step(over: Any, expected: list[float]) -> None:
    assert rates_of(DropoutSchedule(0.2, end=0.5, over=over), max_epochs=2) == pytest.approx(expected)


def test_accumulation_does_not_advance_it() -> None:
    rates = rates_of(DropoutSchedule(0.2, end=0.5, over="3st"), max_epochs=1, accumulate_grad_batches=2)
    assert rates == pytest.approx([0.2, 0.2, 0.3, 0.3, 0.4, 0.4])


def test_it_changes_training_but_neither_validation_nor_the_state_dict() -> None:
    bare, net = Net(), Net()
    fit(net=bare, max_epochs=1)
    fit(DropoutSchedule(0.5), net=net, max_epochs=1)
    assert not same(weights(bare), weights(net))
    assert net.state_dict().keys() == bare.state_dict().keys()
    assert not net.head._forward_pre_hooks
    net.load_state_dict(bare.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(net.eval().head(net.body(x)), bare.eval().head(bare.body(x)))


class DropoutNet(Net):
    """`Net` whose head is fed by a dropout layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body.append(nn.Dropout(0.1))


def test_a_dropout_layer_that_feeds_the_head_is_set_and_restored() -> None:
    net = DropoutNet()
    recorder = Recorder(on_train_batch_end=lambda trainer, module: module.body[3].p)
    fit(DropoutSchedule(0.2, end=0.5, over="2st"), recorder, net=net, max_epochs=1)
    assert recorder.seen["on_train_batch_end"] == pytest.approx([0.2, 0.35, 0.5, 0.5, 0.5, 0.5])
    assert net.body[3].p == 0.1


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["head"]),
        ({"last": 2}, ["body.0", "head"]),
        ({"last": 9}, ["body.0", "head"]),
        ({"include": ["body.*"]}, ["body.0", "body.1", "body.2"]),
    ],
)
def test_the_last_linear_layers_or_those_of_the_patterns_are_chosen(arguments: Any, names: list[str]) -> None:
    schedule = DropoutSchedule(**arguments)
    fit(schedule, max_epochs=1)
    assert list(schedule.plain_state()["num_masks"]) == names


def test_a_frozen_layer_drops_nothing() -> None:
    schedule = DropoutSchedule(0.5, last=2)
    fit(schedule, GradualUnfreezing([0, "9st"], groups=["body.*", "head.*"]), max_epochs=2)
    assert schedule.plain_state()["num_masks"] == {"body.0": 3, "head": 12}


@pytest.mark.parametrize("first", [False, True])
def test_a_finder_steps_with_dropout_and_leaves_the_masks_as_they_were(first: bool) -> None:
    def run(finder: LRFinder | None) -> Any:
        net = StatefulNet()
        net.body = nn.Sequential(*net.body[:3])
        schedule = [DropoutSchedule(0.5)]
        if finder is None:
            return end_state(*fit_stateful(None, net=net, callbacks=schedule))
        if first:
            return end_state(*fit_stateful(*schedule, net=net, callbacks=[finder]))
        return end_state(*fit_stateful(finder, net=net, callbacks=schedule))

    finder = LRFinder(num_steps=15, apply=False)
    assert same(run(finder), run(None))
    net, bare = StatefulNet(), LRFinder(num_steps=15, apply=False)
    net.body = nn.Sequential(*net.body[:3])
    fit_stateful(bare, net=net)
    assert finder.result is not None
    assert bare.result is not None
    assert finder.result.losses[0] != bare.result.losses[0]


def test_two_on_one_layer_are_refused_and_two_on_two_layers_are_not() -> None:
    with pytest.raises(MisconfigurationException, match="`DropoutSchedule` callbacks would drop the inputs of head"):
        fit(DropoutSchedule(name="a"), DropoutSchedule(name="b"))
    fit(DropoutSchedule(name="a"), DropoutSchedule(name="b", include=["body.0"]), max_epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"include": ["hed"]}, "`include`: 'hed' matches no module of Net. Modules: body, body.0"),
        ({"include": []}, "`include`: an empty list matches no module"),
    ],
)
def test_patterns_that_match_nothing_are_refused_when_fit_starts(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(DropoutSchedule(**arguments))


def test_a_module_without_linear_layers_is_refused() -> None:
    net = Net()
    net.body, net.head = nn.Sequential(nn.Conv1d(1, 1, 1)), nn.Conv1d(1, 1, 1)  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"Net has no linear layers. Give `include`"):
        fit(DropoutSchedule(), net=net)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"p": 1.0}, ValueError, r"`p` must lie in \[0, 1\), got 1.0"),
        ({"end": -0.1}, ValueError, r"`end` must lie in \[0, 1\)"),
        ({"over": "3h"}, ValueError, "`over` must be a duration"),
        ({"last": 0}, ValueError, "`last` must be at least 1"),
        ({"include": 3}, TypeError, "`include` must be a list of glob patterns"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        DropoutSchedule(**arguments)
