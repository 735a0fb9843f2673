"""The packaged recipes compose, build, and can be overridden like any option."""

import math
import warnings
from pathlib import Path

import pytest
from hydra.utils import instantiate
from recorders import EndAtFirstBatch, FirstBatchError
from scripted import Scripted, fit_scripted

import lightning_tricks
from hydra import compose, initialize_config_dir
from lightning_tricks import EarlyStopping, ReduceLROnPlateau, RunReport, instantiate_callbacks

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
RECIPES = sorted((Path(lightning_tricks.__file__).parent / "conf" / "recipes").glob("*.yaml"))


def compose_in(folder: Path, *overrides: str):
    (folder / "app.yaml").write_text("lr: 0.1\n")
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("app", overrides=list(overrides))


@pytest.mark.parametrize("recipe", [path.stem for path in RECIPES])
def test_each_recipe_composes_and_builds(recipe: str, tmp_path: Path) -> None:
    assert instantiate_callbacks(compose_in(tmp_path, f"+recipes={recipe}").tricks)


@pytest.mark.parametrize("recipe", [path.stem for path in RECIPES])
def test_each_recipe_trains_in_an_experiment_of_the_demo(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    few = ["trainer.max_epochs=4", "+trainer.limit_train_batches=6", "+trainer.limit_val_batches=1"]
    quiet = ["+trainer.logger=false", "+trainer.enable_progress_bar=false", f"+trainer.default_root_dir={tmp_path}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", overrides=[f"experiment={recipe}", *few, *quiet])
    callbacks = instantiate_callbacks(cfg.tricks)
    trainer = instantiate(cfg.trainer, callbacks=callbacks)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(also writes it|stops before|never checked).*")
        trainer.fit(instantiate(cfg.model), instantiate(cfg.data))
    assert trainer.current_epoch == 4
    assert math.isfinite(trainer.callback_metrics["val_loss"])
    assert (tmp_path / "report.html").is_file()


def test_no_improvement_halves_ten_times_and_stops_without_the_other_rule_in_its_way(tmp_path: Path, recwarn) -> None:
    cfg = compose_in(
        tmp_path,
        "+recipes=no_improvement",
        "tricks.reduce_lr_on_plateau.monitor=score",
        "tricks.early_stopping.monitor=score",
    )
    plateau, stopping, _ = instantiate_callbacks(cfg.tricks)
    assert isinstance(plateau, ReduceLROnPlateau)
    assert isinstance(stopping, EarlyStopping)
    fit_scripted(Scripted([1.0]), plateau, stopping)
    assert plateau.num_reductions == 10
    assert stopping.stopping_reason_message is None
    assert not [w for w in recwarn if "stops before" in str(w.message)]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_experiment_combines_tricks_that_work_against_each_other(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    quiet = ["+trainer.logger=false", "++trainer.enable_progress_bar=false", f"+trainer.default_root_dir={tmp_path}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", overrides=[f"experiment={experiment}", *quiet])
    tricks = config.get("tricks") or {}
    if "lr_finder" in tricks:
        tricks.lr_finder.num_steps = 10
    callbacks = [cb for cb in instantiate_callbacks(tricks) if not isinstance(cb, RunReport)]
    trainer = instantiate(config.trainer, callbacks=[*callbacks, EndAtFirstBatch()])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(FirstBatchError):
            trainer.fit(instantiate(config.model), instantiate(config.data))
    assert [str(w.message) for w in caught if w.filename.endswith("combinations.py")] == []
