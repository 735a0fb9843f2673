"""Progress line: keep messages off the line on which a progress bar is drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from tqdm import tqdm


@contextmanager
def above_progress_bar() -> Iterator[None]:
    """Clear the tqdm bars that are shown, and draw them again below what is printed meanwhile.

    Rich, the other bar that Lightning offers, does this by itself.
    """
    with tqdm.external_write_mode():
        yield


def end_progress_line(trainer: Trainer) -> None:
    """Close the bar of a fit that is about to end by an exception, so that the message starts on a line of its own."""
    bar: Any = trainer.progress_bar_callback
    if hasattr(bar, "init_train_tqdm") and getattr(bar, "is_enabled", False):
        bar.train_progress_bar.close()


def log_above_progress_bar(text: str, *, is_warning: bool) -> None:
    """Log a text as a warning, or as information if warnings are turned into exceptions."""
    with above_progress_bar():
        if not is_warning:
            rank_zero_info(text)
            return
        try:
            rank_zero_warn(text)
        except Warning:
            rank_zero_info(text)
