"""Live control: stopping, saving and validating by order, and resuming from what was saved."""

from pathlib import Path

import pytest
from control_orders import ValidationRecorder, at_once
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import Net, fit, same, trainer, weights

from lightning_tricks import EarlyStopping, LiveControl
from lightning_tricks.engine.control import control_file


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts at once, not after half a second."""
    monkeypatch.setattr(control_file, "QUIET", 0.0)


@pytest.mark.parametrize(("min_epochs", "steps"), [(None, 4), (2, 12)])
def test_stop_ends_the_run_as_soon_as_the_trainer_may(min_epochs: int | None, steps: int) -> None:
    live = LiveControl(every_n_steps=4)
    net = fit(live, at_once("stop: true"), min_epochs=min_epochs, limit_val_batches=0)
    assert len(net.trace) == steps
    assert live.applied == [{"step": 4, "content": {"stop": True}}]
    assert live.stopping_reason_message == "stop ordered at step 4"


def test_the_closing_line_says_who_stopped_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        fit(LiveControl(every_n_steps=4), at_once("stop: true"), EarlyStopping(patience=50))
    assert "Training stopped by LiveControl: stop ordered at step 4 (epoch" in caplog.text


def test_a_run_that_was_stopped_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    fit(LiveControl(every_n_steps=4), at_once("stop: true\ncheckpoint: true\n"), default_root_dir=tmp_path)
    resumed = fit(LiveControl(every_n_steps=4), ckpt_path=tmp_path / "control-4.ckpt", default_root_dir=tmp_path)
    assert resumed.trace == fit().trace[4:]


@pytest.mark.parametrize("keeper", [True, False])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_checkpoint_that_was_ordered_lies_beside_the_others_and_resumes(
    keeper: bool, accumulate: int, tmp_path: Path
) -> None:
    keepers = [ModelCheckpoint(tmp_path / "kept")] if keeper else []
    arguments = {"val_check_interval": 3, "accumulate_grad_batches": accumulate}
    callbacks = [LiveControl(every_n_steps=4), EarlyStopping(patience=50)]
    whole = fit(
        *callbacks, *keepers, at_once("lr: x0.5\ncheckpoint: true\nstop: false"), **arguments, default_root_dir=tmp_path
    )
    saved = (tmp_path / "kept" if keeper else tmp_path) / ("control-3.ckpt" if accumulate == 1 else "control-2.ckpt")
    again = [LiveControl(every_n_steps=4), EarlyStopping(patience=50)]
    resumed = fit(*again, ckpt_path=saved, **arguments, default_root_dir=tmp_path)
    assert resumed.trace == whole.trace[len(whole.trace) - len(resumed.trace) :]
    assert same(weights(resumed), weights(whole))
    assert same([c.state_dict() for c in again], [c.state_dict() for c in callbacks])
    assert len(list(tmp_path.rglob("control-*.ckpt"))) == 1, "the resumed run does not obey the last order again"


def test_a_checkpoint_ordered_with_a_validation_is_saved_after_it(tmp_path: Path) -> None:
    stop = EarlyStopping(patience=50)
    whole = fit(
        LiveControl(every_n_steps=4),
        at_once("checkpoint: true\nvalidate: true\n"),
        stop,
        net=ValidationRecorder(),
        default_root_dir=tmp_path,
    )
    assert whole.validated == [4, 6, 12, 18]
    again, resumed = EarlyStopping(patience=50), ValidationRecorder()
    fit(LiveControl(every_n_steps=4), again, net=resumed, ckpt_path=tmp_path / "control-4.ckpt")
    assert resumed.validated == [6, 12, 18]
    assert same(weights(resumed), weights(whole))
    assert same(again.state_dict(), stop.state_dict())


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where the folder would be")
    runner = trainer(
        LiveControl(tmp_path / "control.yaml", every_n_steps=4),
        at_once("checkpoint: true"),
        default_root_dir=tmp_path / "taken",
    )
    with pytest.warns(UserWarning, match="no checkpoint was saved, training continues: .*taken"):
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
    arguments = {"accumulate_grad_batches": accumulate, "max_epochs": 2}
    net = fit(
        LiveControl(every_n_steps=2), at_once("validate: true"), net=ValidationRecorder(manual=manual), **arguments
    )
    assert net.validated == validated
    assert same(weights(net), weights(fit(net=Net(manual=manual), **arguments)))


def test_the_validations_that_are_due_come_when_they_would_have_come() -> None:
    assert fit(
        LiveControl(every_n_steps=4), at_once("validate: true"), net=ValidationRecorder(), val_check_interval=3
    ).validated == [3, 6, 9, 12, 15, 18]
    every = {"check_val_every_n_epoch": None, "val_check_interval": 7}
    assert fit(
        LiveControl(every_n_steps=4), at_once("validate: true\nid: 2"), net=ValidationRecorder(), **every
    ).validated == [
        4,
        7,
        14,
    ]
    assert fit(
        LiveControl(every_n_steps=4), at_once("validate: true"), net=ValidationRecorder(), check_val_every_n_epoch=2
    ).validated == [4, 12]


def test_a_run_that_was_validated_by_order_resumes_from_there(tmp_path: Path) -> None:
    keeper = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    whole = fit(LiveControl(every_n_steps=4), at_once("validate: true\nlr: x0.5\n"), keeper, net=ValidationRecorder())
    resumed = fit(LiveControl(every_n_steps=4), net=ValidationRecorder(), ckpt_path=tmp_path / "step=4.ckpt")
    assert resumed.trace == whole.trace[4:]
    assert resumed.validated == whole.validated[1:] == [6, 12, 18]
    assert same(weights(resumed), weights(whole))


def test_an_order_to_validate_without_anything_to_validate_with_is_warned_about() -> None:
    with pytest.warns(UserWarning, match="validation is not possible"):
        assert len(fit(LiveControl(every_n_steps=4), at_once("validate: true"), limit_val_batches=0).trace) == 18
