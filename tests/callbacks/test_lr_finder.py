"""The LR finder: what it finds, what it refuses, what survives a restart, on one process and on several."""

import logging
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_loggers import MLFlowLogger, PlainLogger, TensorBoardLogger, WandbLogger
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import SingleDeviceStrategy
from ranks import SaveRank, load_ranks
from stateful_net import StatefulNet, fit_stateful
from tiny import BATCHES, LargeBatchNet, Net, StatefulLoader, fit, same, trainer, weights
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import LRFinder, LRFinderResult, PolynomialDecay, find_lr

WRONG = {
    "min_lr": [0, -1.0, math.nan, "x", 10.0, 11.0],
    "max_lr": [0, 1e-8, math.inf],
    "num_steps": [0, 9, 20.5, True],
    "mode": ["log", None],
    "suggestion": ["best", 3],
    "smoothing": [1.0, -0.1],
    "stop_factor": [1.0, 0, math.nan],
    "refine": [-1, 101, 0.5, "x", "-1st"],
    "apply": ["false", 1],
    "at_epochs": [0, "0", [-1], [0.5]],
    "log_figure": [None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_an_argument_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=f"`{name}`"):
        LRFinder(**{name: value})


def test_under_a_schedule_it_suggests_the_peak_and_refines_for_a_share_of_the_run() -> None:
    constant, peak, refined = small(), small(), small(refine="0.2dur")
    fit(constant, max_epochs=20)
    net = fit(peak, PolynomialDecay(), max_epochs=20)
    fit(refined, PolynomialDecay(), max_epochs=20)
    results = [finder.result for finder in (constant, peak, refined)]
    assert all(result is not None and result.suggestion is not None for result in results)
    assert results[1].suggestion == pytest.approx(2 * results[0].suggestion, rel=1e-2)
    assert net.trace[0][1][1] == pytest.approx(results[1].suggestion)
    assert results[1].suggest("auto") == results[1].suggestion
    assert LRFinderResult.from_dict(results[1].to_dict()) == results[1]
    assert f"after {0.2 * 20 * 6:.0f} steps" in results[2].reason
    assert "its base is" in results[2].reason


def small(**arguments: Any) -> LRFinder:
    return LRFinder(**{"min_lr": 1e-4, "max_lr": 10.0, "num_steps": 60, **arguments})


def test_it_finds_a_rate_and_trains_with_it_keeping_the_ratios_of_the_groups() -> None:
    finder = small()
    net = fit(finder)
    assert finder.result is not None
    assert finder.result.suggestion is not None
    assert 1e-3 < finder.result.suggestion < 1
    assert net.trace[0] == (0, pytest.approx([finder.result.suggestion / 10, finder.result.suggestion]))
    assert finder.result.lrs[0] == 1e-4
    assert finder.result.losses[0] > min(finder.result.losses)


def test_num_steps_may_exceed_an_epoch_and_the_run() -> None:
    finder = LRFinder(num_steps=200, stop_factor=math.inf)
    net = fit(finder, max_epochs=1)
    assert finder.result is not None
    assert len(finder.result.lrs) > 100
    assert len(net.trace) == 6


@pytest.mark.parametrize("manual", [False, True])
def test_the_losses_are_those_of_training_at_these_rates(manual: bool) -> None:
    finder = small(apply=False, num_steps=10, max_lr=0.1, stop_factor=math.inf)
    fit(finder, net=Net(manual=manual))

    class Follow(Net):
        """Train at the same rates in an ordinary run."""

        def __init__(self) -> None:
            super().__init__(manual=manual)
            self.losses: list[list[float]] = []

        def loss(self, batch: Any) -> torch.Tensor:
            loss = super().loss(batch)
            self.losses[-1].append(loss.item())
            return loss

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            if len(self.losses) == 10:
                return -1  # skip the rest of the epoch
            lr = finder.result.lrs[len(self.losses)]  # type: ignore[union-attr]
            both = ([0.1], [1.0]) if manual else ([0.1, 1.0],)
            for optimizer, shares in zip(self.trainer.optimizers, both, strict=True):
                for group, share in zip(optimizer.param_groups, shares, strict=True):
                    group["lr"] = lr * share
            self.losses.append([])
            return None

    class OnePass(StatefulLoader):
        """The finder goes round the same epoch, in the same order."""

        def set_epoch(self, epoch: int) -> None: ...

    net = Follow()
    trainer(max_epochs=2, limit_val_batches=0).fit(net, OnePass())
    assert [sum(losses) / len(losses) for losses in net.losses] == pytest.approx(finder.result.losses, rel=1e-6)


def test_a_flat_loss_leaves_the_rate_alone_with_a_warning_and_the_reason() -> None:
    class Flat(Net):
        def loss(self, batch: Any) -> Any:
            return super().loss(batch) * 0 + 1

    finder = small()
    with pytest.warns(UserWarning, match="suggests no learning rate: the loss is flat"):
        net = fit(finder, net=Flat())
    assert finder.result is not None
    assert finder.result.suggestion is None
    assert net.trace[0] == (0, [0.01, 0.1])


def test_pure_noise_gives_no_suggestion() -> None:
    class Noise(Net):
        def loss(self, batch: Any) -> Any:
            return super().loss(batch) * 0 + 1 + torch.randn(())

    finder = LRFinder()
    with pytest.warns(UserWarning, match="its noise"):
        fit(finder, net=Noise())
    assert finder.result is not None
    assert finder.result.suggestion is None


def test_it_says_in_one_line_what_it_found(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        finder = small()
        fit(finder)
    lines = [record.getMessage() for record in caplog.records if "LRFinder" in record.getMessage()]
    assert len(lines) == 1
    assert f"{finder.result.suggestion:.3g}" in lines[0]  # type: ignore[union-attr]
    assert "the loss is lowest near" in lines[0]


class Fails(StatefulNet):
    """Fail in the training step of that number, once."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = [step]

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        if self.memo["steps"] == self.left[0]:
            raise ZeroDivisionError("in the user's step")
        return loss


@pytest.mark.parametrize("step", [1, 2, 13])
def test_an_error_in_the_users_step_leaves_everything_as_before(step: int) -> None:
    net = Fails(step)
    before, modes = weights(net), [module.training for module in net.modules()]
    seen: dict[str, Any] = {}

    class Look(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            seen["random"] = torch.get_rng_state()
            seen["callbacks"] = list(trainer.callbacks)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            seen["random after"] = torch.get_rng_state()
            seen["callbacks after"] = list(trainer.callbacks)
            seen["optimizer"] = trainer.optimizers[0].state_dict()["state"]
            seen["rates"] = [group["lr"] for group in trainer.optimizers[0].param_groups]

    finder = small()
    with pytest.raises(ZeroDivisionError) as caught:
        fit_stateful(finder, net=net, callbacks=[Look()])
    if hasattr(caught.value, "__notes__"):
        assert f"in step {step - 1} of the range test" in caught.value.__notes__[0]
    assert same(weights(net), before)
    assert seen["optimizer"] == {}
    assert seen["rates"] == [0.001, 0.01]
    assert same(seen["random"], seen["random after"])
    assert seen["callbacks"] == seen["callbacks after"]
    assert net.memo["steps"] == 0
    assert net.history == []
    assert net.hidden is None
    assert "log" not in vars(net)
    assert [module.training for module in net.modules()] == modes


class Says(Net):
    """Return that for a loss."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.change(super().training_step(batch, batch_idx))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda loss: loss.detach(), "a loss without a gradient"),
        (lambda loss: loss * float("nan"), "The loss is nan at the first step"),
        (lambda loss: None, "returned no loss in any step"),
    ],
)
def test_a_loss_that_cannot_be_followed_is_refused(change: Any, message: str) -> None:
    net = Says(change)
    before = weights(net)
    with pytest.raises(RuntimeError, match=message):
        fit(small(), net=net)
    assert same(weights(net), before)


