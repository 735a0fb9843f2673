"""instantiate_callbacks: what it skips, what it puts in order, and what it refuses before any training."""

from typing import ClassVar

import pytest
from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from lightning_tricks import CosineDecay, CosineWarmRestarts, instantiate_callbacks

COSINE = {"_target_": "lightning_tricks.CosineDecay"}
RESTARTS = {"_target_": "lightning_tricks.CosineWarmRestarts"}


class LRFinder(Callback):
    """Named like the one that schedules stand behind."""


class Needy(Callback):
    requires: ClassVar = ("CosineDecay",)


class Hostile(Callback):
    conflicts: ClassVar = ("CosineDecay",)


class Egg(Callback):
    after: ClassVar = ("Hen",)


class Hen(Callback):
    after: ClassVar = ("Egg",)


def of(cls: type) -> dict[str, str]:
    return {"_target_": f"{__name__}.{cls.__name__}"}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[LRFinder.__module__])


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


def test_a_finder_is_moved_before_the_schedules_and_the_rest_stays_as_written() -> None:
    cfg = {"a": COSINE, "needy": of(Needy), "b": RESTARTS, "finder": of(LRFinder)}
    assert names(cfg) == ["Needy", "LRFinder", "CosineDecay", "CosineWarmRestarts"]


def test_a_bare_string_says_that_the_options_were_not_found_and_what_to_do() -> None:
    cfg = OmegaConf.create({"tricks": ["lr_finder"]})
    with pytest.raises(ValueError, match=r"`tricks` holds the bare string 'lr_finder'.*--info searchpath") as error:
        instantiate_callbacks(cfg.tricks)
    assert "hydra.searchpath=[pkg://lightning_tricks.conf]" in str(error.value)


def test_all_missing_values_are_named_at_once_with_their_override() -> None:
    cfg = OmegaConf.create({"tricks": {"a": {**COSINE, "end_factor": "???"}, "b": {**RESTARTS, "t_0": "???"}}})
    with pytest.raises(ValueError, match=r"2 value\(s\) .* tricks.a.end_factor=\.\.\. tricks.b.t_0=\.\.\."):
        instantiate_callbacks(cfg.tricks)


def test_settings_of_an_option_that_is_not_selected_are_passed_over_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"`tricks.lr_finder` has no `_target_` and is passed over"):
        assert names({"lr_finder": {"num_steps": 77}, "a": COSINE}) == ["CosineDecay"]
    with pytest.raises(ValueError, match=r"`tricks.lr_finder` has no `_target_`.*Select the option of that name"):
        instantiate_callbacks({"lr_finder": {"num_steps": 77}})


def test_requirements_and_conflicts_that_tricks_declare_are_checked_together() -> None:
    assert names({"a": COSINE, "b": of(Needy)}) == ["CosineDecay", "Needy"]
    with pytest.raises(MisconfigurationException, match="`Needy` needs `CosineDecay`, which is not selected"):
        instantiate_callbacks({"a": RESTARTS, "b": of(Needy)})
    with pytest.raises(MisconfigurationException, match="`Hostile` and `CosineDecay` cannot work together"):
        instantiate_callbacks({"a": COSINE, "b": of(Hostile)})


def test_an_order_that_cannot_be_had_is_an_error() -> None:
    with pytest.raises(MisconfigurationException, match="No order of these callbacks suits all of them"):
        instantiate_callbacks({"a": of(Egg), "b": of(Hen)})


def test_a_refused_argument_names_its_key() -> None:
    with pytest.raises(InstantiationException, match=r"(?s)`end_factor` must lie in \[0, 1\], got 7.*tricks.a"):
        instantiate_callbacks(OmegaConf.create({"tricks": {"a": {**COSINE, "end_factor": 7}}}).tricks)


def test_what_is_no_callback_or_no_mapping_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match=r"`tricks.a` is not a callback \(got `Fraction`\)"):
        instantiate_callbacks({"a": {"_target_": "fractions.Fraction"}})
    with pytest.raises(TypeError, match="`cfg` must be a mapping of tricks, got 3"):
        instantiate_callbacks(3)


def test_the_first_tricks_are_themselves() -> None:
    assert isinstance(instantiate_callbacks({"a": RESTARTS})[0], CosineWarmRestarts)
