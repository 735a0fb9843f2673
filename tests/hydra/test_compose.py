"""Composing tricks without an application: the same node that an application would see."""

import pytest

from lightning_tricks import OneCycle, instantiate_callbacks
from lightning_tricks.hydra.compose import compose_tricks


@pytest.mark.parametrize("selection", ["tricks=[one_cycle,cosine_decay]", "+tricks=[one_cycle,cosine_decay]"])
def test_selected_options_are_composed_and_changed(selection: str) -> None:
    node = compose_tricks([selection, "tricks.one_cycle.total=500st"])
    callback = instantiate_callbacks(node)[0]
    assert isinstance(callback, OneCycle)
    assert callback.total == "500st"
    assert sorted(node) == ["cosine_decay", "one_cycle"]


def test_nothing_selected_is_nothing() -> None:
    assert compose_tricks([]) is None


def test_all_missing_values_are_named_at_once_with_the_override_to_type() -> None:
    with pytest.raises(ValueError, match=r"3 value\(s\).*tricks\.lr_schedule\.schedule=\.\.\. tricks\.piecewise_const"):
        instantiate_callbacks(compose_tricks(["tricks=[piecewise_constant,lr_schedule]"]))
