"""instantiate_callbacks: what it skips, what it puts in order, and what it refuses before any training."""

import pytest
from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from lightning_tricks import CosineDecay, instantiate_callbacks

COSINE = {"_target_": "lightning_tricks.CosineDecay"}
RESTARTS = {"_target_": "lightning_tricks.CosineWarmRestarts"}


class Plain(Callback):
    """A callback of another library."""


def of(cls: type) -> dict[str, str]:
    return {"_target_": f"{__name__}.{cls.__name__}"}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[Plain.__module__])


def names(cfg: object) -> list[str]:
    return [type(callback).__name__ for callback in instantiate_callbacks(cfg)]


def test_nothing_gives_no_callbacks_and_empty_entries_are_skipped() -> None:
    assert instantiate_callbacks(None) == []
    assert instantiate_callbacks({}) == []
    assert names({"a": COSINE, "b": None}) == ["CosineDecay"]
    assert names([COSINE, None, RESTARTS]) == ["CosineDecay", "CosineWarmRestarts"]
    assert names(OmegaConf.create({"tricks": {"a": RESTARTS, "b": COSINE}}).tricks) == [
        "CosineWarmRestarts",
        "CosineDecay",
    ]


def test_arguments_and_other_peoples_callbacks_are_built() -> None:
    cosine, timer = instantiate_callbacks(
        {"a": {**COSINE, "end_factor": 0.25}, "timer": {"_target_": "lightning.pytorch.callbacks.Timer"}}
    )
    assert isinstance(cosine, CosineDecay)
    assert cosine.end_factor == 0.25
    assert type(timer).__name__ == "Timer"


def test_a_finder_comes_first_and_the_rest_stays_as_written() -> None:
    finder = {"_target_": "lightning_tricks.LRFinder"}
    cfg = {"a": COSINE, "plain": of(Plain), "b": RESTARTS, "finder": finder, "c": {**COSINE, "name": "late"}}
    assert names(cfg) == ["LRFinder", "CosineDecay", "Plain", "CosineWarmRestarts", "CosineDecay"]


def test_a_bare_string_says_that_the_options_were_not_found_and_what_to_do() -> None:
    cfg = OmegaConf.create({"tricks": ["lr_finder"]})
    with pytest.raises(ValueError, match=r"`tricks` contains the bare string 'lr_finder'.*--info searchpath") as error:
        instantiate_callbacks(cfg.tricks)
    assert "hydra.searchpath=[pkg://lightning_tricks.conf]" in str(error.value)


def test_all_missing_values_are_named_at_once_with_their_override() -> None:
    cfg = OmegaConf.create({"tricks": {"a": {**COSINE, "end_factor": "???"}, "b": {**RESTARTS, "t_0": "???"}}})
    with pytest.raises(ValueError, match=r"2 value\(s\) .* tricks.a.end_factor=\.\.\. tricks.b.t_0=\.\.\."):
        instantiate_callbacks(cfg.tricks)


def test_settings_of_an_option_that_is_not_selected_are_passed_over_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"`tricks.lr_finder` has no `_target_` and is skipped"):
        assert names({"lr_finder": {"num_steps": 77}, "a": COSINE}) == ["CosineDecay"]
    with pytest.raises(ValueError, match=r"`tricks.lr_finder` has no `_target_`.*Select the option with that name"):
        instantiate_callbacks({"lr_finder": {"num_steps": 77}})


def test_all_tricks_that_cannot_be_distinguished_are_named_at_once() -> None:
    with pytest.raises(MisconfigurationException) as error:
        instantiate_callbacks({"a": COSINE, "b": RESTARTS, "c": COSINE, "d": {**RESTARTS, "t_0": 3}})
    assert str(error.value) == (
        "Two `CosineDecay` cannot be distinguished in a checkpoint (CosineDecay). Give one another `name`. "
        "Two `CosineWarmRestarts` cannot be distinguished in a checkpoint (CosineWarmRestarts). "
        "Give one another `name`."
    )


def test_a_refused_argument_names_its_key() -> None:
    with pytest.raises(InstantiationException, match=r"(?s)`end_factor` must lie in \[0, 1\], got 7.*tricks.a"):
        instantiate_callbacks(OmegaConf.create({"tricks": {"a": {**COSINE, "end_factor": 7}}}).tricks)


def test_what_is_no_callback_or_no_mapping_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match=r"`tricks.a` is not a callback \(got `Fraction`\)"):
        instantiate_callbacks({"a": {"_target_": "fractions.Fraction"}})
    with pytest.raises(TypeError, match="`cfg` must be a mapping of tricks, got 3"):
        instantiate_callbacks(3)
