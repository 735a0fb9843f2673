"""Result logging: send the results of tricks to the loggers of a run, numbers to all, texts and figures to some."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol

from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.core.result_names import RESULT_PREFIX
from lightning_tricks.engine.run.lightning_internals import logged_step


class Reporter(Protocol):
    """The attributes of a trick that are read."""

    identity: ClassVar[tuple[str, ...]]

    @property
    def state_key(self) -> str: ...


def log_results(trainer: Trainer, trick: Reporter, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
    """Send results to the loggers as ``tricks/<callback>/<name>``, at the step at which Lightning would log them.

    Only process 0 sends them. Every logger receives the finite numbers; TensorBoard, W&B, MLflow and Comet
    receive the texts. A logger that fails loses its results and causes a warning, but never ends the fit.

    Args:
        trainer: a Trainer that fits.
        trick: the trick with these results.
        numbers: numbers by name.
        texts: texts by name; empty texts are skipped.
    """
    if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    name = RESULT_PREFIX + logged_name(trainer, trick)
    finite = {f"{name}/{key}": float(value) for key, value in numbers.items() if math.isfinite(value)}
    named = {f"{name}/{key}": text for key, text in texts.items() if text}
    step = logged_step(trainer)
    for logger in trainer.loggers:
        if finite:
            _attempt(partial(logger.log_metrics, dict(finite), step), logger)
        if (write := _find(_TEXT_WRITERS, logger)) is not None:
            for tag, text in named.items():
                _attempt(partial(write, logger, tag, text, step), logger)


def log_figure(trainer: Trainer, draw: Callable[[], Any], tag: str) -> bool:
    """Send a figure to the loggers that accept figures, on process 0.

    Args:
        trainer: a Trainer that fits.
        draw: returns the matplotlib figure.
        tag: the name of the figure.

    Returns:
        Whether a logger of the run accepts figures.
    """
    writers = [(write, logger) for logger in trainer.loggers if (write := _find(_FIGURE_WRITERS, logger)) is not None]
    for write, logger in writers if trainer.is_global_zero else ():
        _attempt(partial(write, logger, draw(), tag, logged_step(trainer)), logger)
    return bool(writers)


def logged_name(trainer: Trainer, trick: Reporter) -> str:
    """Return the class of a trick and its distinguishing arguments, in characters that all loggers accept.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import EarlyStopping
        >>> stoppings = [EarlyStopping("val_loss"), EarlyStopping("val/acc", mode="max")]
        >>> [logged_name(Trainer(callbacks=stoppings[:n], logger=False), stoppings[0]) for n in (1, 2)]
        ['EarlyStopping', 'EarlyStopping-val_loss-min']
    """
    kind = type(trick).__name__
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    if sum(type(callback) is type(trick) for callback in callbacks) < 2:
        return kind
    marks = [str(getattr(trick, name)) for name in trick.identity if getattr(trick, name) is not None]
    return "-".join([kind, *("".join(c if c.isalnum() or c in "_.-" else "_" for c in mark) for mark in marks)])


def _attempt(write: Callable[[], object], logger: object) -> None:
    """Call a logger, whose failure must not end a fit."""
    try:
        write()
    except Exception as error:
        message = (
            f"{type(logger).__name__} did not accept a result of lightning-tricks: {type(error).__name__}: {error}"
        )
        try:
            rank_zero_warn(message)
        except Warning:  # warnings may be turned into exceptions
            rank_zero_info(message)


def _find(writers: Mapping[str, Callable[..., object]], logger: object) -> Callable[..., object] | None:
    """Return the writer for a logger, by the name of its class, from any package."""
    return next((writers[kind.__name__] for kind in type(logger).__mro__ if kind.__name__ in writers), None)


_TEXT_WRITERS: dict[str, Callable[[Any, str, str, int], object]] = {
    "TensorBoardLogger": lambda logger, tag, text, step: logger.experiment.add_text(tag, f"```\n{text}\n```", step),
    "WandbLogger": lambda logger, tag, text, step: logger.log_text(tag, columns=["text"], data=[[text]], step=step),
    "MLFlowLogger": lambda logger, tag, text, step: logger.experiment.log_text(logger.run_id, text, f"{tag}.txt"),
    "CometLogger": lambda logger, tag, text, step: logger.experiment.log_text(f"{tag}\n{text}", step=step),
}
_FIGURE_WRITERS: dict[str, Callable[[Any, Any, str, int], object]] = {
    "TensorBoardLogger": lambda logger, figure, tag, step: logger.experiment.add_figure(tag, figure, step),
    "WandbLogger": lambda logger, figure, tag, step: logger.log_image(tag, [figure], step),
    "MLFlowLogger": lambda logger, figure, tag, step: logger.experiment.log_figure(logger.run_id, figure, f"{tag}.png"),
    "CometLogger": lambda logger, figure, tag, step: logger.experiment.log_figure(tag, figure, step=step),
}
