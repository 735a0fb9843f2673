"""Every look at the test set is in the ledger, and choosing by its score is warned about."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from tiny import Net, StatefulLoader

from lightning_tricks import TestGuard
from lightning_tricks.reports.look_ledger import read_looks


class WithTestStep(Net):
    """A net with a hyper-parameter and a test."""

    def __init__(self, width: int = 1, seed: int = 0, score: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters("width", "seed")
        self.score = score

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self.score)
        self.log("test/%odd <name>", torch.tensor(2.0))


def look(folder: Path, net: L.LightningModule, guard: TestGuard | None = None, **settings: Any) -> list[str]:
    """Test once, and return what the guard warned of."""
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(**quiet, default_root_dir=str(folder), callbacks=[guard or TestGuard()], **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.test(net, StatefulLoader(), verbose=False)
    return [
        str(warning.message)
        for warning in caught
        if "TestGuard" in str(warning.message) or "test set" in str(warning.message)
    ]


def test_every_look_is_an_entry_and_only_another_configuration_is_a_warning(tmp_path: Path) -> None:
    assert look(tmp_path, WithTestStep(1)) == []
    assert look(tmp_path, WithTestStep(1)) == [], "the same configuration with other weights is silent"
    assert look(tmp_path, WithTestStep(1, seed=7)) == [], "a seed is not a choice"
    (warning,) = look(tmp_path, WithTestStep(2))
    assert "2 different configurations" in warning
    assert "4 looks" in warning
    assert look(tmp_path, WithTestStep(2)) == []
    (warning,) = look(tmp_path, WithTestStep(3))
    assert "3 different configurations" in warning
    looks = read_looks(tmp_path / "test_looks.json")
    assert len(looks) == 6
    assert len({entry.fingerprint for entry in looks}) == 3
    assert looks[0].metrics == {"test_loss": 0.5, "test/%odd <name>": 2.0}
    assert looks[0].settings["hparams.width"] == "1"
    assert looks[0].weights["ckpt_path"] is None


def test_weights_are_told_apart_and_named_by_their_checkpoint(tmp_path: Path) -> None:
    net = WithTestStep()
    look(tmp_path, net)
    look(tmp_path, net)
    with torch.no_grad():
        next(net.parameters()).add_(1)
    look(tmp_path, net)
    digests = [entry.weights["digest"] for entry in read_looks(tmp_path / "test_looks.json")]
    assert digests[0] == digests[1] != digests[2]


def test_more_looks_may_be_allowed(tmp_path: Path) -> None:
    guard = TestGuard("looks/all.json", max_looks=2)
    assert look(tmp_path, WithTestStep(1), guard) == look(tmp_path, WithTestStep(2), guard) == []
    assert len(look(tmp_path, WithTestStep(3), guard)) == 1
    assert len(read_looks(tmp_path / "looks" / "all.json")) == 3


def test_values_that_are_not_finite_and_damaged_ledgers_do_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "test_looks.json").write_text("{not a ledger")
    (warning,) = look(tmp_path, WithTestStep(score=float("nan")))
    assert "test_looks.json.damaged-1" in warning
    assert (tmp_path / "test_looks.json.damaged-1").read_text() == "{not a ledger"
    assert read_looks(tmp_path / "test_looks.json")[0].metrics["test_loss"] is None


def test_a_ledger_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (warning,) = look(tmp_path, WithTestStep(), TestGuard(str(tmp_path / "file" / "looks.json")))
    assert "could not record this use" in warning


def test_a_dry_run_is_not_a_look(tmp_path: Path) -> None:
    assert look(tmp_path, WithTestStep(), fast_dev_run=True) == []
    assert not (tmp_path / "test_looks.json").exists()


@pytest.mark.parametrize("callback", [EarlyStopping("test_loss"), ModelCheckpoint(monitor="test/acc")])
def test_a_monitor_of_the_test_set_is_an_error_when_the_fit_starts(callback: L.Callback, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = L.Trainer(**settings, default_root_dir=str(tmp_path), callbacks=[callback, TestGuard()], max_epochs=1)
    with pytest.raises(MisconfigurationException, match=r"`\w+\(monitor='test.*validation set"):
        trainer.fit(Net())


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="`ledger` must not be empty"):
        TestGuard("")
    with pytest.raises(ValueError, match=r"`max_looks`.*got 0"):
        TestGuard(max_looks=0)
