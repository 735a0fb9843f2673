"""A run's report is written whatever ends the run, and never ends it."""

import errno
import json
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tiny import Net, fit, trainer

import lightning_tricks as lt
from lightning_tricks.engine.checkup.report_output import write_files
from lightning_tricks.engine.checkup.run_sampling import mean_samples
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series


class Ends(Callback):
    """Raise an exception at a step."""

    def __init__(self, error: BaseException, step: int = 8) -> None:
        self.error, self.step = error, step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise self.error


def fail_for_want_of_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def read(folder: Path) -> RunRecord:
    return RunRecord.from_json((folder / "report.json").read_text())


def test_it_shows_what_the_tricks_of_the_run_know(tmp_path: Path) -> None:
    tricks = [
        lt.LRFinder(min_lr=1e-4, max_lr=1.0, num_steps=20, suggestion="minimum"),
        lt.CosineDecay(warmup="2st"),
        lt.GradientClipping(0.5),
        lt.EarlyStopping(patience=50),
        lt.GradualUnfreezing(every="4st"),
        lt.Doctor(),
    ]
    report = lt.RunReport(str(tmp_path), curves=True)
    fit(*tricks, report, log_every_n_steps=2)
    record = read(tmp_path)
    assert record == report.report
    assert (record.model, record.status, record.epochs, record.steps) == ("Net", "completed", 3, 18)
    assert record.metrics["val_loss"].steps == (6, 12, 18)
    assert record.metrics["batch loss"].steps == record.lrs["0.1"].steps
    assert len(record.lrs["0.1"].steps) == 9
    assert "CosineDecay/warmup" in record.factors
    assert record.sweep is not None
    assert record.sweep.suggestion == tricks[0].result.suggestion
    assert record.best[0].score == pytest.approx(tricks[3].best_score, rel=1e-6)
    assert [(thaw.step, thaw.groups) for thaw in record.thaws] == [(0, (2,)), (4, (1, 2)), (8, (0, 1, 2))]
    assert record.inputs == {"0": (4, 4), "1": (4, 1)}
    assert {found.step for found in record.findings} == {0}, "those of the first look"
    assert record.clipping[0].max_norm == 0.5
    assert len(record.grad_norm.points) == 9
    assert record.layers == {"Linear": 2, "BatchNorm1d": 1, "ReLU": 1}
    assert "head.weight" in record.update_ratios.names
    assert [found.code for found in record.findings] == [found.code for found in tricks[5].report.findings]
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "report.html", "report.json"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<h1>Run of Net</h1>" in (tmp_path / "report.html").read_text()


def test_the_learning_rates_are_those_that_the_steps_used(tmp_path: Path) -> None:
    net = fit(lt.CosineDecay(), lt.RunReport(str(tmp_path), curves=False), log_every_n_steps=1)
    shown = read(tmp_path).lrs["0.1"].values
    assert list(shown) == pytest.approx([lrs[1] for _, lrs in net.trace], rel=1e-6)


def test_the_gradient_norm_is_the_one_before_clipping_whatever_the_order(tmp_path: Path) -> None:
    for i, clips in enumerate([[], [lt.GradientClipping(1e-3)]]):
        fit(*clips, lt.RunReport(str(tmp_path / str(i)), curves=False), log_every_n_steps=1, max_steps=1)
    bare, clipped = (read(tmp_path / name).grad_norm.values[0] for name in "01")
    assert bare == clipped
    assert bare is not None
    assert bare > 0.1


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "interrupted"), (ValueError("100 % <b>"), "failed")]
)
def test_an_exception_does_not_keep_it_from_being_written(error: BaseException, status: str, tmp_path: Path) -> None:
    with pytest.raises((SystemExit, type(error))):
        fit(lt.RunReport(str(tmp_path), curves=False), Ends(error), log_every_n_steps=1)
    record = read(tmp_path)
    assert record.status == status
    assert record.steps == 8
    assert len(record.metrics["batch loss"].steps) == 8


