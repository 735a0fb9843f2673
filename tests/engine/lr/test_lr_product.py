"""The learning-rate product: any order, one writer, a monitor anywhere, conflicts said plainly."""

import itertools
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tiny import Net, fit, logged, same, trainer, weights
from tricks import TINY

from lightning_tricks import CosineDecay, CosineWarmRestarts, LRSchedule, cosine_decay
from lightning_tricks.engine.lr.lr_contributor import contributor_of


class WithScheduler(Net):
    """Returns a scheduler of its own."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


def trio() -> list[Callback]:
    return [
        CosineDecay(end_factor=0.1, warmup="3st"),
        CosineWarmRestarts(1, warmup=0.7, warmup_start=0.3),
        LRSchedule(cosine_decay(70), unit="st", name="steps"),
    ]


def test_lr_callbacks_give_the_same_rates_to_the_last_bit_in_any_order() -> None:
    orders = list(itertools.permutations(range(3)))
    traces = [fit(*[trio()[i] for i in order]).trace for order in orders]
    assert all(trace == traces[0] for trace in traces)
    alone = [fit(callback).trace for callback in trio()]
    for step, (_, lrs) in enumerate(traces[0]):
        factors = [trace[step][1][1] / 0.1 for trace in alone]
        assert lrs[1] == pytest.approx(0.1 * factors[0] * factors[1] * factors[2], rel=1e-12)
        assert lrs[0] == pytest.approx(lrs[1] / 10, rel=1e-12)


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("resume", [False, True])
def test_a_monitor_shows_the_rate_that_each_step_used_wherever_it_stands(
    place: int, manual: bool, resume: bool, tmp_path: Path
) -> None:
    def run(**arguments: Any) -> tuple[list[float], list[float]]:
        callbacks: list[Any] = [CosineDecay(warmup="4st"), CosineWarmRestarts("5st")]
        callbacks.insert(place, LearningRateMonitor("step"))
        saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2 if manual else 1, save_top_k=-1)
        net, logger = Net(manual=manual), CSVLogger(tmp_path)
        runner = trainer(*callbacks, saver, logger=logger, log_every_n_steps=1)
        runner.fit(net, **arguments)
        column = "lr-SGD" if manual else "lr-SGD/pg2"
        shown = [value for _, value in logged(logger, column)]
        return shown, [lrs[-1] for index, lrs in net.trace if index == 0]

    shown, used = run()
    assert shown == used
    if resume:
        checkpoint = sorted(tmp_path.glob("*.ckpt"), key=lambda path: int(path.stem[5:]))[3]
        shown_later, used_later = run(ckpt_path=str(checkpoint))
        assert shown_later == used_later == used[-len(used_later) :]


def test_the_epoch_monitor_shows_the_rate_of_the_epochs_first_step(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    net = Net()
    trainer(LearningRateMonitor("epoch"), CosineDecay(), logger=logger).fit(net)
    assert [value for _, value in logged(logger, "lr-SGD/pg2")] == [lrs[1] for _, lrs in net.trace[::6]]


def test_accumulation_that_changes_in_the_run_does_not_bend_the_clock_of_epochs() -> None:
    net = fit(CosineDecay(3), GradientAccumulationScheduler({0: 1, 1: 2, 2: 6}))
    times = [i / 6 for i in range(6)] + [1 + i / 3 for i in range(3)] + [2.0]
    assert [lrs[1] for _, lrs in net.trace] == pytest.approx([0.1 * x for x in cosine_decay(3).values(times)])


def test_a_second_writer_is_named_once_with_both_values_and_overwritten() -> None:
    class Meddler(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx % 2:
                trainer.optimizers[0].param_groups[1]["lr"] = 0.7

    with pytest.warns(UserWarning, match="training step also writes it") as caught:
        net = fit(CosineDecay(), Meddler())
    found = [str(w.message) for w in caught if "also writes it" in str(w.message)]
    assert len(found) == 1
    assert "group 1 of optimizer 0 (SGD) is 0.7, but CosineDecay wrote 0.0" in found[0]
    expected = cosine_decay(3).values([i / 6 for i in range(18)])
    assert [lrs[1] for _, lrs in net.trace[::2]] == pytest.approx([0.1 * x for x in expected[::2]])


def test_nothing_is_warned_about_where_there_is_one_writer() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The learning rate of group|Group .* is built with a learning rate")
        assert fit(*trio()).trace
        assert fit(*trio(), net=Net(manual=True)).trace


def test_a_module_with_its_own_scheduler_is_refused_naming_both() -> None:
    with pytest.raises(MisconfigurationException, match=r"returns a scheduler \(StepLR\), and CosineDecay would write"):
        fit(CosineDecay(), net=WithScheduler())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_modules_scheduler_is_dropped_on_request_of_any_callback(order: tuple[int, int]) -> None:
    pair = [CosineDecay(replace_scheduler=True), CosineWarmRestarts("4st")]
    without = fit(*[CosineDecay(), CosineWarmRestarts("4st")])
    assert fit(*[pair[i] for i in order], net=WithScheduler()).trace == without.trace


def test_a_scheduler_that_a_manual_step_calls_by_hand_is_overwritten_without_a_warning() -> None:
    class ByHand(Net):
        def configure_optimizers(self) -> Any:
            optimizers = super().configure_optimizers()
            return optimizers, [torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in optimizers]

        def training_step(self, batch: Any, batch_idx: int) -> None:
            super().training_step(batch, batch_idx)
            for scheduler in self.lr_schedulers():
                scheduler.step()

    expected = fit(CosineDecay(), net=Net(manual=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*also writes it.*")
        net = fit(CosineDecay(replace_scheduler=True), net=ByHand(manual=True))
    assert net.trace == expected.trace
    with pytest.raises(MisconfigurationException, match="ExponentialLR, ExponentialLR"):
        fit(CosineDecay(), net=ByHand(manual=True))


def checkpoints(folder: Path, *callbacks: Callback, net: Any = None) -> Path:
    fit(*callbacks, ModelCheckpoint(folder, filename="{step}", every_n_train_steps=8), net=net)
    return next(folder.glob("*.ckpt"))


def test_the_checkpoints_base_wins_over_another_in_the_code_with_both_numbers_said(tmp_path: Path) -> None:
    checkpoint = checkpoints(tmp_path, CosineDecay())
    with pytest.warns(UserWarning, match=r"Group 1 .* learning rate of 0.3, but the resumed run was .* 0.1\."):
        net = fit(CosineDecay(), net=Net(lr=0.3), ckpt_path=checkpoint)
    assert net.trace == fit(CosineDecay()).trace[-len(net.trace) :]


def test_a_lightning_that_repeats_a_batch_on_resume_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoints(tmp_path, CosineDecay())
    monkeypatch.setattr("lightning.__version__", "2.4.0")
    with pytest.warns(UserWarning, match="Lightning 2.4.0 repeats a batch when it resumes inside an epoch"):
        fit(CosineDecay(), ckpt_path=checkpoint)


def test_a_callback_that_the_checkpoint_does_not_know_starts_from_what_the_code_built(tmp_path: Path) -> None:
    for manual in (False, True):
        checkpoint = checkpoints(tmp_path / str(manual), Callback(), net=Net(manual=manual))
        steps = int(checkpoint.stem.removeprefix("step="))
        net = fit(CosineDecay("50st"), net=Net(manual=manual), ckpt_path=checkpoint)
        first = net.trace[0][1][-1] / (0.01 if manual else 0.1)
        assert first == pytest.approx(cosine_decay(50)(steps // 2 if manual else steps))


def test_a_refused_resume_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    checkpoint = checkpoints(tmp_path, CosineDecay())
    before = checkpoint.read_bytes()
    with pytest.raises(MisconfigurationException, match="returns a scheduler"):
        fit(CosineDecay(), net=WithScheduler(), ckpt_path=checkpoint)
    assert checkpoint.read_bytes() == before


def test_an_optimizer_without_a_learning_rate_is_refused_at_fit_start() -> None:
    class SelfTuning(Net):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            optimizer.param_groups[0]["lr"] = None
            return optimizer

    with pytest.raises(MisconfigurationException, match="SGD has no learning rate"):
        fit(CosineDecay(), net=SelfTuning())


def test_a_module_without_optimizers_is_left_alone() -> None:
    class Untrained(Net):
        def configure_optimizers(self) -> None:
            return None

        def on_before_optimizer_step(self, optimizer: Any) -> None: ...

    assert fit(CosineDecay(), net=Untrained(), max_epochs=1).trace == []


def test_a_tensor_learning_rate_is_written_in_place() -> None:
    class WithTensor(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=torch.tensor(0.1), momentum=0.9, foreach=False)

    net = fit(CosineDecay(3), net=WithTensor())
    expected = cosine_decay(3).values([i / 6 for i in range(18)])
    assert [lrs[0] for _, lrs in net.trace] == pytest.approx([0.1 * x for x in expected], rel=1e-6)


class OwnRate(Net):
    """Built with another learning rate on each rank, as a sweeper that runs in each process would do."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1 if self.trainer.global_rank == 0 else 0.2)


