"""Live control: what a file says is done at the next look, once, on all ranks, and is in the checkpoint."""

import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from control_orders import OrderWriter, ValidationRecorder, at_once
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import OmegaConf
from ranks import SaveRank, load_ranks
from recorders import Recorder
from tiny import Net, fit, trainer

from lightning_tricks import CosineDecay, LiveControl, LRFinder
from lightning_tricks.engine.control import control_file


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts at once, not after half a second: a run of eighteen steps is over by then."""
    monkeypatch.setattr(control_file, "QUIET", 0.0)
    monkeypatch.setattr(control_file, "_POLL", 0.002)


def head(net: Net) -> list[float]:
    return [lrs[-1] for _, lrs in net.trace]


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("control file")]


# -- the learning rate --------------------------------------------------------------------------------------------


def test_an_order_is_obeyed_once_at_the_next_look_and_a_second_one_multiplies_on() -> None:
    live = LiveControl(every_n_steps=2)
    same_again = "# another comment, the same order\nlr:  x0.5\n"
    orders = {2: "lr: x0.5", 6: same_again, 8: "lr: x0.5\nid: 2", 10: None, 12: "id: 2\nlr: x0.5"}
    net = fit(live, OrderWriter(orders), limit_val_batches=0)
    assert head(net) == [0.1] * 4 + [0.05] * 6 + [0.025] * 8
    assert all(body == pytest.approx(top / 10) for _, (body, top) in net.trace)
    assert live.applied == [
        {"step": 4, "content": {"lr": "x0.5"}},
        {"step": 10, "content": {"lr": "x0.5", "id": 2}},
    ]
    assert live.lr_factor == 0.25


@pytest.mark.parametrize("first", [True, False])
def test_a_number_is_from_then_on_the_rate_of_the_largest_group_whatever_a_schedule_says(first: bool) -> None:
    live, schedule = LiveControl(every_n_steps=6), CosineDecay()
    net = fit(at_once("lr: 2e-2"), *((live, schedule) if first else (schedule, live)), limit_val_batches=0)
    plain = fit(CosineDecay())
    assert net.trace[:6] == plain.trace[:6]
    assert [lrs for _, lrs in net.trace[6:]] == [pytest.approx([0.002, 0.02])] * 12
    assert live.applied == [{"step": 6, "content": {"lr": 0.02}}]


def test_a_resumed_run_keeps_the_number_and_further_factors_multiply_it(tmp_path: Path) -> None:
    orders = {2: "lr: 0.02", 8: "lr: x0.5"}
    whole = fit(LiveControl(every_n_steps=2), OrderWriter(orders), CosineDecay(), limit_val_batches=0)
    assert head(whole)[4:10] == [pytest.approx(0.02)] * 6
    assert head(whole)[10:] == [pytest.approx(0.01)] * 8
    first = trainer(LiveControl(every_n_steps=2), CosineDecay(), at_once("lr: 0.02"), max_epochs=3, limit_val_batches=0)
    first.fit_loop.max_epochs, resumed = 1, Net()
    first.fit(Net())
    first.save_checkpoint(tmp_path / "first.ckpt")
    live = LiveControl(every_n_steps=2)
    trainer(live, CosineDecay(), limit_val_batches=0).fit(resumed, ckpt_path=tmp_path / "first.ckpt")
    assert live.overrides_others
    assert head(resumed) == [pytest.approx(0.02)] * 12


def test_a_file_that_is_no_order_changes_nothing_and_is_warned_about_once_with_its_line() -> None:
    live = LiveControl(every_n_steps=1)
    bad = "lr: x0.5\nlearning_rate: 0.1\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = fit(live, OrderWriter({1: bad, 4: None, 6: bad, 8: "stop: [true"}))
    found = [str(w.message) for w in caught if "has no effect" in str(w.message)]
    assert len(found) == 2
    assert "control.yaml has no effect: line 2 ('learning_rate: 0.1'): `learning_rate` is not an order" in found[0]
    assert "line 1 ('stop: [true'): invalid YAML" in found[1]
    assert net.trace == fit().trace
    assert live.applied == []


def test_a_smoke_test_reads_nothing() -> None:
    live = LiveControl(every_n_steps=1)
    writer = Writer("control.yaml")
    assert head(fit(live, writer, fast_dev_run=3)) == [0.1] * 3
    assert writer.written
    assert live.applied == []


class Writer(Callback):
    """Write an order before the first batch, whoever watches."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.written = Path(path), False

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.written:
            self.path.write_text("lr: x0.5")
            self.written = True


def test_a_finders_rate_is_multiplied_on() -> None:
    finder = LRFinder(min_lr=1e-4, max_lr=1.0, num_steps=20, at_epochs=(1,), suggestion="minimum")
    net = fit(finder, LiveControl(every_n_steps=2), at_once("lr: x0.5"), max_epochs=2, limit_val_batches=0)
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