def test_it_lies_in_the_folder_of_the_logger_or_of_the_trainer(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, version="v7")
    fit(lt.RunReport(curves=False), logger=logger, max_epochs=1)
    assert (Path(logger.log_dir) / "report.json").is_file()
    fit(lt.RunReport(curves=False), default_root_dir=str(tmp_path / "root"), max_epochs=1)
    assert (tmp_path / "root" / "report.html").is_file()


def test_it_is_written_every_n_epochs(tmp_path: Path) -> None:
    class Seen(Callback):
        found: list[tuple[str, int]] = []  # noqa: RUF012

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if (tmp_path / "report.json").is_file():
                self.found.append((read(tmp_path).status, read(tmp_path).steps))

    fit(lt.RunReport(str(tmp_path), every_n_epochs=2, curves=False), Seen(), max_epochs=4)
    assert Seen.found == [("running", 12), ("running", 12)]
    assert read(tmp_path).status == "completed"


def test_a_resumed_run_continues_its_series_also_in_another_folder(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"log_every_n_steps": 1}
    save = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    fit(lt.RunReport(str(tmp_path / "a"), curves=False), save, **arguments)
    again = lt.RunReport(str(tmp_path / "b"), curves=False)
    fit(again, ckpt_path=tmp_path / "step=12.ckpt", **arguments)
    whole, resumed = read(tmp_path / "a"), read(tmp_path / "b")
    for name in ("metrics", "lrs", "grad_norm", "update_ratios"):
        assert getattr(resumed, name) == getattr(whole, name), name


def test_a_test_after_the_fit_is_added_with_the_looks_of_its_ledger(tmp_path: Path) -> None:
    class Tested(Net):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("test_loss", self.loss(batch))

        test_dataloader = Net.val_dataloader

    runner, net = trainer(lt.RunReport(curves=False), lt.TestGuard(), default_root_dir=str(tmp_path)), Tested()
    runner.fit(net)
    assert read(tmp_path).test == {}
    assert read(tmp_path).looks == 0
    (found,) = runner.test(net, verbose=False)
    record = read(tmp_path)
    assert record.test["test_loss"] == pytest.approx(found["test_loss"])
    assert record.looks == 1
    assert record.steps == 18
    (tmp_path / "test_looks.json").write_text("{")
    with pytest.warns(UserWarning, match="read its part `looks`"):
        fit(lt.RunReport(curves=False), lt.TestGuard(), default_root_dir=str(tmp_path))
    assert read(tmp_path).looks is None
    assert read(tmp_path).status == "completed"


