"""Override hints: an error of Hydra's own command line names the closest option or setting, whatever it concerns."""

import re
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

import lightning_tricks
from hydra import compose, initialize_config_dir
from lightning_tricks.hydra.override_hints import add_hints, missing_plugin, with_hints

CONF = Path(lightning_tricks.__file__).parent / "conf"


@pytest.fixture
def message_of(tmp_path: Path) -> Any:
    """What an application with a `tricks` group of its own is answered."""
    (tmp_path / "tricks").mkdir()
    (tmp_path / "tricks" / "house.yaml").write_text("house: {_target_: house.Callback}\n")
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")

    def message(*overrides: str) -> str:
        with initialize_config_dir(str(tmp_path), version_base="1.3"), pytest.raises(HydraException) as error:
            compose("app", overrides=list(overrides))
        return str(error.value)

    return message


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["+tricks=[cosine_dekay]"], "Unknown: cosine_dekay. Did you mean cosine_decay?"),
        (["+tricks=early-stopping"], "Unknown: early-stopping. Did you mean early_stopping?"),
        (["+tricks=[house,GradientCliping]"], "Unknown: GradientCliping. Did you mean gradient_clipping"),
        (["+recipes=stabel"], "Unknown: stabel. Did you mean stable?"),
        (["+tricks=[z_clip]", "tricks.z_clip.windw=3"], "Unknown: tricks.z_clip.windw."),
        (["+tricks=[early_stopping]", "tricks.early_stopping.patiance=3"], "Did you mean patience?"),
        (["+tricks@cb=[early_stopping]", "cb.early_stopping.patiance=3"], "Did you mean patience?"),
        (["+recipes@cb=stable", "cb.cosine_decay.warmpu=3"], "Did you mean warmup"),
        (["tricks.cosine_decay.end_factor=0.1"], "`cosine_decay` is not selected: add tricks=[cosine_decay]"),
    ],
)
def test_an_error_ends_with_the_closest_name(overrides: list[str], hint: str, message_of: Any) -> None:
    message = message_of(*overrides)
    assert "Could not" in message.splitlines()[0], "the error is Hydra's own"
    assert message.count("lightning-tricks: ") == 1
    assert hint in message


@pytest.mark.parametrize(
    "overrides", [["lrr=1"], ["+tricks=[house]", "tricks.house.what=3"], ["+tricks=[house]", "lrr=1"], ["lr=[1"]]
)
def test_an_error_that_concerns_no_trick_stays_as_it_is(overrides: list[str], message_of: Any) -> None:
    assert "lightning-tricks: " not in message_of(*overrides)


@pytest.mark.parametrize("option", ["joblib", "submitit_local", "slurm", "ray"])
def test_a_launcher_without_its_plugin_names_what_to_install(option: str) -> None:
    option_file = (CONF / "lt_launcher" / f"{option}.yaml").read_text()
    (launcher,) = re.findall(r"override /hydra/launcher: (\w+)", option_file)
    hint = missing_plugin(f"In 'hydra/config': Could not find 'hydra/launcher/{launcher}'")
    needed = re.search(r"pip install ([^`.]+)", hint)
    assert needed is not None
    assert f"Needs `pip install {needed[1]}`" in option_file


def test_a_sweeper_without_its_plugin_names_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"), pytest.raises(HydraException) as error:
        compose("app", overrides=["+lt_sweep=optuna"], return_hydra_config=True)
    assert "sweeper=optuna needs a plugin: pip install 'lightning-tricks[optuna-sweep]'" in str(error.value)


def test_hints_are_added_once_however_often_hydra_starts() -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    add_hints()
    wrapped = ConfigLoaderImpl.load_configuration
    add_hints()
    assert ConfigLoaderImpl.load_configuration is wrapped


def test_an_error_keeps_its_class_its_cause_and_its_other_arguments() -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise HydraException("Could not load 'tricks/cosine_dekay'.", 7) from KeyError("cause")

    with pytest.raises(HydraException) as error:
        with_hints(refuse)(None, "app", overrides=["+tricks=[cosine_dekay]"])
    assert error.value.args[1] == 7
    assert isinstance(error.value.__cause__, KeyError)
    assert "Did you mean cosine_decay?" in error.value.args[0]
