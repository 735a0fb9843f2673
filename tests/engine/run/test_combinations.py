"""Combinations: two tricks for one purpose are warned about with both names; factors that belong together are not."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import BatchSizeFinder, EarlyStopping, LearningRateFinder
from tiny import Net, fit

import lightning_tricks as lt
from lightning_tricks.hydra.compose import compose_tricks
from lightning_tricks.hydra.instantiate import instantiate_callbacks


def warned(callbacks: Sequence[Callback]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*callbacks, max_epochs=1)
    return [str(w.message) for w in caught if " both " in str(w.message) or " all " in str(w.message)]


@pytest.mark.parametrize(
    ("tricks", "message"),
    [
        (
            [lt.CosineDecay(), lt.OneCycle()],
            "`CosineDecay` and `OneCycle` both schedule the learning rate over the whole",
        ),
        (
            [lt.CosineDecay(name="a"), lt.CosineDecay(name="b"), lt.LRSchedule(lt.cosine_decay(3))],
            "`CosineDecay[name=a]`, `CosineDecay[name=b]` and `LRSchedule` all schedule",
        ),
        (
            [lt.GradientClipping(), lt.ZClip()],
            "`GradientClipping` and `ZClip` both bound the norm of the same gradient",
        ),
        ([lt.MixUp(), lt.CutMix()], "`MixUp` and `CutMix` both mix the rows of every batch"),
        ([lt.AutoClip(), lt.AdaptiveGradientClipping()], "`AutoClip` and `AdaptiveGradientClipping` both bound"),
    ],
)
def test_two_for_one_purpose_are_named_once(tricks: list[Callback], message: str) -> None:
    (found,) = warned(tricks)
    assert found.startswith(message)
    assert "Keep one of them." in found


@pytest.mark.parametrize(
    "tricks",
    [
        [lt.CosineDecay(warmup="2st"), lt.ReduceLROnPlateau(), lt.LiveControl(), lt.DiscriminativeLR()],
        [lt.CosineDecay(), lt.LRSchedule(lt.linear_warmup(1))],
        [lt.CosineDecay(), lt.LRSchedule(lambda t: 0.5**t)],
        [lt.LRSchedule(lt.join([lt.cosine_decay(1), lt.exponential_decay(0.5)], [1]))],
        [lt.LRSchedule(lt.product(lt.cosine_decay(1), lt.exponential_decay(0.5)))],
        [lt.GradientClipping(clip_value=0.5), lt.ZClip()],
        [lt.MixUp(p=0.5), lt.CutMix(p=0.5)],
    ],
)
def test_what_belongs_together_is_silent(tricks: list[Callback]) -> None:
    assert warned(tricks) == []


def test_two_finders_and_two_early_stoppings_of_two_libraries_are_named() -> None:
    theirs = [LearningRateFinder(num_training_steps=10), EarlyStopping("val_loss")]
    finders, stoppings = warned([*theirs, lt.LRFinder(num_steps=20), lt.EarlyStopping("val_loss")])
    assert "`LearningRateFinder` and `LRFinder` both search" in finders
    assert "`EarlyStopping(patience=3)` and that of lightning-tricks both stop training by `val_loss`" in stoppings
    assert warned([EarlyStopping("train_loss"), lt.EarlyStopping("val_loss")]) == []


@pytest.mark.parametrize("tuner", [LearningRateFinder(num_training_steps=10), BatchSizeFinder(max_trials=2)])
def test_a_trial_of_lightnings_tuner_is_no_part_of_the_run(tuner: Callback, tmp_path: Path) -> None:
    class Sized(Net):
        batch_size = 4

    watchers = [lt.EarlyStopping("val_loss"), lt.ReduceLROnPlateau("train_loss"), lt.RunReport(str(tmp_path))]
    fit(tuner, *watchers, net=Sized(), max_epochs=2, default_root_dir=tmp_path)
    assert [check.step for check in watchers[1].history] == [6, 12]
    assert watchers[2].report.epochs == 2
    assert set(watchers[2].report.metrics["val_loss"].steps) == {6, 12}


def test_a_recipe_on_top_of_a_schedule_is_named_too() -> None:
    (found,) = warned(instantiate_callbacks(compose_tricks(["+recipes=stable", "tricks=[one_cycle]"])))
    assert found.startswith(("`CosineDecay` and `OneCycle` both", "`OneCycle` and `CosineDecay` both"))