@pytest.mark.parametrize("made", ["file", "folder", "full"])
def test_a_folder_that_cannot_be_written_is_one_warning(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "report.json").mkdir(parents=True)
    if made == "full":
        monkeypatch.setattr(os, "fsync", fail_for_want_of_space)
    report = lt.RunReport(str(tmp_path / made), every_n_epochs=1, curves=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = fit(report)
    assert len(net.trace) == 18
    assert len([w for w in caught if "`RunReport` could not write" in str(w.message)]) == 1
    assert report.report is not None


def test_names_values_and_groups_of_any_kind_are_borne(tmp_path: Path) -> None:
    class Odd(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.loss(batch)
            self.log("<script>alert(1)</script> % \"'\N{FIRE}", loss)
            return loss * float("nan")

        def configure_optimizers(self) -> Any:
            extra = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1} for _ in range(1000)]
            return torch.optim.SGD([{"params": self.parameters()}, *extra], lr=1e-3)

    fit(lt.RunReport(str(tmp_path)), net=Odd(), max_steps=1, log_every_n_steps=1)
    text = (tmp_path / "report.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    record = read(tmp_path)
    assert record.metrics["batch loss"].values == (None,)
    assert len(record.lrs) == 12
    assert "1001 groups" in record.notes[0]
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert len(text) < 20_000


def test_a_long_run_of_many_layers_stays_small() -> None:
    from lightning_tricks.engine.checkup.run_history import RunHistory
    from lightning_tricks.reports.run_page import show_page

    history = RunHistory()
    names = [f"layers.{i}.weight" for i in range(200)]
    for step in range(0, 10_000, 50):
        history.add([(step, {f"metric:m{i}": 1 / (step + i + 1) for i in range(10)})])
        history.add_look(step, names, [1.0 + step, *[0.5] * 200, *[1.23456e-3] * 200])
    record = RunRecord("Net", metrics=history.by_kind("metric"), update_ratios=history.ratios)
    start = time.process_time()
    text, page = record.to_json(), show_page(record)
    assert time.process_time() - start < 2
    assert len(text) < 500_000
    assert len(text) + len(page) < 1_000_000


def test_nothing_is_written_where_nothing_was_trained(tmp_path: Path) -> None:
    fit(lt.RunReport(str(tmp_path)), fast_dev_run=True)
    runner, net = trainer(lt.RunReport(str(tmp_path))), Net()
    runner.validate(net, verbose=False)
    with pytest.raises(ZeroDivisionError):
        fit(lt.RunReport(str(tmp_path)), Ends(ZeroDivisionError(), 0))
    assert os.listdir(tmp_path) == []


class Losses(Callback):
    """Write down the losses of this process's batches."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.seen.append(float(outputs["loss"]))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(self.seen))


def test_of_two_processes_one_writes_and_its_numbers_are_the_means(tmp_path: Path) -> None:
    report = lt.RunReport(str(tmp_path / "run"), curves=False)
    fit(report, Losses(tmp_path), strategy="ddp_fork", devices=2, log_every_n_steps=1, max_epochs=2)
    assert sorted(os.listdir(tmp_path / "run")) == ["report.html", "report.json"]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first != second
    means = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
    record = read(tmp_path / "run")
    assert list(record.metrics["batch loss"].values) == pytest.approx(means, rel=1e-6)
    assert record.hardware["processes"] == "2"


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_report(tmp_path: Path) -> None:
    record = RunRecord("Net", metrics={f"m{i}": Series(tuple(range(400)), (0.5,) * 400) for i in range(20)})
    write_files(tmp_path, record, curves=False)
    for kill in range(8):
        child = os.fork()
        if child == 0:
            while True:
                write_files(tmp_path, record, curves=False)
        time.sleep(0.01 + 0.007 * kill)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert read(tmp_path) == record
        assert (tmp_path / "report.html").read_text().endswith("</html>\n")


def test_ten_thousand_groups_and_nothing_logged_make_a_report(tmp_path: Path) -> None:
    class Silent(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(batch)

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
            (first,) = optimizer.param_groups  # added one by one, each is compared with all others
            optimizer.param_groups += [first | {"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(10_000)]
            return optimizer

        val_dataloader = None

    fit(lt.RunReport(str(tmp_path), curves=False), net=Silent(), max_steps=1, log_every_n_steps=1)
    record = read(tmp_path)
    assert list(record.metrics) == ["batch loss"]
    assert len(record.lrs) == 12
    assert len((tmp_path / "report.html").read_text()) < 50_000


def test_values_are_means_over_the_processes_where_they_were_taken() -> None:
    assert mean_samples([[(1, {"a": 1.0})], []]) == [(1, {"a": 1.0})]
    assert mean_samples([[(1, {"a": 1.0}), (2, {"b": 2.0})], [(1, {"a": 2.0}), (2, {})]]) == [
        (1, {"a": 1.5}),
        (2, {"b": 2.0}),
    ]


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="`dirpath` must not be empty"):
        lt.RunReport("")
    with pytest.raises(ValueError, match=r"`every_n_epochs`.*got 0"):
        lt.RunReport(every_n_epochs=0)