def test_an_error_that_a_loss_already_nan_explains_ends_the_sweep_like_a_divergence() -> None:
    class Strict(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.loss(batch)
            if not loss.isfinite():
                raise FloatingPointError("not finite")
            return loss

    class Guard(Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            if any(not p.grad.isfinite().all() for p in pl_module.parameters()):
                raise RuntimeError("too many steps that are not finite")

    finder = LRFinder(max_lr=1e12, apply=False, stop_factor=math.inf)
    net = fit(finder, Guard(), max_epochs=1)
    assert finder.result is not None
    assert finder.result.diverged
    assert all(map(math.isfinite, finder.result.losses))
    assert net.trace[0] == (0, [0.01, 0.1])
    with pytest.raises(FloatingPointError):
        fit(LRFinder(max_lr=1e12, stop_factor=math.inf), net=Strict(), max_epochs=1)


def test_a_module_that_fetches_its_own_batches_is_refused() -> None:
    class Fetches(Net):
        def training_step(self, dataloader_iter: Any) -> Any:
            return self.loss(next(dataloader_iter)[0])

    with pytest.raises(MisconfigurationException, match="dataloader_iter"):
        fit(small(), net=Fetches())


def test_manual_optimization_without_a_step_is_refused() -> None:
    class Idle(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.manual_backward(self.loss(batch))

    with pytest.raises(RuntimeError, match="No optimizer took a step"):
        fit(small(), net=Idle(manual=True))


def test_a_resumed_run_does_not_look_again_and_one_that_never_did_may(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    finder = small(at_epochs=(0, 1, 2))
    whole = fit(finder, saver)
    resumed_finder = small(at_epochs=(0, 1, 2))
    resumed = fit(resumed_finder, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert resumed.trace == whole.trace[-len(resumed.trace) :]
    assert resumed_finder.result == finder.result
    plain = ModelCheckpoint(tmp_path / "plain", filename="{epoch}", save_top_k=-1)
    fit(plain)
    late = small(at_epochs=(2,))
    fit(late, ckpt_path=tmp_path / "plain" / "epoch=1.ckpt")
    assert late.result is not None
    assert len(late.result.lrs) > 20


def test_at_epochs_looks_when_that_epoch_starts_and_trains_on_with_the_rate() -> None:
    finder = small(at_epochs=(1,))
    net = fit(finder, net=LargeBatchNet(lr=1e-3))
    assert finder.result is not None
    assert finder.result.suggestion is not None
    tops = [lrs[1] for _, lrs in net.trace]
    assert tops == [1e-3] * 6 + [finder.result.suggestion] * 12


@pytest.mark.parametrize("step", [BATCHES, BATCHES + 2])
def test_in_an_epoch_that_is_resumed_the_search_comes_with_the_next_one(tmp_path: Path, step: int) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    fit(small(at_epochs=(2,)), saver, max_epochs=2)
    finder = small(at_epochs=(1, 2))
    resumed = fit(finder, max_epochs=4, ckpt_path=tmp_path / f"step={step}.ckpt")
    assert finder.result is not None
    tops = [lrs[1] for _, lrs in resumed.trace]
    before = 2 * BATCHES - step
    assert tops == [0.1] * before + [finder.result.suggestion] * 2 * BATCHES
    assert finder.plain_state()["done"] == [1, 2]


def test_its_result_goes_round_through_a_dict_and_can_be_printed_and_drawn(tmp_path: Path) -> None:
    finder = small(refine=20)
    fit(finder)
    result = finder.result
    assert result is not None
    assert LRFinderResult.from_dict(result.to_dict()) == result
    assert str(result).startswith(f"learning rate {result.suggestion:.3g}: ")
    assert result._repr_html_().startswith("<div>")
    result.plot().savefig(tmp_path / "lr.png")
    assert all(result.suggest(name) is not None for name in ("valley", "steep", "minimum", "slide", "auto"))
    with pytest.raises(ValueError, match="`method` must be one of"):
        result.suggest("best")  # type: ignore[arg-type]


def test_the_figure_goes_to_the_loggers_that_take_one() -> None:
    board, flow, wandb, plain = loggers = [TensorBoardLogger(), MLFlowLogger(), WandbLogger(), PlainLogger()]
    fit(LRFinder(num_steps=20, log_figure=True), logger=loggers, max_epochs=1)
    assert board.figures == wandb.figures == [("lr_finder", 0)]
    assert flow.figures == [("run 7", "lr_finder.png")]
    assert plain.figures == []


def test_a_figure_that_cannot_be_written_costs_a_warning_and_not_the_fit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    finder = LRFinder(num_steps=20, log_figure=True)
    with pytest.warns(UserWarning, match="the curve could not be written to"):
        net = fit(finder, default_root_dir=tmp_path / "file", max_epochs=1)
    assert finder.result is not None
    assert len(net.trace) == 6


@pytest.mark.parametrize("logger", [False, True])
def test_where_no_logger_takes_figures_it_is_written_to_the_runs_folder(
    logger: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loggers = CSVLogger(tmp_path, name="own") if logger else False
    with caplog.at_level(logging.INFO):
        fit(LRFinder(num_steps=20, log_figure=True), logger=loggers, default_root_dir=tmp_path, max_epochs=1)
    (file,) = tmp_path.rglob("*.png")
    assert file.name == "lr_finder-step=0.png"
    assert file.parent == (Path(loggers.log_dir) if loggers else tmp_path)
    assert f"the curve was written to {file}" in caplog.text


def test_a_figure_without_matplotlib_is_refused_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-tricks\[plot\]"):
        LRFinder(log_figure=True)
    assert LRFinder().log_figure is False


@pytest.mark.parametrize("max_lr", [1e-3, 10.0])
def test_a_rate_below_which_the_loss_only_falls_is_applied_with_a_warning(max_lr: float) -> None:
    class Large(Net):
        def train_dataloader(self) -> StatefulLoader:
            return StatefulLoader(batch_size=64)

    finder = LRFinder(min_lr=1e-5, max_lr=max_lr, num_steps=100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(finder, net=Large())
    said = [str(warning.message) for warning in caught if "still falling at the highest rate" in str(warning.message)]
    assert finder.result is not None
    assert finder.result.suggestion is not None
    assert finder.result.still_falls == (max_lr < 1)
    assert len(said) == (max_lr < 1)
    assert ("raise `max_lr`" in finder.result.reason) == (max_lr < 1)


class SelfTuned(torch.optim.SGD):
    """An optimizer that chooses its steps itself."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.1)
        for group in self.param_groups:
            group["lr"] = None


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (lambda params: None, r"`Tuned.configure_optimizers` returns no optimizer"),
        (SelfTuned, r"A parameter group of SelfTuned has no learning rate \(`lr`=None\)"),
    ],
)
def test_a_module_without_a_learning_rate_is_refused_before_training(optimizer: Any, said: str) -> None:
    class Tuned(Net):
        def configure_optimizers(self) -> Any:
            return optimizer(self.parameters())

    net = Tuned()
    before = weights(net)
    with pytest.raises(MisconfigurationException, match=said):
        fit(LRFinder(num_steps=20), net=net)
    with pytest.raises(MisconfigurationException, match=said):
        find_lr(net, num_steps=20)
    assert same(weights(net), before)


@pytest.mark.parametrize("num_steps", [10_001, 10**12])
def test_a_sweep_that_nobody_means_is_refused_with_the_limit(num_steps: int) -> None:
    with pytest.raises(ValueError, match=rf"`num_steps` must lie in .10, 10000., got {num_steps}"):
        LRFinder(num_steps=num_steps)


def test_under_fast_dev_run_it_stays_out() -> None:
    finder = small()
    fit(finder, fast_dev_run=True)
    assert finder.result is None


@pytest.mark.parametrize("ranks", [2, 3])
def test_forked_ranks_find_the_same_and_train_on_as_without(ranks: int, tmp_path: Path) -> None:
    def read(trainer: Any, pl_module: Any) -> dict[str, Any]:
        found = next((cb.result.to_dict() for cb in trainer.callbacks if isinstance(cb, LRFinder)), None)
        state = trainer.optimizers[0].state_dict()["state"]
        return {"found": found, "weights": weights(pl_module), "state": state, "trace": pl_module.trace}

    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    arguments = {"strategy": "ddp_fork", "devices": ranks, "max_epochs": 2}
    fit(small(apply=False, refine=5), SaveRank(tmp_path / "with", read), **arguments)
    fit(SaveRank(tmp_path / "without", read), **arguments)
    with_finder, without = (load_ranks(tmp_path / name, ranks) for name in ("with", "without"))
    assert all(kept["found"] == with_finder[0]["found"] for kept in with_finder)
    assert len(with_finder[0]["found"]["losses"]) > 10
    assert len(with_finder[0]["found"]["trials"]) == 7
    for ours, other in zip(with_finder, without, strict=True):
        assert same({**ours, "found": None}, other)


def test_the_parent_of_forked_processes_reads_the_suggestion_from_the_metrics() -> None:
    runner = trainer(small(), strategy="ddp_fork", devices=2, max_epochs=1)
    runner.fit(LargeBatchNet())
    assert 1e-3 < float(runner.callback_metrics["LRFinder/suggestion"]) < 1


def test_the_parent_of_forked_processes_reads_the_rate_to_which_it_was_raised() -> None:
    finder = LRFinder(at_epochs=(), raise_at=(1,))
    runner = trainer(finder, strategy="ddp_fork", devices=2, max_epochs=2)
    runner.fit(LargeBatchNet(lr=1e-4))
    assert float(runner.callback_metrics["LRFinder/suggestion"]) == pytest.approx(4e-4)


def test_it_writes_nothing_to_disk(tmp_path: Path) -> None:
    fit(small(), default_root_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_without_a_batch_it_does_not_look() -> None:
    finder = small()
    trainer(finder).fit(Net(), DataLoader(TensorDataset(torch.zeros(0, 4), torch.zeros(0, 1)), 4))
    assert finder.result is None


def test_an_engine_that_keeps_the_state_to_itself_is_refused() -> None:
    class DeepSpeedStrategy(SingleDeviceStrategy):
        """DeepSpeed's name is all that is looked at."""

    with pytest.raises(MisconfigurationException, match=r"cannot act under DeepSpeed.*LRRangeTest"):
        fit(small(), strategy=DeepSpeedStrategy("cpu"))
