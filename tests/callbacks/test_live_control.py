"""Live control: what a file says is done at the next look, once, on all ranks, and is in the checkpoint."""

import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import Net, fit, same, trainer, weights

from lightning_tricks import CosineDecay, EarlyStopping, LiveControl, LRFinder
from lightning_tricks.callbacks import control_file


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts at once, not after half a second: a run of eighteen steps is over by then."""
    monkeypatch.setattr(control_file, "QUIET", 0.0)
    monkeypatch.setattr(control_file, "_POLL", 0.002)


class Person(Callback):
    """Write orders before the batches of given numbers, or delete the file, and wait until they count."""

    def __init__(self, orders: dict[int, str | None]) -> None:
        self.orders = orders
        self.batch = -1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batch += 1
        if self.batch in self.orders and trainer.is_global_zero:
            order, path = self.orders[self.batch], Path("control.yaml")
            path.write_text(order) if order is not None else path.unlink()
            file = next(cb._file for cb in trainer.callbacks if isinstance(cb, LiveControl))
            deadline = time.monotonic() + 30
            while file.settled() != order and time.monotonic() < deadline:
                time.sleep(0.002)


class Watch(Net):
    """Remember at which steps validation ran."""

    def __init__(self, **of_net: Any) -> None:
        super().__init__(**of_net)
        self.validated: list[int] = []

    def on_validation_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.validated.append(self.trainer.global_step)


def there(order: str) -> None:
    """Have the file stand there long before training starts."""
    Path("control.yaml").write_text(order)
    os.utime("control.yaml", (0, 0))


def head(net: Net) -> list[float]:
    return [lrs[-1] for _, lrs in net.trace]


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("control file")]


# -- the learning rate --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("soon")
def test_an_order_is_obeyed_once_at_the_next_look_and_a_second_one_multiplies_on() -> None:
    live = LiveControl(every_n_steps=2)
    same_again = "# another comment, the same order\nlr:  x0.5\n"
    orders = {2: "lr: x0.5", 6: same_again, 8: "lr: x0.5\nid: 2", 10: None, 12: "id: 2\nlr: x0.5"}
    net = fit(live, Person(orders), limit_val_batches=0)
    assert head(net) == [0.1] * 4 + [0.05] * 6 + [0.025] * 8
    assert all(body == pytest.approx(top / 10) for _, (body, top) in net.trace)
    assert live.applied == [
        {"step": 4, "content": {"lr": "x0.5"}},
        {"step": 10, "content": {"lr": "x0.5", "id": 2}},
    ]
    assert live.lr_factor == 0.25


@pytest.mark.parametrize("first", [True, False])
def test_a_number_is_the_rate_of_the_largest_group_before_the_other_factors(first: bool) -> None:
    there("lr: 2e-2")
    live, schedule = LiveControl(every_n_steps=6), CosineDecay()
    net = fit(*((live, schedule) if first else (schedule, live)), limit_val_batches=0)
    plain = fit(CosineDecay())
    assert net.trace[:6] == plain.trace[:6]
    for (_, ours), (_, theirs) in zip(net.trace[6:], plain.trace[6:], strict=True):
        assert ours == pytest.approx([lr * 0.2 for lr in theirs])
    assert live.applied == [{"step": 6, "content": {"lr": 0.02}}]


def test_a_number_takes_the_place_of_the_factors_ordered_before() -> None:
    there("lr: x0.5")
    live = LiveControl(every_n_steps=1)
    fit(live, max_epochs=1)
    live._file = None
    runner = trainer(live, Person({3: "lr: 0.1"}), max_epochs=1, limit_val_batches=0)
    net = Net()
    runner.fit(net)
    assert head(net) == [0.1] + [0.05] * 3 + [0.1] * 2
    assert runner.callback_metrics["LiveControl/lr_factor"] == 1
    assert runner.callback_metrics["LiveControl/orders"] == 2


def test_under_manual_optimization_all_optimizers_follow() -> None:
    there("lr: x0.5")
    net = fit(LiveControl(every_n_steps=4), net=Net(manual=True), max_epochs=1, limit_val_batches=0)
    # batches take one step, two steps, one ...: the look comes after the third batch, at step 4
    bases = {0: 0.01, 1: 0.1}
    assert net.trace == [(i, [bases[i] * (1.0 if step < 4 else 0.5)]) for step, (i, _) in enumerate(net.trace)]


def test_a_factor_that_would_make_the_rate_nothing_is_refused_and_training_goes_on() -> None:
    there("lr: x1e-300")
    live = LiveControl(every_n_steps=1)
    with pytest.warns(UserWarning, match="the learning rate stays as it is: lr x1e-300 after a factor of 1e-300"):
        fit(live, Person({3: "lr: x1e-300\nid: 2"}), max_epochs=1)
    assert live.lr_factor == 1e-300


# -- stop, checkpoint, validate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("min_epochs", "steps"), [(None, 4), (2, 12)])
def test_stop_ends_the_run_as_soon_as_the_trainer_may(min_epochs: int | None, steps: int) -> None:
    there("stop: true")
    live = LiveControl(every_n_steps=4)
    net = fit(live, min_epochs=min_epochs, limit_val_batches=0)
    assert len(net.trace) == steps
    assert live.applied == [{"step": 4, "content": {"stop": True}}]
    assert live.stopping_reason_message == "told to at step 4"


def test_the_closing_line_says_who_stopped_the_run(caplog: pytest.LogCaptureFixture) -> None:
    there("stop: true")
    with caplog.at_level("INFO"):
        fit(LiveControl(every_n_steps=4), EarlyStopping(patience=50))
    assert "control.yaml, in which there is an order already." in caplog.text
    assert "Training stopped by LiveControl: told to at step 4 (epoch" in caplog.text


def test_a_run_that_was_stopped_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    there("stop: true\ncheckpoint: true\n")
    fit(LiveControl(every_n_steps=4), default_root_dir=tmp_path)
    resumed = fit(LiveControl(every_n_steps=4), ckpt_path=tmp_path / "control-4.ckpt", default_root_dir=tmp_path)
    assert resumed.trace == fit().trace[4:]


@pytest.mark.parametrize("keeper", [True, False])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_checkpoint_that_was_ordered_lies_beside_the_others_and_resumes(
    keeper: bool, accumulate: int, tmp_path: Path
) -> None:
    there("lr: x0.5\ncheckpoint: true\nstop: false")
    keepers = [ModelCheckpoint(tmp_path / "kept")] if keeper else []
    arguments = {"val_check_interval": 3, "accumulate_grad_batches": accumulate}
    callbacks = [LiveControl(every_n_steps=4), EarlyStopping(patience=50)]
    whole = fit(*callbacks, *keepers, **arguments, default_root_dir=tmp_path)
    saved = (tmp_path / "kept" if keeper else tmp_path) / ("control-3.ckpt" if accumulate == 1 else "control-2.ckpt")
    again = [LiveControl(every_n_steps=4), EarlyStopping(patience=50)]
    resumed = fit(*again, ckpt_path=saved, **arguments, default_root_dir=tmp_path)
    assert resumed.trace == whole.trace[len(whole.trace) - len(resumed.trace) :]
    assert same(weights(resumed), weights(whole))
    assert same([c.state_dict() for c in again], [c.state_dict() for c in callbacks])
    assert len(list(tmp_path.rglob("control-*.ckpt"))) == 1, "the resumed run does not obey the last order again"


def test_a_checkpoint_ordered_with_a_validation_is_saved_after_it(tmp_path: Path) -> None:
    there("checkpoint: true\nvalidate: true\n")
    stop = EarlyStopping(patience=50)
    whole = fit(LiveControl(every_n_steps=4), stop, net=Watch(), default_root_dir=tmp_path)
    assert whole.validated == [4, 6, 12, 18]
    again, resumed = EarlyStopping(patience=50), Watch()
    fit(LiveControl(every_n_steps=4), again, net=resumed, ckpt_path=tmp_path / "control-4.ckpt")
    assert resumed.validated == [6, 12, 18]
    assert same(weights(resumed), weights(whole))
    assert same(again.state_dict(), stop.state_dict())


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there("checkpoint: true")
    (tmp_path / "taken").write_text("a file where the folder would be")
    runner = trainer(LiveControl(tmp_path / "control.yaml", every_n_steps=4), default_root_dir=tmp_path / "taken")
    with pytest.warns(UserWarning, match="no checkpoint was saved, training goes on: .*taken"):
        runner.fit(Net())
    assert runner.global_step == 18


@pytest.mark.parametrize(
    ("manual", "accumulate", "validated"),
    [
        (False, 1, [2, 6, 12]),
        (False, 4, [2, 4]),  # the look comes at the end of the epoch, where a validation is due anyway
        (True, 1, [3, 9, 18]),  # the second batch takes two steps
    ],
)
def test_validate_runs_the_trainers_own_validation_and_changes_no_weight(
    manual: bool, accumulate: int, validated: list[int]
) -> None:
    there("validate: true")
    arguments = {"accumulate_grad_batches": accumulate, "max_epochs": 2}
    net = fit(LiveControl(every_n_steps=2), net=Watch(manual=manual), **arguments)
    assert net.validated == validated
    assert same(weights(net), weights(fit(net=Net(manual=manual), **arguments)))


def test_the_validations_that_are_due_come_when_they_would_have_come() -> None:
    there("validate: true")
    assert fit(LiveControl(every_n_steps=4), net=Watch(), val_check_interval=3).validated == [3, 6, 9, 12, 15, 18]
    every = {"check_val_every_n_epoch": None, "val_check_interval": 7}
    there("validate: true\nid: 2")
    assert fit(LiveControl(every_n_steps=4), net=Watch(), **every).validated == [4, 7, 14]
    assert fit(LiveControl(every_n_steps=4), net=Watch(), check_val_every_n_epoch=2).validated == [4, 12]


def test_a_run_that_was_validated_by_order_resumes_from_there(tmp_path: Path) -> None:
    there("validate: true\nlr: x0.5\n")
    keeper = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    whole = fit(LiveControl(every_n_steps=4), keeper, net=Watch())
    resumed = fit(LiveControl(every_n_steps=4), net=Watch(), ckpt_path=tmp_path / "step=4.ckpt")
    assert resumed.trace == whole.trace[4:]
    assert resumed.validated == whole.validated[1:] == [6, 12, 18]
    assert same(weights(resumed), weights(whole))


def test_an_order_to_validate_without_anything_to_validate_with_is_warned_about() -> None:
    there("validate: true")
    with pytest.warns(UserWarning, match="nothing to validate with"):
        assert len(fit(LiveControl(every_n_steps=4), limit_val_batches=0).trace) == 18


# -- what changes nothing ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("soon")
def test_a_file_that_is_no_order_changes_nothing_and_is_warned_about_once_with_its_line() -> None:
    live = LiveControl(every_n_steps=1)
    bad = "lr: x0.5\nlearning_rate: 0.1\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = fit(live, Person({1: bad, 4: None, 6: bad, 8: "stop: [true"}))
    found = [str(w.message) for w in caught if "changes nothing" in str(w.message)]
    assert len(found) == 2
    assert "control.yaml changes nothing: line 2 ('learning_rate: 0.1'): `learning_rate` is no order" in found[0]
    assert "line 1 ('stop: [true'): no YAML" in found[1]
    assert net.trace == fit().trace
    assert live.applied == []


def test_a_smoke_test_reads_nothing() -> None:
    there("lr: x0.5")
    live = LiveControl(every_n_steps=1)
    assert head(fit(live, fast_dev_run=3)) == [0.1] * 3
    assert live.applied == []


def test_a_finders_rate_is_multiplied_on() -> None:
    there("lr: x0.5")
    finder = LRFinder(min_lr=1e-4, max_lr=1.0, num_steps=20, at_epochs=(1,), suggestion="minimum")
    net = fit(finder, LiveControl(every_n_steps=2), max_epochs=2, limit_val_batches=0)
    assert finder.result is not None
    assert head(net)[6:] == pytest.approx([finder.result.suggestion * 0.5] * 6)


def test_a_module_with_a_scheduler_of_its_own_is_refused_unless_it_may_be_dropped() -> None:
    class WithScheduler(Net):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    with pytest.raises(MisconfigurationException, match=r"\(StepLR\), and LiveControl would write"):
        fit(LiveControl(), net=WithScheduler())
    assert fit(LiveControl(replace_scheduler=True), net=WithScheduler()).trace == fit().trace


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": 3}, "`path` must be a string, got 3"),
        ({"path": ""}, "`path` must not be empty"),
        ({"every_n_steps": 0}, "`every_n_steps` must be at least 1, got 0"),
        ({"every_n_steps": 2.5}, "`every_n_steps` must be a whole number, got 2.5"),
    ],
)
def test_wrong_arguments_are_refused_with_their_value(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        LiveControl(**arguments)


# -- threads, ranks, cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_the_thread_lives_as_long_as_the_fit(error: Callable[[], BaseException] | None) -> None:
    class Fuse(Callback):
        alive = 0

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.alive = len(watchers())
            if error and batch_idx == 3:
                raise error()

    fuse = Fuse()
    if error:
        with pytest.raises((ZeroDivisionError, SystemExit)):
            fit(LiveControl(), fuse)
    else:
        fit(LiveControl(), fuse)
    assert fuse.alive == 1
    assert watchers() == []


def test_all_join_one_broadcast_every_n_steps_and_at_each_validation() -> None:
    class Count(Net):
        def on_train_start(self) -> None:
            self.calls: list[int] = []
            plain = self.trainer.strategy.broadcast

            def broadcast(value: Any, src: int = 0) -> Any:
                self.calls.append(self.trainer.global_step)
                return plain(value, src)

            self.trainer.strategy.broadcast = broadcast

    bare, net = fit(net=Count()), fit(LiveControl(every_n_steps=4), net=Count())
    assert bare.calls == []
    assert net.calls == [4, 6, 8, 12, 12, 16, 18]


class Ranks(Callback):
    """Write down what a rank saw."""

    def __init__(self, live: LiveControl, folder: Path) -> None:
        self.live, self.folder = live, folder

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        seen = {
            "trace": pl_module.trace,
            "applied": self.live.applied,
            "validated": pl_module.validated,
            "threads": self.reads,
        }
        torch.save(seen, self.folder / f"{trainer.global_rank}.pt")

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.reads = len(watchers())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_obey_together_what_rank_0_alone_reads(accumulate: int, tmp_path: Path) -> None:
    there("lr: x0.5\nvalidate: true\ncheckpoint: true\n")
    live = LiveControl(every_n_steps=2)
    person = Person({8: "stop: yes"})
    arguments = {"strategy": "ddp_fork", "devices": 2, "accumulate_grad_batches": accumulate}
    fit(live, Ranks(live, tmp_path), person, net=Watch(), **arguments)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert (first.pop("threads"), second.pop("threads")) == (1, 0)
    assert first == second
    assert [order["content"] for order in first["applied"]] == [
        {"lr": "x0.5", "validate": True, "checkpoint": True},
        {"stop": True},
    ]
    assert len(first["trace"]) == (10 if accumulate == 1 else 6)
    assert (tmp_path / "control-2.ckpt").is_file()
