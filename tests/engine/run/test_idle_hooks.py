"""Hooks in which a trick does nothing cost a step nothing, and are there again when the run is over."""

from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.profilers import Profiler
from tiny import Net, fit, trainer

from lightning_tricks import CosineDecay, CosineWarmRestarts, EarlyStopping, GradientClipping, ReduceLROnPlateau
from lightning_tricks.engine.run.idle_hooks import STEP_HOOKS, call_hook


class Watching(Callback):
    """Notes which hooks of another callback are hidden while training runs."""

    def __init__(self, other: Callback) -> None:
        self.other, self.hidden = other, set[str]()

    def on_train_batch_end(self, *_: Any) -> None:
        self.hidden = {hook for hook in STEP_HOOKS if getattr(self.other, hook) is None}


def test_only_the_hooks_that_a_class_leaves_alone_are_hidden_and_only_while_the_run_lasts() -> None:
    schedule, stopping = CosineDecay(), EarlyStopping(patience=9)
    of_schedule, of_stopping = Watching(schedule), Watching(stopping)
    fit(schedule, stopping, of_schedule, of_stopping)
    assert of_schedule.hidden == set(STEP_HOOKS)
    assert of_stopping.hidden == set(STEP_HOOKS) - {"on_validation_batch_start"}
    for callback in (schedule, stopping):
        assert all(callable(getattr(callback, hook)) for hook in STEP_HOOKS)
        assert not set(vars(callback)) & set(STEP_HOOKS)


def test_a_hook_that_was_set_on_the_object_is_called() -> None:
    called = []
    schedule = CosineDecay()
    schedule.on_train_batch_end = lambda *_: called.append(1)  # type: ignore[method-assign]
    fit(schedule, max_epochs=1)
    assert len(called) == 6
    assert "on_train_batch_end" in vars(schedule)


def test_hooks_are_shown_again_after_an_exception() -> None:
    class Failing(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ZeroDivisionError

    schedule = CosineDecay()
    with pytest.raises(ZeroDivisionError):
        trainer(schedule).fit(Failing())
    assert not set(vars(schedule)) & set(STEP_HOOKS)


def test_a_callback_that_wraps_a_trick_may_call_any_of_its_hooks() -> None:
    class Forwarding(Callback):
        def __init__(self, inner: Callback) -> None:
            self.inner = inner

        def setup(self, *arguments: Any, **named: Any) -> None:
            self.inner.setup(*arguments, **named)

        def on_train_batch_start(self, *arguments: Any) -> None:
            self.inner.on_train_batch_start(*arguments)

    assert fit(Forwarding(CosineDecay())).trace == fit(CosineDecay()).trace


def test_calling_a_hook_passes_over_a_hidden_one() -> None:
    schedule = CosineDecay()
    vars(schedule)["on_after_backward"] = None
    call_hook(schedule, "on_after_backward", None, None)
    called = []
    vars(schedule)["on_after_backward"] = lambda *arguments: called.append(arguments)
    call_hook(schedule, "on_after_backward", 1, 2)
    assert called == [(1, 2)]


def test_four_tricks_add_three_hooks_to_a_step() -> None:
    class Counting(Profiler):
        def start(self, action_name: str) -> None:
            started.append(action_name)

        def stop(self, action_name: str) -> None:
            pass

    def hooks_of_a_step(*tricks: Callback) -> list[str]:
        started.clear()
        fit(*tricks, max_epochs=1, profiler=Counting())
        first, second = [i for i, name in enumerate(started) if name == "run_training_batch"][2:4]
        return [name.split("]")[-1] for name in started[first:second] if name.startswith("[Callback]")]

    started: list[str] = []
    tricks = CosineWarmRestarts(t_0="4st"), ReduceLROnPlateau(), EarlyStopping(), GradientClipping()
    added = hooks_of_a_step(*tricks)
    for hook in hooks_of_a_step():
        added.remove(hook)
    assert sorted(added) == [
        "GradientClipping.on_before_optimizer_step",
        "RunDriver.on_train_batch_end",
        "RunDriver.on_train_batch_start",
    ]
