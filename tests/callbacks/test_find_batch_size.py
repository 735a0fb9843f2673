"""`find_batch_size`: a size by score against wall time, nothing else changed, and clear answers to bad input."""

import random
from typing import Any

import lightning.pytorch as lightning_pytorch
import numpy as np
import pytest
import torch
import torchmetrics
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from stateful_net import StatefulNet, end_state
from subprocesses import run_script
from tiny import Endless, Net, OtherNet, StatefulLoader, same, trainer, weights
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from lightning_tricks import (
    BatchAugment,
    BatchSizeResult,
    CosineDecay,
    LRFinder,
    MixUp,
    NormalizeInputs,
    find_batch_size,
)
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.trial import batch_size_search
from lightning_tricks.engine.trial.trial_run import TrialRun

X = torch.randn(96, 4, generator=torch.Generator().manual_seed(3))
DATA = TensorDataset(X, X.sum(1, keepdim=True).tanh())
BUDGET = 0.1


class Clock:
    """A clock that only steps move: the same on a loaded machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let each trial step take a millisecond, and each validation as long."""
    clock = Clock()
    step, score = TrialRun.step, batch_size_search.validation_score

    def timed_step(run: TrialRun, lr: float) -> Any:
        clock.now += 0.001
        return step(run, lr)

    def timed_score(*arguments: Any) -> float:
        clock.now += 0.001
        return score(*arguments)

    monkeypatch.setattr(TrialRun, "step", timed_step)
    monkeypatch.setattr(batch_size_search, "validation_score", timed_score)
    monkeypatch.setattr(batch_size_search, "perf_counter", clock)
    return clock


def loader(batch_size: int = 8, **arguments: Any) -> DataLoader:
    return DataLoader(DATA, batch_size, shuffle=True, **arguments)


def find(net: Any = None, train: Any = None, **arguments: Any) -> BatchSizeResult:
    given = {"val_dataloaders": DataLoader(DATA, 32), "budget": BUDGET, "trainer": trainer(), "sizes": [8, 16]}
    return find_batch_size(net or Net(), loader() if train is None else train, **{**given, **arguments})