class OwnSchedule(Callback):
    """Makes the callback next to it another one on rank 1."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if trainer.global_rank == 1:
            trainer.callbacks[1].end_factor = 0.5


def test_ranks_that_were_configured_differently_are_an_error_on_all_of_them() -> None:
    with pytest.raises(Exception, match=r"(?s)configured differently.*optimizers.0 \(SGD\): \[0.1\] / \[0.2\]"):
        fit(CosineDecay(), net=OwnRate(), strategy="ddp_fork", devices=2)
    with pytest.raises(Exception, match=r"(?s)configured differently.*CosineDecay.end_factor: 0.0 / 0.5"):
        fit(OwnSchedule(), CosineDecay(), strategy="ddp_fork", devices=2)


def test_a_tensor_that_all_groups_share_is_parted_also_when_a_checkpoint_brings_it_back(tmp_path: Path) -> None:
    class Shared(Net):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            groups = [{"params": part.parameters()} for part in (self.body, self.head)]
            return torch.optim.Adam(groups, lr=torch.tensor(0.1))

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            groups = checkpoint["optimizer_states"][0]["param_groups"]
            groups[1]["lr"] = groups[0]["lr"]

    whole, first = Shared(), Shared()
    fit(CosineDecay(), net=whole, max_epochs=4)
    keep = ModelCheckpoint(tmp_path, every_n_epochs=2, save_top_k=-1, filename="{epoch}")
    fit(CosineDecay(), keep, net=first, max_epochs=4)
    rest = Shared()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="(?s).*also writes it")
        fit(CosineDecay(), net=rest, max_epochs=4, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert rest.trace == whole.trace[12:]


LR_CALLBACKS = [name for name, make in TINY.items() if contributor_of(make()) is not None]


@pytest.mark.parametrize(("name", "other"), [*itertools.combinations(LR_CALLBACKS, 2)])
def test_all_pairs_of_lr_callbacks_commute(name: str, other: str) -> None:
    first = fit(TINY[name](), TINY[other](), max_epochs=2)
    second = fit(TINY[other](), TINY[name](), max_epochs=2)
    assert first.trace == second.trace
    assert same(weights(first), weights(second))
