"""The halves of ACT002 and ACT003 that are checked in a run, on facts alone."""

from typing import Any

import pytest
from runs import ran

from lightning_tricks.doctor.facts.run_facts import ActivationFact, ForwardFacts, StartFact
from lightning_tricks.doctor.rules.act.activations_in_run import dead_units_in_run, saturated_units_in_run
from lightning_tricks.doctor.rules.rule import Symptom

START = StartFact(hidden=("tanh net.1",))


def symptoms(rule: Any, op: str, first: float, share: float, module: str = "net.1", **changes: Any) -> list[Symptom]:
    """What a rule yields on one activation at step 100, in the fifth batch that was measured."""
    given = {"samples": 96, "step": 100, "batches": 5, **changes}
    activation = ActivationFact(op, module, 64, given["samples"], first, share)
    forward = ForwardFacts(given["step"], given["batches"], (activation,))
    evidence = ran(forward=forward, start=START)["evidence"]
    return [each for each in rule(evidence) if isinstance(each, Symptom)]


def test_units_that_died_are_a_warning_and_few_samples_an_information() -> None:
    (warning,) = symptoms(dead_units_in_run, "relu", 0.1, 0.6)
    assert (warning.where, warning.severity) == ("net.1", None)
    assert warning.message.startswith("60% of the 64 units of this relu (in the first batch 10%")
    (information,) = symptoms(dead_units_in_run, "relu6", 0.1, 0.6, samples=12)
    assert information.severity == "info"


@pytest.mark.parametrize(
    "changes",
    [{"share": 0.39}, {"first": 0.55}, {"batches": 2}, {"step": 19}],
    ids=["few", "dead from the start", "too few batches", "too early"],
)
def test_what_is_rare_early_or_there_from_the_start_is_left_alone(changes: dict[str, Any]) -> None:
    given = {"first": 0.1, "share": 0.6, **changes}
    assert symptoms(dead_units_in_run, "relu", **given) == []
    assert symptoms(saturated_units_in_run, "tanh", **given) == []


def test_only_hidden_sigmoids_and_tanhs_count_as_saturated() -> None:
    assert symptoms(saturated_units_in_run, "tanh", 0.1, 0.6)[0].where == "net.1"
    assert symptoms(saturated_units_in_run, "tanh", 0.1, 0.6, module="gate") == []
    assert symptoms(saturated_units_in_run, "sigmoid", 0.1, 0.6) == []
    assert symptoms(saturated_units_in_run, "tanh", 0.1, 0.6, samples=6) == []
    assert symptoms(dead_units_in_run, "tanh", 0.1, 0.6) == []
