"""The packaged options in a stranger's Hydra application: found, composed, swept, refused."""

import os
import sys
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from subprocesses import import_paths, run_forked

from hydra import compose, initialize_config_dir, initialize_config_module
from lightning_tricks import CosineDecay, CosineWarmRestarts, instantiate_callbacks

APP = """
import hydra
from omegaconf import OmegaConf
@hydra.main(version_base="1.3", config_path="conf", config_name="app")
def main(cfg):
    print(OmegaConf.to_yaml(cfg))
main()
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """An application that knows nothing of the package, with callbacks of its own."""
    (tmp_path / "conf" / "callbacks").mkdir(parents=True)
    (tmp_path / "conf" / "app.yaml").write_text("defaults:\n  - callbacks: default\n  - _self_\nlr: 0.1\n")
    (tmp_path / "conf" / "callbacks" / "default.yaml").write_text(
        "timer:\n  _target_: lightning.pytorch.callbacks.Timer\n"
    )
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def compose_in(folder: Path, *overrides: str):
    with initialize_config_dir(str(folder / "conf"), version_base="1.3"):
        return compose("app", overrides=list(overrides))


def test_tricks_land_under_their_own_keys_in_an_application_that_never_heard_of_them(stranger: Path) -> None:
    cfg = compose_in(stranger, "+tricks=[cosine_decay,cosine_warm_restarts]", "tricks.cosine_warm_restarts.t_0=5")
    assert list(cfg.tricks) == ["cosine_decay", "cosine_warm_restarts"]
    first, second = instantiate_callbacks(cfg.tricks)
    assert isinstance(first, CosineDecay)
    assert isinstance(second, CosineWarmRestarts)
    assert second.t_0 == 5


def test_tricks_land_inside_a_template_users_own_callbacks(stranger: Path) -> None:
    cfg = compose_in(stranger, "+tricks@callbacks=[cosine_decay]")
    assert list(cfg.callbacks) == ["timer", "cosine_decay"]
    assert [type(cb).__name__ for cb in instantiate_callbacks(cfg.callbacks)] == ["Timer", "CosineDecay"]


def test_a_mistyped_field_and_an_unknown_trick_are_refused_while_composing(stranger: Path) -> None:
    with pytest.raises(Exception, match=r"Could not override 'tricks\.cosine_warm_restarts\.t_zero'"):
        compose_in(stranger, "+tricks=[cosine_warm_restarts]", "tricks.cosine_warm_restarts.t_zero=5")
    with pytest.raises(MissingConfigException, match="Could not load 'tricks/cosine_dekay'"):
        compose_in(stranger, "+tricks=[cosine_dekay]")


def test_any_script_may_compose_from_the_package_itself() -> None:
    with initialize_config_module("lightning_tricks.conf", version_base="1.3"):
        cfg = compose(overrides=["+tricks=[lr_schedule]"])
    assert OmegaConf.missing_keys(cfg) == {"tricks.lr_schedule.schedule"}


def test_a_schedule_is_nested_by_its_target(stranger: Path) -> None:
    cfg = compose_in(
        stranger,
        "+tricks=[lr_schedule]",
        "tricks.lr_schedule.schedule={_target_: lightning_tricks.cosine_decay, decay_steps: 4}",
    )
    (callback,) = instantiate_callbacks(cfg.tricks)
    assert callback.schedule(2) == pytest.approx(0.5)  # type: ignore[attr-defined]


def run_app(folder: Path, *overrides: str) -> str:
    run = run_forked([str(folder / "app.py"), *overrides], cwd=folder, environment=import_paths())
    run.check_returncode()
    return run.stdout


def test_the_plugin_is_found_by_a_real_application_and_sets_of_tricks_can_be_swept(stranger: Path) -> None:
    assert "provider=lightning-tricks" not in run_app(stranger)
    assert "lightning-tricks" in run_app(stranger, "--info", "searchpath")
    swept = run_app(stranger, "-m", "+tricks=[],[cosine_decay],[cosine_decay,cosine_warm_restarts]")
    assert swept.count("_target_: lightning_tricks.CosineDecay") == 2
    assert swept.count("_target_: lightning_tricks.CosineWarmRestarts") == 1


def test_the_search_path_can_be_given_by_hand_where_the_plugin_is_hidden(stranger: Path) -> None:
    hidden = stranger / "other" / "hydra_plugins"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(hidden.parent), *filter(None, sys.path)])}

    def run(*overrides: str) -> str:
        words = [str(stranger / "app.py"), "+tricks=[cosine_decay]", *overrides]
        return run_forked(words, cwd=stranger, environment=environment).stdout

    assert "- cosine_decay" in run()  # a bare string, silently: instantiate_callbacks says so
    assert "_target_: lightning_tricks.CosineDecay" in run("hydra.searchpath=[pkg://lightning_tricks.conf]")