# -- whose file it is ---------------------------------------------------------------------------------------------


def test_an_order_that_is_older_than_the_run_is_not_obeyed_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Path("control.yaml").write_text("stop: true\n")
    live = LiveControl(every_n_steps=1)
    with caplog.at_level("INFO"):
        net = fit(live, OrderWriter({8: "stop: true\n"}))
    assert len(net.trace) == 9, "the same words, written in this run, count"
    assert live.applied == [{"step": 9, "content": {"stop": True}}]
    said = [record.message for record in caplog.records if "watches" in record.message]
    old = "The order in it (stop: true) is older than this run and is ignored."
    assert said == [f"LiveControl watches {Path('control.yaml').resolve()}. {old}"]
    assert len(fit(LiveControl(every_n_steps=1)).trace) == 18, "the order that stopped this run does not stop the next"


def test_the_file_lies_in_the_runs_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(**arguments: Any) -> Path:
        seen = Recorder(on_train_batch_start=watched_path)
        fit(LiveControl(), seen, max_epochs=1, **arguments)
        return seen.seen["on_train_batch_start"][-1]

    job = tmp_path / "outputs" / "17-05-00"
    loggers = [NoFolder(), CSVLogger(tmp_path / "logs", name="", version="7")]
    assert watched() == tmp_path / "control.yaml"
    assert watched(default_root_dir=tmp_path / "root") == tmp_path / "root" / "control.yaml"
    monkeypatch.setitem(sys.modules, "hydra.core.hydra_config", hydra_job(job))
    assert watched(default_root_dir=tmp_path / "root") == job / "control.yaml"
    assert watched(logger=loggers) == tmp_path / "logs" / "7" / "control.yaml"
    assert watched(default_root_dir="s3://bucket/runs") == job / "control.yaml"
    monkeypatch.setitem(sys.modules, "hydra.core.hydra_config", hydra_job("???"))
    assert watched() == tmp_path / "control.yaml", "composed in a notebook, where no job runs"
    monkeypatch.delitem(sys.modules, "hydra.core.hydra_config")
    assert watched(default_root_dir="memory://runs") == tmp_path / "control.yaml"


def test_two_runs_in_one_folder_never_share_a_file() -> None:
    class Inner(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step == 3:
                self.net = fit(self.live, at_once("lr: x0.1"), limit_val_batches=0)

    inner, outer = Inner(), LiveControl(every_n_steps=1)
    inner.live = LiveControl(every_n_steps=1)
    assert head(fit(outer, inner, limit_val_batches=0)) == [0.1] * 18
    assert head(inner.net) == [0.1] + [pytest.approx(0.01)] * 17
    assert outer.applied == []
    assert sorted(path.name for path in Path().iterdir()) == ["control-2.yaml"]


def test_a_folder_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="cannot be distinguished from that of another run: .*taken"):
        assert fit(LiveControl(), default_root_dir=tmp_path / "taken").trace == fit().trace


def watched_path(trainer: Any, pl_module: Any) -> Path:
    """Return which file is watched."""
    live = next(callback for callback in trainer.callbacks if isinstance(callback, LiveControl))
    assert live._file is not None
    return Path(live._file.path)


class NoFolder(DummyLogger):
    """A logger of a service, without a folder."""


def hydra_job(folder: Path | str) -> SimpleNamespace:
    """What Hydra's module says while a job runs."""
    config = OmegaConf.create({"runtime": {"output_dir": str(folder)}})
    return SimpleNamespace(HydraConfig=SimpleNamespace(initialized=lambda: True, get=lambda: config))


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


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_obey_together_what_rank_0_alone_reads(accumulate: int, tmp_path: Path) -> None:
    live = LiveControl(every_n_steps=2)
    writer = OrderWriter({0: "lr: x0.5\nvalidate: true\ncheckpoint: true\n", 8: "stop: yes"})
    arguments = {"strategy": "ddp_fork", "devices": 2, "accumulate_grad_batches": accumulate}
    threads = Recorder(on_train_batch_start=lambda trainer, module: len(watchers()))

    def read(trainer: Any, pl_module: Any) -> dict[str, Any]:
        seen = {"trace": pl_module.trace, "applied": live.applied, "validated": pl_module.validated}
        return {**seen, "threads": threads.seen["on_train_batch_start"][-1]}

    fit(live, SaveRank(tmp_path, read), threads, writer, net=ValidationRecorder(), **arguments)
    first, second = load_ranks(tmp_path)
    assert (first.pop("threads"), second.pop("threads")) == (1, 0)
    assert first == second
    assert [order["content"] for order in first["applied"]] == [
        {"lr": "x0.5", "validate": True, "checkpoint": True},
        {"stop": True},
    ]
    assert len(first["trace"]) == (10 if accumulate == 1 else 6)
    assert (tmp_path / "control-2.ckpt").is_file()
