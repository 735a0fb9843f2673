"""A fault in the watch of a run, on one process or on all, ends the watch and not the fit, and nobody waits for it."""

import json
import warnings
from datetime import timedelta
from functools import cache
from typing import Any

import lightning as L
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from tiny import Net, fit, same, trainer, weights
from torch import nn

from lightning_tricks import Doctor

CHECKUP = "lightning_tricks.engine.checkup"
PARTS = [
    "examination.examine",
    "examination.rebuild_ddp_wrapper",
    "examination.product_of",
    "loss_watch.LossWatch.add",
    "loss_watch.LossWatch.take",
    "step_watch.StepWatch.before_step",
    "step_watch.StepWatch.after_batch",
    "step_watch._start_step",
    "unchanged_params_watch.fingerprints",
    "unchanged_params_watch.UnchangedParamsWatch.take",
    "nonfinite_rerun.NonfiniteRerun.after_backward",
    "forward_watch.ForwardWatch.start",
    "zero_grad_watch._Watched._before_accumulation",
    "zero_grad_watch._Watched._after_step",
    "zero_grad_watch.ZeroGradWatch.take",
    "validation_facts._trains",
    "run_watch.validation_loss",
    "run_watch.join_losses",
    "run_watch.join_steps",
    "run_watch.join_unchanged",
    "run_watch.observe_losses",
]
CALLBACK = "lightning_tricks.callbacks.doctor"
REPORTING = [
    "judge_start",
    "judge_late",
    "broadcast_text",
    "examination_to_text",
    "examination_from_text",
    "log_above_progress_bar",
]


class Validated(Net):
    """Validates each epoch; on some of the processes alone the doctor is broken."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.drop = nn.Dropout(0.9)  # a finding

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))

    def val_dataloader(self) -> Any:
        return self.train_dataloader()


class Slip:
    """Fails wherever it is called, and counts its calls."""

    calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        raise ZeroDivisionError("a slip in the doctor")


@cache
def without_doctor(manual: bool) -> dict[str, torch.Tensor]:
    return weights(fit(net=Validated(manual=manual), max_epochs=2))


@pytest.mark.parametrize(
    "part", [*(f"{CHECKUP}.{part}" for part in PARTS), *(f"{CALLBACK}.{part}" for part in REPORTING)]
)
def test_a_fit_goes_on_as_without_it(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manual = "zero_grad" in part
    plain = without_doctor(manual)
    slip = Slip()
    monkeypatch.setattr(part, slip)
    doctor = Doctor()
    watched = weights(fit(doctor, net=Validated(manual=manual), max_epochs=2, log_every_n_steps=2))
    assert slip.calls > 0
    assert all(torch.equal(value, watched[key]) for key, value in plain.items())
    assert doctor.report is not None
    doctor.state_dict()


def test_a_resumed_fit_goes_on_where_the_model_cannot_be_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole, slip, doctor = weights(fit(Doctor(), keep, net=Validated(), max_epochs=2)), Slip(), Doctor()
    monkeypatch.setattr(f"{CALLBACK}.read_model", slip)
    resumed = weights(fit(doctor, net=Validated(), max_epochs=2, ckpt_path=tmp_path / "epoch=0.ckpt"))
    assert slip.calls > 0
    assert same(resumed, whole)
    assert doctor.report is not None
    assert any("a slip in the doctor" in note for note in doctor.report.notes)


@pytest.mark.parametrize("part", ["loss_watch.LossWatch.add", "step_watch._start_step", "run_watch.validation_loss"])
def test_what_could_not_be_watched_is_a_note_and_is_said_once(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CHECKUP}.{part}", Slip())
    doctor = Doctor()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(doctor, net=Validated(), max_epochs=2, log_every_n_steps=2)
    assert doctor.report is not None
    notes = [note for note in doctor.report.notes if "a slip in the doctor" in note]
    assert len(notes) == 1
    assert notes[0].endswith("Please report this.")
    assert sum(notes[0] in str(warning.message) for warning in caught) == 1
    assert "PLC005" in {finding.code for finding in doctor.report.findings}


def test_warnings_that_are_made_exceptions_do_not_end_a_fit() -> None:
    doctor = Doctor()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Doctor:")
        fit(doctor, net=Validated(), max_epochs=1)
    assert doctor.report is not None
    assert not doctor.report.ok


def test_a_fit_still_ends_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CHECKUP}.examination.rebuild_ddp_wrapper", Slip())
    with pytest.raises(MisconfigurationException, match="PLC005"):
        fit(Doctor(fail_on="warning"), net=Validated(), max_epochs=1)


class Break(L.Callback):
    """Breaks a part of the doctor on one of the processes; it runs there alone, whatever the start method."""

    def __init__(self, part: str, rank: int, folder: Any, doctor: Doctor) -> None:
        self.part, self.rank, self.folder, self.doctor, self.slip = part, rank, folder, doctor, Slip()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_rank == self.rank:
            pytest.MonkeyPatch().setattr(self.part, self.slip)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        state = {key: value.tolist() for key, value in weights(pl_module).items()}
        ended = self.doctor._watch.ended
        seen = [ended, self.doctor.report is not None, state]
        (self.folder / f"{trainer.global_rank}").write_text(json.dumps([self.slip.calls, seen]))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "part",
    [
        f"{CHECKUP}.examination.examine",
        f"{CHECKUP}.examination.reshard_",
        f"{CHECKUP}.loss_watch.LossWatch.add",
        f"{CHECKUP}.unchanged_params_watch.fingerprints",
        f"{CHECKUP}.run_watch.validation_loss",
        f"{CALLBACK}.examination_from_text",
    ],
)
def test_no_process_waits_for_one_on_which_the_doctor_fails(part: str, rank: int, tmp_path: Any) -> None:
    doctor = Doctor()
    quick = DDPStrategy(process_group_backend="gloo", start_method="fork", timeout=timedelta(seconds=30))
    ending = Break(part, rank, tmp_path, doctor)
    arguments = {"strategy": quick, "devices": 2, "max_epochs": 2, "log_every_n_steps": 2}
    trainer(doctor, ending, **arguments).fit(Validated())
    calls, (first, second) = zip(*(json.loads((tmp_path / f"{each}").read_text()) for each in (0, 1)), strict=True)
    is_reached = not part.endswith("examine") or rank == 0
    assert [count > 0 for count in calls] == [is_reached and each == rank for each in (0, 1)]
    assert first == second
    assert first[1]
