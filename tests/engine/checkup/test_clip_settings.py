"""The limit on gradients that a run states: of Lightning's arguments, or of a callback of any class name."""

import pytest
from tiny import trainer

from lightning_tricks import AutoClip, GradientClipping
from lightning_tricks.doctor.facts.run_facts import ClipFact
from lightning_tricks.engine.checkup.clip_settings import read_clip_settings


class Cautious(GradientClipping):
    """A clipping of a user."""


@pytest.mark.parametrize(
    ("callbacks", "fact"),
    [
        ([GradientClipping()], ClipFact("GradientClipping(max_norm=1)", 1.0)),
        ([AutoClip(), Cautious(0.5)], ClipFact("Cautious(max_norm=0.5)", 0.5)),
        ([Cautious(clip_value=2)], ClipFact("Cautious(clip_value=2)", 2.0, by_value=True)),
        ([GradientClipping(0.5, per_group=True)], None),
        ([AutoClip()], None),
        ([], None),
    ],
    ids=str,
)
def test_a_callback_states_the_limit_that_it_keeps(callbacks: list, fact: ClipFact | None) -> None:
    assert read_clip_settings(trainer(*callbacks)) == fact


def test_lightnings_own_arguments_are_a_limit_too() -> None:
    by_norm, by_value = trainer(gradient_clip_val=0.5), trainer(gradient_clip_val=2, gradient_clip_algorithm="value")
    assert read_clip_settings(by_norm) == ClipFact("gradient_clip_val=0.5", 0.5)
    assert read_clip_settings(by_value) == ClipFact("gradient_clip_val=2", 2.0, by_value=True)
