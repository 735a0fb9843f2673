"""Combinations: two tricks for one purpose are warned about with both names; factors that belong together are not."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import BatchSizeFinder, EarlyStopping, LearningRateFinder, ModelCheckpoint
from recorders import EndAtFirstBatch, FirstBatchError
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


def warned_before_the_first_batch(*callbacks: Callback, **arguments: Any) -> list[str]:
    """What the library warned about until the first batch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(FirstBatchError):
            fit(*callbacks, EndAtFirstBatch(), **arguments)
    return [str(w.message) for w in caught if w.filename.endswith("combinations.py")]


@pytest.mark.parametrize(
    ("callbacks", "arguments", "message"),
    [
        (  # the demo, as it was
            [lt.CosineWarmRestarts(10, peak_decay=0.6, warmup="4st"), lt.ReduceLROnPlateau(patience=1)],
            {"max_epochs": 30},
            "after 1 check (1 epoch) without a better score, but a cycle of `CosineWarmRestarts` lasts 10 epochs (10 c",
        ),
        (
            [lt.CosineWarmRestarts("12st"), lt.ReduceLROnPlateau(patience=3)],
            {"max_epochs": 30, "val_check_interval": 0.5},
            "after 3 checks (1.5 epochs) without a better score, but a cycle of `CosineWarmRestarts` lasts 2 epochs (4",
        ),
        (
            [lt.CosineWarmRestarts("20st"), lt.EarlyStopping(patience=1, restore_best=False)],
            {"max_steps": 100, "val_check_interval": 4, "check_val_every_n_epoch": None},
            "after 1 check (4 steps) without a better score, but a cycle of `CosineWarmRestarts` lasts 3.333 epochs (5",
        ),
        (
            [lt.CosineWarmRestarts(10), EarlyStopping("val_loss", patience=4)],
            {"max_epochs": 20, "check_val_every_n_epoch": 2},
            "Lightning's `EarlyStopping(monitor='val_loss', patience=4)` stops the run after 4 checks (8 epochs)",
        ),
        (
            [lt.CosineWarmRestarts(10), lt.EarlyStopping("train_loss", patience=4)],
            {"max_epochs": 20, "val_check_interval": 0.5},
            "`EarlyStopping(monitor='train_loss', patience=4)` stops the run after 4 checks (4 epochs)",
        ),
        (
            [lt.GradualUnfreezing(every="5ep"), lt.ReduceLROnPlateau(patience=2)],
            {"max_epochs": 20},
            "a stage of `GradualUnfreezing` lasts 5 epochs",
        ),
        (
            [lt.GradualUnfreezing(every="1ep", rewarmup="6ep"), lt.EarlyStopping(patience=4)],
            {"max_epochs": 20},
            "a stage of `GradualUnfreezing` lasts 6 epochs",
        ),
        (
            [lt.LRSchedule(lt.product(lt.cosine_decay(10), lt.linear_warmup(1)))],
            {"max_epochs": 20},
            "`LRSchedule` reduces the learning rate to less than 0.0001 of its peak after about 9.9 epochs",
        ),
        ([lt.OneCycle("10ep"), lt.EarlyStopping(patience=99)], {"max_epochs": 20}, "`OneCycle` reduces the learning r"),
        (
            [lt.CosineDecay(warmup=9), lt.EarlyStopping(patience=3, start_after="3ep")],
            {"max_epochs": 10},
            "can stop the run after 6 epochs (3 checks (3 epochs) without a better score), but the warm-up of `CosineD",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_lengths_that_work_against_each_other_are_warned_about_before_the_first_batch(
    callbacks: list[Callback], arguments: dict[str, Any], message: str
) -> None:
    found = warned_before_the_first_batch(*callbacks, **arguments)
    assert len([text for text in found if message in text]) == 1, found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("callbacks", "arguments"),
    [
        ([lt.CosineWarmRestarts(10), lt.ReduceLROnPlateau(patience=20), lt.EarlyStopping(patience=60)], {}),
        ([lt.CosineWarmRestarts(10), lt.ReduceLROnPlateau(patience=1)], {"fast_dev_run": True}),
        ([lt.LRSchedule(lambda t: 0.5**t), lt.EarlyStopping(patience=3)], {}),
        ([lt.CosineDecay(warmup="0.05dur"), lt.EarlyStopping(patience=1000)], {}),
        ([lt.WarmupStableDecay(warmup="0.05dur"), lt.GradientClipping()], {}),
        ([lt.CosineWarmRestarts(14), lt.EarlyStopping(patience=99)], {}),
    ],
)
def test_lengths_that_suit_each_other_are_silent(callbacks: list[Callback], arguments: dict[str, Any]) -> None:
    assert warned_before_the_first_batch(*callbacks, **{"max_epochs": 30, **arguments}) == []


def test_a_callback_of_another_origin_that_is_called_early_stopping_is_left_alone() -> None:
    other = type("EarlyStopping", (Callback,), {})()
    assert warned_before_the_first_batch(lt.ReduceLROnPlateau(), other, max_epochs=30) == []


def test_a_finder_that_a_resumed_run_never_calls_is_warned_about(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, save_last=True)
    fit(saver, max_epochs=2)
    resumed = {"ckpt_path": tmp_path / "last.ckpt", "max_epochs": 4}
    (found,) = warned_before_the_first_batch(lt.LRFinder(num_steps=20), **resumed)
    assert "`LRFinder` searches at the start of epoch 0, but this run continues in epoch 2" in found
    assert warned_before_the_first_batch(lt.LRFinder(num_steps=20, at_epochs=(0, 3)), **resumed) == []


def test_the_best_weights_of_restarts_are_those_of_the_end_of_a_cycle() -> None:
    class Cyclic(Net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", self.trace[-1][1][-1] if self.trace else 1.0)  # as bad as the last rate was high

    stopping = lt.EarlyStopping(patience=99)
    fit(lt.CosineWarmRestarts(3), stopping, net=Cyclic(), max_epochs=8)
    assert stopping.best_position[0] in (2, 5)
