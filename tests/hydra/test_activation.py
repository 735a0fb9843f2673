"""LIGHTNING_TRICKS: tricks for any script; nothing while unset, none twice, a clear error for what cannot be had."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import lightning
import pytest
import pytorch_lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from tiny import Net, OtherNet, trainer

import lightning_tricks as lt
from lightning_tricks.hydra.activation import tricks_from_environment


def kinds(runner: Any) -> list[str]:
    return [type(callback).__name__ for callback in runner.callbacks]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda value: monkeypatch.setenv("LIGHTNING_TRICKS", value)


def test_unset_or_empty_it_adds_nothing_and_imports_nothing(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTNING_TRICKS", raising=False)
    assert kinds(trainer()) == []
    ask(" ")
    assert tricks_from_environment() == []
    code = (
        "import sys; from lightning_tricks.hydra.activation import tricks_from_environment as made; assert not made(); "
        "print([name for name in ('torch', 'lightning', 'hydra', 'omegaconf') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_both_packages_trainers_find_it(package: str) -> None:
    (found,) = entry_points(group=f"{package}.callbacks_factory", name="lightning_tricks")
    assert found.load() is tricks_from_environment


def test_each_trainer_gets_what_is_named(ask: Any) -> None:
    ask("cosine_decay, early_stopping")
    runner = trainer()
    assert kinds(runner) == ["CosineDecay", "EarlyStopping"]
    net = Net()
    runner.fit(net)
    assert net.trace[0] != net.trace[-1]
    other = trainer(package=pytorch_lightning)
    other.fit(OtherNet())
    assert kinds(other) == ["CosineDecay", "EarlyStopping"]


@pytest.mark.parametrize("package", [lightning, pytorch_lightning], ids=lambda package: package.__name__)
def test_a_recipe_is_the_list_that_python_gets(ask: Any, package: Any) -> None:
    ask("auto")
    runner = trainer(package=package, max_epochs=3)
    assert sorted(kinds(runner)) == sorted(type(callback).__name__ for callback in lt.auto_tricks())
    runner.fit(Net() if package is lightning else OtherNet())
    (finder,) = (callback for callback in runner.callbacks if isinstance(callback, lt.LRFinder))
    (python,) = (callback for callback in lt.auto_tricks() if isinstance(callback, lt.LRFinder))
    assert finder.settings() == python.settings()
    assert finder.result is not None


def test_what_a_recipe_contains_is_not_added_again(ask: Any) -> None:
    ask("auto,gradient_clipping")
    with pytest.raises(MisconfigurationException, match="`gradient_clipping` is named twice"):
        trainer()


def test_a_file_brings_settings(ask: Any, tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    schedule = "{_target_: lightning_tricks.cosine_decay, decay_steps: 4}"
    file.write_text(f"lr_schedule:\n  schedule: {schedule}\nearly_stopping: {{patience: 3}}\n")
    ask(f"@{file},gradient_clipping")
    runner = trainer()
    assert kinds(runner) == ["LRSchedule", "EarlyStopping", "GradientClipping"]
    assert runner.callbacks[0].schedule(2) == pytest.approx(0.5)
    assert runner.callbacks[1].patience == 3
    file.write_text("tricks: [cosine_decay]\n")
    ask(f"@{file}")
    assert kinds(trainer()) == ["CosineDecay"]


def test_what_the_script_gives_wins(ask: Any) -> None:
    ask("cosine_decay,early_stopping")
    mine = lt.CosineDecay(end_factor=0.5, name="mine")
    runner = trainer(mine)
    runner.fit(Net())
    assert kinds(runner) == ["CosineDecay", "EarlyStopping"]
    assert runner.callbacks[0] is mine


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("cosine_dekay", r"LIGHTNING_TRICKS='cosine_dekay'.*no trick named 'cosine_dekay'. Did you mean cosine_decay"),
        ("zzzz", "`lightning-tricks list` lists all"),
        ("cosine_decay,cosine_decay", "`cosine_decay` is named twice"),
        ("lr_schedule", r"no default and must be given: tricks.lr_schedule.schedule"),
        (
            "lr_monitor",
            "LearningRateMonitor, which does not belong to this library: pass it to the Trainer",
        ),
        ("@nowhere.yaml", r"No such file or directory: .*nowhere.yaml"),
        ("@typo.yaml", r"`cosine_decay` has no setting `end_faktor`. Did you mean end_factor"),
        ("@wrong.yaml", r"(?s)`end_factor` must lie in \[0, 1\], got 7"),
        ("@shape.yaml", "shape.yaml must map names of tricks to their settings"),
    ],
)
def test_what_cannot_be_had_is_said_before_any_training(ask: Any, value: str, message: str) -> None:
    Path("typo.yaml").write_text("cosine_decay: {end_faktor: 0.1}\n")
    Path("wrong.yaml").write_text("cosine_decay: {end_factor: 7}\n")
    Path("shape.yaml").write_text("cosine_decay: 7\n")
    ask(value)
    with pytest.raises(MisconfigurationException, match=message):
        trainer()
