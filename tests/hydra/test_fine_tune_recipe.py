"""The recipe fine_tune: head first, then the upper half, then all, with rates by layer under one cosine."""

from pathlib import Path

import pytest
from tiny import BATCHES, fit
from unfreezing import Deep

from hydra import compose, initialize_config_dir
from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing, RunReport, instantiate_callbacks


def test_the_recipe_fine_tunes_as_the_guides_say(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")
    # groups are lists, as a person types them
    tricks = ("discriminative_lr", "gradual_unfreezing")
    groups = [f"tricks.{trick}.groups=[[body.0.*],body.1.*,head.*]" for trick in tricks]
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        cfg = compose("app", overrides=["+recipes=fine_tune", *groups])
    callbacks = instantiate_callbacks(cfg.tricks)
    assert [type(callback) for callback in callbacks] == [
        DiscriminativeLR,
        GradualUnfreezing,
        CosineDecay,
        RunReport,
    ]
    net = fit(*callbacks, net=Deep(), max_epochs=5, default_root_dir=str(tmp_path))
    assert callbacks[1].thawed == [0, 1, 2]  # type: ignore[attr-defined]
    _, lrs = net.trace[BATCHES]
    assert [lr / lrs[-1] for lr in lrs] == pytest.approx([2.6**-2, 2.6**-1, 1])


def test_multipliers_may_be_a_mapping_and_times_a_list_with_null(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")
    overrides = [
        "+tricks=[discriminative_lr,gradual_unfreezing]",
        "tricks.discriminative_lr.multipliers={body.*: 0.1, head.*: 1}",
        "tricks.gradual_unfreezing.groups=[body.*,head.*]",
        "tricks.gradual_unfreezing.schedule=[0,null]",
    ]
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        callbacks = instantiate_callbacks(compose("app", overrides=overrides).tricks)
    net = fit(*callbacks, net=Deep())
    assert net.trace[0][1] == pytest.approx([0.01, 0.1])
    assert callbacks[1].thawed == [1]  # type: ignore[attr-defined]
