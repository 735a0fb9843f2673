"""Options that a Hydra job selects and that reach no Trainer are named with both cures; nobody else hears a word."""

import copy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig, OmegaConf
from tiny import Net, trainer

import hydra
from lightning_tricks.hydra import instantiate_callbacks

CONFIG = {
    "train.yaml": "defaults: [callbacks: default, _self_]\nlr: 0.1\n",
    "callbacks/default.yaml": "defaults: [early_stopping, _self_]\nearly_stopping: {monitor: val/acc, mode: max}\n",
    "callbacks/early_stopping.yaml": (
        "early_stopping:\n  _target_: lightning.pytorch.callbacks.EarlyStopping\n  monitor: ???\n  min_delta: 0.0\n"
    ),
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run an application of the template's kind in this process, and return the warnings of its training."""
    for name, text in CONFIG.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)

    def run(application: Callable[[DictConfig], Any], *words: str) -> list[str]:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["app.py", *words])
        decorated = hydra.main(version_base="1.3", config_path=str(tmp_path / "conf"), config_name="train")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            decorated(application)()
        own = [str(w.message) for w in caught if w.category is UserWarning]  # none of the interpreter's own
        return [message for message in own if "select" in message]

    return run


def train(*callbacks: Any) -> None:
    runner = trainer(*callbacks, max_epochs=1)
    runner.fit(Net())
    runner.fit(Net())
    assert not [cb for cb in runner.callbacks if type(cb).__name__ == "SelectionCheck"]


def deaf(cfg: DictConfig) -> None:
    """It builds no callbacks."""
    train()


def with_a_broken_node(cfg: DictConfig) -> None:
    """Its `tricks` cannot be resolved, which is its own business."""
    OmegaConf.set_struct(cfg, False)
    cfg.tricks = "${nowhere}"
    train()


def with_own(cfg: DictConfig) -> None:
    """It builds callbacks of its own."""
    train(EarlyStopping("train_loss"))


def with_tricks(cfg: DictConfig) -> None:
    """It does what the README says."""
    train(*instantiate_callbacks(cfg.get("tricks")))


def with_others_beside(cfg: DictConfig) -> None:
    """It builds one of them by itself."""
    train(*instantiate_callbacks({"one": instantiate_node(cfg)}))


def instantiate_node(cfg: DictConfig) -> Any:
    return next(iter(cfg.tricks.values()))


def as_template(cfg: DictConfig) -> None:
    """It builds whatever is in its `callbacks`."""
    train(*[instantiate(node) for node in cfg.callbacks.values() if "cosine" in node["_target_"].lower()])


def builds_no_trainer(cfg: DictConfig) -> None:
    """It looks at its configuration, and that is all."""
    assert cfg.tricks.cosine_decay


@pytest.mark.parametrize("application", [deaf, with_own])
@pytest.mark.parametrize("selection", ["+tricks=[cosine_decay,early_stopping]", "+recipes=baseline"])
def test_a_selection_that_reaches_no_trainer_is_named_once_with_both_cures(
    application: Callable[..., None], selection: str, job: Callable[..., list[str]]
) -> None:
    messages = job(application, selection)
    assert len(messages) == 1, messages
    message = messages[0]
    chosen = "early_stopping,run_report" if "recipes" in selection else "cosine_decay,early_stopping"
    assert f"selects `tricks=[{chosen}]`, but the Trainer has none of these callbacks" in message
    assert f"`+tricks@callbacks=[{chosen}]`" in message
    assert "`callbacks=instantiate_callbacks(cfg.tricks)`, from `lightning_tricks.hydra`" in message


def test_a_group_that_is_misspelt_is_named(job: Callable[..., list[str]]) -> None:
    (message,) = job(deaf, "+trick=[cosine_decay]", "+recipe=of_my_own")
    assert message == "`+trick=[cosine_decay]` selects no trick, only sets a value: the group is called `tricks`."


def test_tricks_put_where_nothing_is_built_are_named_too(job: Callable[..., list[str]]) -> None:
    (message,) = job(deaf, "+tricks@trainer.callbacks=[cosine_decay]")
    assert "selects `trainer.callbacks=[cosine_decay]`" in message


@pytest.mark.parametrize(
    ("application", "words"),
    [
        (with_tricks, ["+tricks=[cosine_decay,gradient_clipping]"]),
        (with_tricks, ["+recipes=stable"]),
        (with_tricks, []),
        (with_tricks, ["+tricks=[model_checkpoint]"]),
        (with_others_beside, ["+tricks=[cosine_decay,gradient_clipping]"]),
        (as_template, ["+tricks@callbacks=[cosine_decay]"]),
        (deaf, []),
        (deaf, ["+tricks.cosine_decay=null"]),
        (with_a_broken_node, []),
        (deaf, ["+tricks.own={_target_: mine.Callback}"]),
        (deaf, ["+tricks=[model_checkpoint,rich_progress_bar]"]),
        (builds_no_trainer, ["+tricks=[cosine_decay]"]),
        (builds_no_trainer, ["+tricks=[cosine_decay]", "--cfg", "job"]),
    ],
)
def test_nobody_else_hears_a_word(
    application: Callable[..., None], words: list[str], job: Callable[..., list[str]]
) -> None:
    assert job(application, *words) == []


def test_where_the_callbacks_arrive_nothing_is_added_to_the_trainer(job: Callable[..., list[str]]) -> None:
    seen = []

    def look(cfg: DictConfig) -> None:
        for callbacks in (instantiate_callbacks(cfg.tricks), []):
            seen.append([type(callback).__name__ for callback in trainer(*callbacks).callbacks])

    job(look, "+tricks=[cosine_decay]")
    assert seen == [["CosineDecay"], ["SelectionCheck"]]


def test_outside_of_jobs_there_is_nothing_to_check() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trainer().callbacks == []


def test_what_a_selection_overwrites_of_the_applications_own_is_said_with_the_way_to_keep_it(
    job: Callable[..., list[str]],
) -> None:
    def build(cfg: DictConfig) -> None:
        own = copy.deepcopy(cfg.callbacks)
        own.early_stopping.monitor = "val_loss"  # what this net logs
        train(*instantiate_callbacks(own))

    (message,) = job(build, "+tricks@callbacks=[early_stopping,cosine_decay]", "callbacks.cosine_decay.end_factor=0.1")
    assert "merged over the application's own `callbacks.early_stopping`" in message
    assert "(lightning.pytorch.callbacks.EarlyStopping)" in message
    assert "`monitor` is 'val_loss' and was 'val/acc', `mode` is 'min' and was 'max'." in message
    keep = "callbacks.early_stopping.monitor=val/acc callbacks.early_stopping.mode=max"
    assert message.endswith(f"To keep the application's: {keep}")
    assert job(build, "+tricks@callbacks=[early_stopping]", *keep.split()) == []
