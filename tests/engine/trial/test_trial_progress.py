"""The bar of a trial: shown in the manner of the run's own bar, and gone afterwards."""

from typing import Any

import pytest
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from tiny import Net, trainer

from lightning_tricks import LRFinder


@pytest.mark.parametrize("bar", [TQDMProgressBar, RichProgressBar])
def test_the_bar_tells_the_steps_and_goes_away(bar: Any, capfd: pytest.CaptureFixture[str]) -> None:
    finder = LRFinder(num_steps=40, refine=10)
    trainer(finder, bar(), enable_progress_bar=True, max_epochs=1).fit(Net())
    printed = "".join(capfd.readouterr())
    assert finder.result is not None
    assert "Epoch 0" in printed
    if bar is TQDMProgressBar:
        assert "LR finder" in printed


def test_without_a_bar_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    trainer(LRFinder(num_steps=40), max_epochs=1).fit(Net())
    assert "LR finder:" not in "".join(capfd.readouterr())
