"""One run per fit: who joins it, what it undoes, and that nothing of it outlives the fit."""

import gc
import math
import weakref
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from tiny import Endless, Net, fit, same, trainer, weights

from lightning_tricks import CosineDecay, EarlyStopping, GradientClipping, ReduceLROnPlateau
from lightning_tricks.engine.run.driver import RunDriver
from lightning_tricks.engine.run.run import Run, RunPart, run_of
from lightning_tricks.engine.run.trick import Trick


class Recorder(Trick):
    """Overrides every hook that it can, and calls no `super()`."""

    def __init__(self, name: str = "a") -> None:
        self.name, self.said = name, list[str]()

    identity = ("name",)

    def reset(self) -> None:
        self.said = ["reset"]

    def begin_fit(self, run: Run) -> None:
        self.said.append("begin")
        run.on_end(lambda: self.said.append("undone"))

    def end_fit(self, run: Run) -> None:
        self.said.append(f"end {type(run.error).__name__}")

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.said.append("fit starts")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.said.append(f"at {self._run.clock.moment}")


def test_a_trick_hears_of_each_stage_once_and_in_order() -> None:
    first, second = Recorder(), Recorder("b")
    fit(first, second)
    for trick in (first, second):
        stages = [
            "reset",
            "begin",
            "fit starts",
            "at Moment(epoch=0, part=0, parts=6, step=0)",
            "end NoneType",
            "undone",
        ]
        assert trick.said == stages


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_run_ends_once_after_an_exception_too(error: type[BaseException]) -> None:
    class Failing(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise error

    trick = Recorder()
    runner = trainer(trick)
    with pytest.raises(SystemExit if error is KeyboardInterrupt else error):
        runner.fit(Failing())
    assert trick.said[-2:] == [f"end {error.__name__}", "undone"]
    assert runner.callbacks == [trick]
    assert run_of(runner) is None


def test_a_trick_that_overrides_hooks_without_super_disables_nothing_for_the_others() -> None:
    bare = fit(CosineDecay())
    assert fit(Recorder(), CosineDecay()).trace == bare.trace


def test_a_subclass_of_trick_without_any_state_is_saved_and_resumed(tmp_path: Any) -> None:
    class Silent(Trick):
        pass

    runner = trainer(Silent())
    runner.fit(Net())
    runner.save_checkpoint(tmp_path / "a.ckpt")
    entry = torch.load(tmp_path / "a.ckpt", weights_only=True)["callbacks"]["Silent"]
    other = Silent()
    other.load_state_dict(entry)
    assert same(other.state_dict(), entry)
    assert entry


def test_a_trick_in_a_callback_that_wraps_it_takes_part() -> None:
    class Wrapping(Callback):
        def __init__(self, inner: Callback) -> None:
            self.inner = inner

        def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
            self.inner.setup(trainer, pl_module, stage)

    assert fit(Wrapping(CosineDecay())).trace == fit(CosineDecay()).trace


def test_the_clock_moves_once_for_all_tricks() -> None:
    moves = []

    class Counting(RunPart):
        def clock_moved(self) -> None:
            moves.append(self.run.clock.moment)

    class Asking(Trick):
        def begin_fit(self, run: Run) -> None:
            run.part(Counting)

    fit(Asking(), CosineDecay(), ReduceLROnPlateau(patience=9), GradientClipping(), EarlyStopping(patience=9))
    assert len(moves) == len(set(moves)) == 3 * 6


def test_what_fails_at_the_end_of_a_run_is_a_warning_and_the_rest_is_undone() -> None:
    class Clumsy(Trick):
        def end_fit(self, run: Run) -> None:
            raise RuntimeError("clumsy")

    after = Recorder()
    with pytest.warns(UserWarning, match="could not end `Clumsy`: RuntimeError: clumsy"):
        net = fit(Clumsy(), after)
    assert len(net.trace) == 18
    assert after.said[-1] == "undone"


def test_the_users_exception_is_not_hidden_by_one_of_ours_at_the_end() -> None:
    class Clumsy(Trick):
        def end_fit(self, run: Run) -> None:
            raise RuntimeError("clumsy")

    class Failing(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ZeroDivisionError("the user's")

    with pytest.raises(ZeroDivisionError, match="the user's"), pytest.warns(UserWarning, match="clumsy"):
        fit(Clumsy(), net=Failing())


def test_nothing_of_a_fit_that_is_over_is_kept_alive() -> None:
    runner = trainer(Recorder(), CosineDecay())  # Lightning itself ties a callback to its last module
    runner.fit(Net())
    assert not any(isinstance(callback, RunDriver) for callback in runner.callbacks)
    ghost = weakref.ref(runner)
    del runner
    gc.collect()
    assert ghost() is None


def test_a_loader_without_length_gives_the_clock_its_epochs_once_one_was_seen(tmp_path: Any) -> None:
    moments = []

    class Watching(Trick):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            moments.append(self._run.clock.moment)

    loader = torch.utils.data.DataLoader(Endless(), batch_size=4)
    runner = trainer(Watching(), max_epochs=2, limit_val_batches=0)
    runner.fit(Net(), loader)
    assert [moment.parts for moment in moments] == [None] * 6 + [6] * 6
    assert [moment.time("ep") for moment in moments[6:]] == pytest.approx([1 + i / 6 for i in range(6)])


class Rebuilding(Net):
    """Builds its optimizer again at epoch 1, with another rate if `lr_then` is set."""

    lr_then: float | None = None

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 1:
            self.lr = self.lr_then or self.lr
            self.trainer.strategy.setup_optimizers(self.trainer)


@pytest.mark.parametrize("lr_then", [None, 0.02])
def test_a_schedule_goes_on_in_optimizers_that_were_replaced(lr_then: float | None) -> None:
    net = Rebuilding()
    net.lr_then = lr_then
    fit(CosineDecay(), net=net)
    expected = [lrs[1] for _, lrs in fit(CosineDecay()).trace]
    scale = [1.0] * 6 + [(lr_then or 0.1) / 0.1] * 12
    assert [lrs[1] for _, lrs in net.trace] == pytest.approx([lr * s for lr, s in zip(expected, scale, strict=True)])


def test_the_weights_of_a_fit_do_not_depend_on_the_place_of_a_trick_in_the_list() -> None:
    tricks = lambda: [CosineDecay(), GradientClipping(0.1), EarlyStopping(patience=9)]  # noqa: E731
    assert same(weights(fit(*tricks())), weights(fit(*reversed(tricks()))))


def test_what_is_due_before_the_next_batch_is_called_once_before_any_callback_acts_on_it() -> None:
    class Asks(Recorder):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self._run.before_next_batch(lambda batch_idx: self.said.append(f"due {batch_idx}"))

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.said.append(f"hook {batch_idx}")
            if batch_idx == 1:
                self.on_train_epoch_start(trainer, pl_module)

    trick = Asks()
    fit(trick, max_epochs=1)
    batches = [said for said in trick.said if said.startswith(("due", "hook"))]
    assert batches[:5] == ["due 0", "hook 0", "hook 1", "due 2", "hook 2"]
    assert batches[5:] == [f"hook {i}" for i in range(3, 6)]


def test_a_module_may_choose_manual_optimization_in_its_setup() -> None:
    class Late(Net):
        def setup(self, stage: str) -> None:
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            for _ in range(2):
                optimizer = self.optimizers()[0]
                optimizer.zero_grad()
                self.manual_backward(self.loss(batch))
                optimizer.step()
                lrs.append(optimizer.param_groups[0]["lr"])

    lrs: list[float] = []
    net = Late()
    fit(CosineDecay(decay_steps="12st"), net=net, max_epochs=1)
    base = lrs[0]
    assert lrs == pytest.approx([base * (1 + math.cos(math.pi * step / 12)) / 2 for step in range(12)])
