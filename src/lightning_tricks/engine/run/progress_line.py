"""Progress line: print messages on a different line than the progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from tqdm import tqdm


@contextmanager
def above_progress_bar() -> Iterator[None]:
    """Clear the visible tqdm bars, and draw them again below the text that is printed in between.

    Lightning's Rich progress bar does this automatically.
    """
    with tqdm.external_write_mode():
        yield


def end_progress_line(trainer: Trainer) -> None:
    """Close the progress bar of a fit that is about to raise, so that the message starts on a new line."""
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