class Validated(StatefulNet):
    """Everything that a step may change, and a metric of validation logged at its end."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.error = torchmetrics.MeanMetric()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.error.update((self.head(self.body(batch[0])) - batch[1]).abs().mean() + 0 * torch.rand(()))

    def on_validation_epoch_end(self) -> None:
        self.log("val_error", self.error.compute())
        self.error.reset()


@pytest.mark.parametrize("of_trainer", [{}, {"precision": "bf16-mixed", "accumulate_grad_batches": 2}])
def test_a_fit_after_it_equals_one_without_it_to_the_last_bit(of_trainer: dict[str, Any], tmp_path: Any) -> None:
    def run(look: bool) -> dict[str, Any]:
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        net = Validated(scheduler="cosine")
        train, val = loader(generator=torch.Generator().manual_seed(5)), DataLoader(DATA, 32)
        runner = trainer(CosineDecay(replace_scheduler=True), ModelCheckpoint(tmp_path), max_epochs=2, **of_trainer)
        if look:
            before = [list(runner.callbacks), weights(net), torch.get_rng_state(), train.batch_sampler]
            result = find_batch_size(
                net, train, val_dataloaders=val, trainer=runner, sizes=[4, 8, 16], budget=BUDGET, monitor="val_error"
            )
            assert [trial.state for trial in result.trials] == ["completed"] * 3
            assert same([list(runner.callbacks), weights(net), torch.get_rng_state(), train.batch_sampler], before)
            assert (runner.global_step, runner.current_epoch, runner.max_epochs, runner.state.fn) == (0, 0, 2, None)
            assert not list(tmp_path.iterdir())
        runner.fit(net, train, val)
        for path in tmp_path.iterdir():
            path.unlink()
        return end_state(runner, net)

    assert same(run(look=True), run(look=False))


def test_each_size_trains_on_its_rows_from_the_same_score_for_the_same_time_with_a_scaled_rate() -> None:
    seen: dict[int, list[float]] = {}

    class Watched(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.setdefault(len(batch[0]), []).append(self.trainer.optimizers[0].param_groups[1]["lr"])
            return super().training_step(batch, batch_idx)

    result = find(Watched(), sizes=[4, 8, 16], lr_rule="linear")
    assert seen.keys() == {4, 8, 16}
    for trial, lr in zip(result.trials, (0.05, 0.1, 0.2), strict=True):
        assert trial.lr == pytest.approx(lr)
        assert max(seen[trial.size]) == pytest.approx(lr)
        assert abs(trial.seconds - result.seconds) <= 0.001, "one step"
        assert trial.rows == trial.steps * trial.size
        assert trial.curve[0] == (0.0, 0, result.start)
        seconds, rows, _ = zip(*trial.curve, strict=True)
        assert list(seconds) == sorted(seconds)
        assert rows[-1] == trial.rows
    first = result.trials[2].steps and seen[16][2]  # two steps warm up
    assert 0.1 <= first < 0.2, "a higher rate is reached along a line"


def test_the_choice_is_the_smallest_of_those_that_are_as_good() -> None:
    class Slow(Net):
        """Larger batches are better, but beyond 32 rows nothing is gained."""

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("score", min(32.0, float(self.rows)))

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.rows = max(self.rows, len(batch[0]))

        rows = 0

    result = find(Slow(), sizes=[8, 16, 32, 64], monitor="score", mode="max")
    assert result.suggestion == 32
    assert result.lr == pytest.approx(0.2)
    assert result.reason == "`score` goes from 0 to 32, the best improvement"


def test_a_machine_that_slows_down_does_not_make_a_trial_longer(clock: Clock) -> None:
    class Slowing(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.count += 1
            clock.now += 0.01 if self.count > 2 else 0.0
            return super().training_step(batch, batch_idx)

        count = 0

    result = find(Slowing(), budget=0.5)
    for trial in result.trials:
        assert trial.seconds <= result.seconds + 0.011, "one step"
        assert len(trial.curve) > 4


def test_lack_of_memory_is_survived_and_larger_sizes_are_not_tried() -> None:
    class Full(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if len(batch[0]) > 16:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return super().training_step(batch, batch_idx)

    net = Full()
    before = weights(net)
    result = find(net, sizes=[8, 16, 32, 64])
    assert [trial.state for trial in result.trials] == ["completed", "completed", "out of memory", "not tried"]
    assert "Tried to allocate" in result.trials[2].detail
    assert result.suggestion in (8, 16)
    assert "out of memory: CUDA out of memory" in str(result)
    assert same(weights(net), before)


def test_a_size_that_breaks_the_step_diverges_or_is_too_slow_is_left_out(clock: Clock) -> None:
    class Frail(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            size = len(batch[0])
            if size == 16:
                raise ValueError("expected 8 rows")
            if size == 64:
                clock.now += 0.1
            loss = super().training_step(batch, batch_idx)
            return loss * torch.inf if size == 32 else loss

    result = find(Frail(), loader(drop_last=True), sizes=[8, 16, 32, 64])
    assert [trial.state for trial in result.trials] == ["completed", "failed", "diverged", "too slow"]
    assert result.trials[1].detail == "ValueError: expected 8 rows"
    assert result.suggestion == 8


def test_streams_custom_batch_samplers_limits_workers_and_manual_optimization_are_resized() -> None:
    class Sampler(BatchSampler):
        """One of the user's own."""

    sampled = DataLoader(DATA, batch_sampler=Sampler(RandomSampler(DATA), 8, False))
    for train, arguments in (
        (DataLoader(Endless(200), 8), {}),
        (sampled, {}),
        (loader(32, num_workers=1, drop_last=True), {"sizes": [48], "budget": 0.03}),
        (loader(), {"trainer": trainer(limit_train_batches=4)}),
    ):
        result = find(train=train, **arguments)
        assert {trial.state for trial in result.trials} == {"completed"}
        assert all(trial.rows >= trial.size * trial.steps * 0.5 for trial in result.trials)
    assert find(Net(manual=True)).trials[1].state == "completed"
    assert find(train=loader(), trainer=trainer(limit_train_batches=2), sizes=None).trials[-1].size == 16


