"""Each row of the page on Keras: both sides are built from its text and do the same."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peer_rows import SCORES, Check, Row, build, factors_of, our_rates, read_rows, stop_of

import lightning_tricks as lt

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed")

LR, STEPS = 0.1, 30
GRADIENTS = [torch.tensor([3.0, -0.2]), torch.tensor([0.1, 4.0])]


def same_rates(theirs: Any, ours: Any) -> None:
    rates = [float(theirs(step)) for step in range(STEPS)]
    assert our_rates(ours, STEPS, STEPS, lr=LR) == pytest.approx(rates, rel=1e-5)


def old_value_at_the_boundary(theirs: Any, ours: Any) -> None:
    own, keras_rates = our_rates(ours, STEPS, STEPS, lr=LR), [float(theirs(step)) for step in range(STEPS)]
    differing = [step for step in range(STEPS) if own[step] != pytest.approx(keras_rates[step])]
    assert differing == [10, 20]


def stand_in() -> Any:
    """The part of a Keras model that a callback reads."""
    optimizer = SimpleNamespace(learning_rate=LR)
    return SimpleNamespace(stop_training=False, optimizer=optimizer, get_weights=list, set_weights=lambda weights: None)


def same_stop(theirs: Any, ours: Any) -> None:
    theirs.set_model(stand_in())
    theirs.on_train_begin()
    stops = []
    for epoch, score in enumerate(SCORES):
        theirs.on_epoch_end(epoch, {"val_loss": score})
        if theirs.model.stop_training:
            stops.append(epoch)
    assert stop_of(ours) == stops[0]


def same_reductions(theirs: Any, ours: Any) -> None:
    theirs.set_model(stand_in())
    theirs.on_train_begin()
    factors = []
    for epoch, score in enumerate(SCORES):
        theirs.on_epoch_end(epoch, {"val_loss": score})
        factors.append(float(theirs.model.optimizer.learning_rate) / LR)
    assert factors_of(ours) == pytest.approx(factors)
    assert factors[-1] < 1


def same_clipping(theirs: Any, ours: Any) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in GRADIENTS]
    for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
        parameter.grad = gradient.clone()
    if ours.clip_value is None:
        lt.clip_by_norm_([parameter.grad for parameter in parameters], ours.max_norm)
    else:
        lt.clip_by_value_([parameter.grad for parameter in parameters], ours.clip_value)
    clipped = theirs._clip_gradients(GRADIENTS)
    for parameter, gradient in zip(parameters, clipped, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5)


def same_penalty(theirs: Any, ours: Any) -> None:
    weight = torch.tensor([1.0, -2.0])
    assert float(lt.weight_penalty([weight], l1=ours.l1, l2=ours.l2)) == pytest.approx(float(theirs(weight)))


CHECKS: dict[str, Check] = {
    "PiecewiseConstantDecay": old_value_at_the_boundary,
    "EarlyStopping": same_stop,
    "ReduceLROnPlateau": same_reductions,
    "SGD": same_clipping,
    "regularizers.L1L2": same_penalty,
}


@pytest.mark.parametrize("row", read_rows("keras"), ids=lambda row: row.theirs)
def test_both_sides_of_a_row_agree(row: Row) -> None:
    name = row.theirs.partition("(")[0]
    rooms = (keras.optimizers.schedules, keras.callbacks, keras.optimizers)
    made: Callable[..., Any] | None = next((getattr(room, name) for room in rooms if hasattr(room, name)), None)
    theirs = build(row.theirs, **{name: made} if made else {}, regularizers=keras.regularizers, lr=LR)
    CHECKS.get(name, same_rates)(theirs, build(row.ours, lr=LR))
