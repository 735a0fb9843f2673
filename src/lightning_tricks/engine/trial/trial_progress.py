"""Trial progress: a progress bar for trial steps, in the style of the run's own bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer


@contextmanager
def progress_of(trainer: Trainer, name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of completed steps; without a bar in the run, it shows nothing."""
    bar: Any = trainer.progress_bar_callback
    if bar is None or not trainer.is_global_zero or getattr(bar, "is_disabled", True):
        yield lambda done: None
    elif hasattr(bar, "init_train_tqdm"):
        shown = bar.init_train_tqdm()
        shown.set_description(name)
        shown.leave = False
        shown.reset(total)

        def show(done: int) -> None:
            shown.update(done - shown.n)

        try:
            yield show
        finally:
            shown.close()
    elif getattr(bar, "progress", None) is not None:
        task = bar.progress.add_task(name, total=total)
        try:
            yield lambda done: bar.progress.update(task, completed=done)
        finally:
            bar.progress.remove_task(task)
    else:
        yield lambda done: None
