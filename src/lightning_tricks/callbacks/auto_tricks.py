"""Auto tricks: the callbacks of the recipe ``auto``, for a module of which nothing but its optimizer is known."""

from collections.abc import Sequence
from typing import Literal

from lightning.pytorch import Callback

from lightning_tricks.callbacks.early_stopping import EarlyStopping
from lightning_tricks.callbacks.gradient_clipping import GradientClipping
from lightning_tricks.callbacks.lr_finder import LRFinder
from lightning_tricks.callbacks.run_report import RunReport
from lightning_tricks.callbacks.warmup_stable_decay import WarmupStableDecay
from lightning_tricks.core.arguments import check_flag
from lightning_tricks.core.durations import Duration
from lightning_tricks.engine.watch.average_weights import average_weights

_SWEEP = 63  # steps over five decades, as dense as the hundred of the finder over eight
_STOP = 3.0  # times the best loss: the finder's own 4 takes one more step and suggests the same
_NEVER = 1_000_000  # checks: the schedule needs its whole length


def auto_tricks(
    monitor: str = "val_loss",
    *,
    mode: Literal["min", "max"] = "min",
    warmup: Duration = "0.05dur",
    decay: Duration = "0.2dur",
    max_norm: float = 1.0,
    average: bool = True,
    refine: int | str = 0,
    raise_at: Sequence[Duration] = ("0.3dur", "0.4dur"),
    replace_scheduler: bool = False,
    report: bool = True,
) -> list[Callback]:
    """Return the callbacks that train well without tuning: the packaged recipe ``auto`` for a Trainer.

    A learning rate found before the first step, for the length and the schedule of the run, and raised later if
    training goes better with a higher one; a warm-up, a constant phase and a decay to zero; clipping; validation with
    weights averaged over about the last ninth of the steps so far; and the weights of the best validation score. The
    sweep costs up to 63 optimizer steps, the later trials 5 to 15 per cent of the run. The page "Evidence" shows
    what each part is worth.

    Use when: a module is trained for the first time, with any optimizer that has a learning rate, and the length of the
    run is known (``max_epochs`` or ``max_steps``).

    Args:
        monitor: key of the logged metric that chooses the weights; if it is not logged, a warning is issued and the
            final weights are kept. With ``mode="min"``, ``raise_at`` reads how fast it falls; with ``"max"``, it reads
            ``val_loss``.
        mode: whether a lower (``"min"``) or a higher (``"max"``) score is better.
        warmup: length of the linear warm-up, a Duration.
        decay: length of the decay at the end, a Duration > 0.
        max_norm: bound of the gradient norm, > 0.
        average: validate and end with averaged weights (Lightning's ``WeightAveraging``): another copy of the model on
            its device. Checkpoints hold the average in ``state_dict`` and the training weights in
            ``current_model_state``. Nothing is averaged before lightning 2.6 or where the model cannot be copied whole
            (sharded, or built in ``configure_model``).
        refine: length of each trial of the search, as :class:`LRFinder`; 0: no trials.
        raise_at: times at which higher rates are tried, as :class:`LRFinder`; ``()``: never.
        replace_scheduler: drop the scheduler that the module returns instead of raising an error.
        report: also write the report of the run (:class:`RunReport`).

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; at fit start, the length of the run is not known.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import auto_tricks
        >>> trainer = Trainer(max_epochs=10, callbacks=auto_tricks())

        With Hydra: ``recipes=auto``
    """
    tricks: list[Callback] = [
        LRFinder(
            min_lr=1e-4,
            num_steps=_SWEEP,
            stop_factor=_STOP,
            refine=refine,
            raise_at=raise_at,
            monitor=monitor if mode == "min" else "val_loss",
        ),
        WarmupStableDecay(decay, warmup=warmup, replace_scheduler=replace_scheduler),
        GradientClipping(max_norm),
        *([average_weights()] if check_flag("average", average) else []),
        EarlyStopping(monitor, patience=_NEVER, mode=mode, strict=False, check_finite=False),
    ]
    return [*tricks, RunReport()] if check_flag("report", report) else tricks
