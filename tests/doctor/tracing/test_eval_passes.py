"""Passes in eval mode tell apart what is mixed, ignored, random, and what cannot be told."""

from typing import Any

import pytest
import torch
from patient import Calling, Step, classes
from torch import nn

from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.tracing.eval_passes import observe_behaviour
from lightning_tricks.doctor.tracing.examine import examine

X = classes()[0]


def observe(function: Any, *inputs: torch.Tensor, size: int | None = 16) -> BehaviourFacts:
    torch.manual_seed(0)
    return observe_behaviour(Calling(function, fc=nn.Linear(8, 3)), {"": (inputs, {})}, size)


def test_a_plain_model_answers_to_its_inputs_alone() -> None:
    found = observe(lambda net, x: net.fc(x), X)
    assert (found.repeat_change, found.mixing_change) == (0.0, 0.0)
    assert found.input_change is not None
    assert found.input_change > 1e-2


def test_what_ignores_its_inputs_is_told() -> None:
    assert observe(lambda net, x: net.fc(torch.ones_like(x)), X).input_change == 0.0


@pytest.mark.parametrize(
    ("relation", "function"),
    [
        (torch.tensor([[0, 3, 5], [1, 4, 0]]), lambda net, x, e: net.fc(x).index_add(0, e[0], net.fc(x)[e[1]])),
        (torch.full((16, 16), 1 / 16), lambda net, x, adjacency: net.fc(adjacency @ x)),
    ],
    ids=["edges", "adjacency"],
)
def test_a_graph_is_not_checked_for_mixing(relation: torch.Tensor, function: Any) -> None:
    found = observe(function, X, relation)
    assert found.mixing_change is None
    assert found.reason == "an input relates the samples to each other"


def test_similarities_within_a_batch_are_not_checked_for_mixing() -> None:
    found = observe(lambda net, x: net.fc(x) @ net.fc(x).T, X)
    assert (found.mixing_change, found.reason) == (None, "no output has a row for each sample")


def test_equal_samples_and_an_unknown_size_are_said() -> None:
    equal = observe(lambda net, x: net.fc(x), torch.ones(16, 8))
    unknown = observe(lambda net, x: net.fc(x), X, size=None)
    for found in (equal, unknown):
        assert (found.input_change, found.repeat_change) == (None, 0.0)
        assert found.reason is not None


def test_noise_is_told_from_mixing() -> None:
    found = observe(lambda net, x: net.fc(x) + torch.rand(3), X)
    assert found.repeat_change
    assert (found.mixing_change, found.random) == (None, ("rand",))


def test_the_largest_part_is_looked_at_where_a_step_calls_parts() -> None:
    class Parts(Step):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.net(batch[0]).mean()

    net = Calling(lambda net, x: net.fc(torch.dropout(x, 0.5, True)), fc=nn.Linear(8, 3))
    behaviour = examine(Parts(net), classes()).behaviour
    assert behaviour is not None
    assert behaviour.module == "net"
    assert [call.module for call in behaviour.always_on] == ["net"]


def test_a_model_that_pools_rows_by_an_index_answers_to_its_inputs() -> None:
    groups = torch.arange(16) // 4
    found = observe(lambda net, x, index: torch.zeros(4, 3).index_add(0, index, net.fc(x).sin()), X, groups)
    assert found.input_change is not None
    assert found.input_change > 1e-3


class Hidden:
    """A batch of another library that keeps its features to itself."""

    def __init__(self, x: torch.Tensor) -> None:
        self.y, self._x = torch.arange(len(x)) % 3, x


def test_inputs_that_cannot_be_exchanged_are_not_judged() -> None:
    found = observe(lambda net, batch: net.fc(batch._x), Hidden(X))  # type: ignore[arg-type]
    assert (found.input_change, found.mixing_change) == (None, None)
    assert found.reason == "an input holds tensors that cannot be exchanged"