def test_it_works_with_the_other_package_a_datamodule_and_a_trainer_that_has_fitted() -> None:
    class Data(lightning_pytorch.LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader()

        def val_dataloader(self) -> Any:
            return DataLoader(DATA, 32)

    runner = trainer(LRFinder(), max_epochs=1)
    net = Net()
    runner.fit(net, loader())
    found = find_batch_size(net, datamodule=Data(), trainer=runner, sizes=[8], budget=BUDGET)
    assert found.suggestion == 8
    assert runner.current_epoch == 1
    other = find_batch_size(OtherNet(), loader(), val_dataloaders=DataLoader(DATA, 32), sizes=[8], budget=BUDGET)
    assert other.trials[0].state == "completed"


def test_a_monitor_is_found_under_the_names_that_lightning_makes_of_it() -> None:
    class Several(Net):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            self.log("val_loss", self.loss(batch), on_step=True, on_epoch=True)

    val = [DataLoader(DATA, 32), DataLoader(DATA, 48)]
    for monitor in ("val_loss", "val_loss_epoch", "val_loss/dataloader_idx_0"):
        assert find(Several(), val_dataloaders=val, monitor=monitor, sizes=[8]).suggestion == 8


def test_a_metric_that_never_changes_and_one_that_only_gets_worse_give_no_size() -> None:
    class Flat(Net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.tensor(1.0))

    class Worse(Net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", -self.loss(batch))

    assert "does not affect it" in find(Flat()).reason
    worse = find(Worse())
    assert worse.suggestion is None
    assert worse.lr is None
    assert "does not improve on" in str(worse).partition("\n")[0]


class Detached(Net):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch).detach()


class Integer(Net):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return (self.loss(batch) > 0).sum()


@pytest.mark.parametrize(
    ("net", "arguments", "error", "message"),
    [
        (Net, {"sizes": [8, 97]}, ValueError, "`sizes` must be at most the 96 training rows of a process, got 97"),
        (Net, {"budget": 0.005}, ValueError, "`budget`=0.005 s is too short for 2 sizes: a step takes"),
        (Detached, {}, RuntimeError, "without a gradient"),
        (Integer, {}, RuntimeError, "without a gradient"),
        (Net, {"monitor": "val_acc"}, MisconfigurationException, "'val_acc' is not logged in validation; logged: val_"),
        (Net, {"train": StatefulLoader()}, MisconfigurationException, "a StatefulLoader, whose batch size cannot"),
        (Net, {"train": DataLoader([[X, X]], None)}, MisconfigurationException, "made by its dataset, which has no"),
        (Net, {"train": [loader(4), loader(8)]}, MisconfigurationException, "batches of 4, 8 rows"),
        (Net, {"trainer": trainer(strategy="ddp_fork", devices=2)}, MisconfigurationException, "spawned or forked"),
        (Net, {"trainer": trainer(limit_val_batches=0)}, MisconfigurationException, "no validation batches"),
        (Net, {"sizes": []}, ValueError, "at least one batch size"),
        (Net, {"sizes": [0]}, ValueError, "`sizes` must be at least 1"),
        (Net, {"sizes": 32}, TypeError, "`sizes` must be a list"),
        (Net, {"budget": "soon"}, ValueError, "`budget` must be a length of time"),
        (Net, {"mode": "best"}, ValueError, "`mode`"),
        (Net, {"lr_rule": "cubic"}, ValueError, "`lr_rule`"),
        (Net, {"tolerance": 1.0}, ValueError, "`tolerance`"),
        (Net, {"monitor": ""}, ValueError, "`monitor`"),
    ],
)
def test_bad_input_has_a_clear_answer_and_changes_nothing(
    net: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    model, state = net(), torch.get_rng_state()
    before = weights(model)
    with pytest.raises(error, match=message):
        find(model, **arguments)
    assert same(weights(model), before)
    assert same(torch.get_rng_state(), state)


def test_an_engine_that_keeps_the_state_to_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "strategy_is", lambda run, *names: "DeepSpeedStrategy" in names)
    with pytest.raises(MisconfigurationException, match="`find_batch_size` cannot act under DeepSpeed"):
        find()


def test_an_error_at_the_loaders_own_size_is_the_users_own() -> None:
    class Broken(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        find(Broken())


def test_a_bar_shows_how_many_sizes_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    find(trainer=trainer(TQDMProgressBar(), enable_progress_bar=True))
    shown = capsys.readouterr().out
    assert "Batch sizes" in shown
    assert "2/2" in shown


def test_two_processes_decide_together_and_train_on_as_without(tmp_path: Any) -> None:
    run = run_script("batch_size_ranks", tmp_path, ranks=2)
    assert run.returncode == 0, run.stdout + run.stderr
    ranks = [torch.load(tmp_path / f"both{rank}.pt", weights_only=True) for rank in (0, 1)]
    for with_search, without in ranks:
        assert same(with_search["weights"], without["weights"])
    found = ranks[0][0]["found"]
    assert found == ranks[1][0]["found"], "one process is slower, and one runs out of memory"
    assert [trial["state"] for trial in found["trials"]] == ["completed", "completed", "out of memory"]
    assert found["trials"][0]["rows"] == found["trials"][0]["steps"] * 8 * 2


def test_it_sees_normalized_augmented_and_mixed_batches_and_leaves_their_draws_as_they_were() -> None:
    seen: list[Tensor] = []
    looked: list[Tensor] = []

    class Watched(Validated):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            seen.append(batch[0].clone())
            return super().training_step(batch, batch_idx)

    def run(look: bool) -> dict[str, Any]:
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        net, rows = Watched(), TensorDataset(100 * X + 50, DATA.tensors[1])
        train = DataLoader(rows, 8, shuffle=True, generator=torch.Generator().manual_seed(5))
        tricks = [MixUp(1.0), BatchAugment(lambda x: x + 0.1 * torch.randn_like(x)), NormalizeInputs()]
        runner = trainer(*tricks, max_epochs=1)
        if look:
            val = DataLoader(rows, 32)
            find(net, train, val_dataloaders=val, trainer=runner, monitor="val_error")
            looked.extend(seen)
            assert torch.cat(looked).abs().max() < 6, "normalized"
            steps = [set(each.flatten().tolist()) for each in looked]
            assert not steps[0] & steps[1], "augmented and mixed anew in each step"
        seen.clear()
        runner.fit(net, train, DataLoader(rows, 32))
        return {**end_state(runner, net), "seen": list(seen)}

    assert same(run(look=True), run(look=False))
    assert looked
