"""The bar of a trial: shown in the manner of the run's own bar, and gone afterwards."""

from typing import Any

import pytest
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from rich.progress import Progress
from tiny import Net, trainer

from lightning_tricks import LRFinder


def test_the_bar_of_tqdm_counts_the_steps_and_goes_away(capfd: pytest.CaptureFixture[str]) -> None:
    class KeepBars(TQDMProgressBar):
        def init_train_tqdm(self) -> Any:
            bars.append(super().init_train_tqdm())
            return bars[-1]

    bars: list[Any] = []
    finder = LRFinder(num_steps=40, refine=10)
    trainer(finder, KeepBars(), enable_progress_bar=True, max_epochs=1).fit(Net())
    printed = "".join(capfd.readouterr())
    assert finder.result is not None
    of_sweep = next(bar for bar in bars if bar.desc.startswith("LR finder"))
    assert not of_sweep.leave, "closing clears its line"
    assert len(finder.result.lrs) <= of_sweep.n <= of_sweep.total
    assert "LR finder" in printed
    last_shown = printed[printed.rindex("LR finder") :]
    assert "Epoch 0" in last_shown
    of_trials = [bar for bar in bars if not bar.desc.startswith("Epoch")]
    assert all(bar.disable for bar in of_trials), "a closed bar is disabled"


def test_the_bar_of_rich_counts_the_steps_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    added: dict[Any, str] = {}
    done: dict[Any, Any] = {}
    removed: list[Any] = []
    add, update, remove = Progress.add_task, Progress.update, Progress.remove_task

    def add_task(self: Progress, description: str, *arguments: Any, **fields: Any) -> Any:
        task = add(self, description, *arguments, **fields)
        added[task] = description
        return task

    def update_task(self: Progress, task: Any, **fields: Any) -> None:
        done[task] = fields.get("completed", done.get(task))
        update(self, task, **fields)

    def remove_task(self: Progress, task: Any) -> None:
        removed.append(task)
        remove(self, task)

    monkeypatch.setattr(Progress, "add_task", add_task)
    monkeypatch.setattr(Progress, "update", update_task)
    monkeypatch.setattr(Progress, "remove_task", remove_task)
    finder = LRFinder(num_steps=40, refine=10)
    trainer(finder, RichProgressBar(), enable_progress_bar=True, max_epochs=1).fit(Net())
    assert finder.result is not None
    of_trials = [task for task, description in added.items() if "LR finder" in description]
    assert of_trials
    assert done[of_trials[0]] >= len(finder.result.lrs)
    assert set(of_trials) <= set(removed)


def test_without_a_bar_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    trainer(LRFinder(num_steps=40), max_epochs=1).fit(Net())
    assert "LR finder" not in "".join(capfd.readouterr())
