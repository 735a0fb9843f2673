"""Pictures: draw what a trick does, with the library's own functions and the docstring's own example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

import lightning_tricks as lt
from builder import data_pictures
from lightning_tricks.callbacks.lr_schedule import LRSchedule
from lightning_tricks.core.durations import RunLength
from lightning_tricks.functional.clip_thresholds import (
    empty_history,
    empty_statistics,
    observe_percentile,
    observe_zscore,
)
from lightning_tricks.functional.dropout_rates import ramp
from lightning_tricks.functional.layer_groups import layer_multipliers
from lightning_tricks.functional.live_orders import factor_after
from lightning_tricks.functional.plateau import PlateauState, observe
from lightning_tricks.functional.thaw_times import plan_thaw
from lightning_tricks.reports.clipping import plot_clipping
from lightning_tricks.reports.curves import new_figure
from lightning_tricks.reports.plateau import plot_plateau

STEPS = 100
"""Optimizer steps per epoch in the pictures of learning rates."""


@dataclass(frozen=True)
class Picture:
    """A file next to the page, its text alternative and its caption."""

    file: str
    alt: str
    caption: str


class RecordedTrainer:
    """Stands for a Trainer in the example of a docstring, and keeps its arguments."""

    def __init__(self, max_epochs: int = 10, callbacks: Sequence[Any] = ()) -> None:
        self.max_epochs, self.callbacks = max_epochs, list(callbacks)


def draw(option: str, example: str, folder: Path) -> Picture | None:
    """Draw the picture of a trick into a folder; ``None`` if there is nothing to draw.

    Args:
        option: the trick.
        example: the lines of its docstring that build a Trainer.
        folder: where to save it.
    """
    trainer = _run_example(example)
    found = DRAWN.get(option)
    if found is None and not any(isinstance(callback, LRSchedule) for callback in trainer.callbacks):
        return None
    figure, alt, caption = found(trainer) if found else learning_rate(trainer)
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": option}):
        figure.savefig(folder / f"{option}.svg", metadata={"Date": None})
    return Picture(f"{option}.svg", alt, caption)


def _run_example(example: str) -> RecordedTrainer:
    space: dict[str, Any] = {"Trainer": RecordedTrainer}
    lines = [line for line in example.splitlines() if "import Trainer" not in line]
    exec("\n".join(lines), space)
    return space["trainer"]


Drawn = tuple[Any, str, str]


def learning_rate(trainer: RecordedTrainer) -> Drawn:
    """Draw the learning rate of each step, as `preview_lr` computes it."""
    preview = lt.preview_lr(trainer.callbacks, trainer.max_epochs, STEPS)
    alt = f"Learning rate over {trainer.max_epochs} epochs: " + str(preview).splitlines()[0].partition("  ")[2].strip()
    caption = (
        f"The example below over {trainer.max_epochs} epochs of {STEPS} steps, relative to the base learning rate."
    )
    return preview.plot(), alt, caption


def scores(count: int = 60) -> list[float]:
    """Return a validation loss that falls, stalls and rises, with noise."""
    noise = torch.randn(count, generator=torch.Generator().manual_seed(3))
    return [0.3 + 2.0 * 0.85**i + 0.006 * i + 0.03 * float(noise[i]) for i in range(count)]


def plateau(trainer: RecordedTrainer) -> Drawn:
    """Draw the rule on a score that stalls."""
    (callback,) = trainer.callbacks
    state, history = PlateauState(), []
    for check, score in enumerate(scores()):
        state = observe(state, score, patience=callback.patience, factor=callback.factor)
        history.append(((check + 1) * STEPS, score, state.lr_factor))
    figure = plot_plateau(history, monitor="val_loss")
    caption = (
        f"The rule on a loss that stalls: after {callback.patience} checks without a new best, the rate is halved."
    )
    return figure, f"A validation loss, and a learning rate halved {state.num_reductions} times", caption


def early_stopping(trainer: RecordedTrainer) -> Drawn:
    """Draw the score until the stop, and the check whose weights are restored."""
    (callback,) = trainer.callbacks
    state, seen = PlateauState(), []
    for score in scores():
        state = observe(state, score)
        seen.append(score)
        if state.wait_count >= callback.patience:
            break
    best = seen.index(state.best_score)
    figure = new_figure((7, 3))
    axes = figure.subplots()
    axes.plot(range(len(scores())), scores(), color="lightgray", label="without stopping")
    axes.plot(seen, label="val_loss")
    axes.plot(best, seen[best], "o", color="C2", label=f"best, restored (check {best})")
    axes.axvline(len(seen) - 1, color="C3", linestyle=":", label=f"stop (check {len(seen) - 1})")
    _finish(axes, "check", "val_loss")
    caption = f"The rule with `patience={callback.patience}` on a loss that rises again."
    return figure, f"A loss whose best check is {best}; training stops at check {len(seen) - 1}", caption


def clipping(trainer: RecordedTrainer) -> Drawn:
    """Draw the norms of a run with spikes, and those after clipping."""
    (callback,) = trainer.callbacks
    noise = torch.randn(300, generator=torch.Generator().manual_seed(0))
    norms = (0.6 + 0.6 * 0.99 ** torch.arange(300)) * torch.exp(0.25 * noise)
    norms[[60, 150, 151, 230]] *= 12.0
    thresholds = [float(threshold) for threshold in _thresholds(callback, norms)]
    clipped = [min(float(norm), threshold) for norm, threshold in zip(norms, thresholds, strict=True)]
    series = {
        "grad_norm": [(i, float(norm)) for i, norm in enumerate(norms)],
        "grad_norm_clipped": list(enumerate(clipped)),
        "clip_threshold": list(enumerate(thresholds)),
        "clip_rate": [(i, float(after < before)) for i, (before, after) in enumerate(zip(norms, clipped, strict=True))],
    }
    share = sum(rate for _, rate in series["clip_rate"]) / len(norms)
    alt = f"Gradient norms with four spikes, and after clipping; {share:.0%} of the steps are clipped"
    return (
        plot_clipping(series),
        alt,
        "Gradient norms with four spikes (generated), and what the example leaves of them.",
    )


def _thresholds(callback: Any, norms: torch.Tensor) -> list[Any]:
    found: list[Any] = []
    history, statistics = empty_history(1000), empty_statistics()
    for norm in norms:
        if isinstance(callback, lt.AutoClip):
            history, threshold = observe_percentile(history, norm, callback.percentile)
        elif isinstance(callback, lt.ZClip):
            statistics, level = observe_zscore(statistics, norm, callback.z, callback.alpha, callback.warmup)
            threshold = torch.as_tensor(min(float(level), callback.max_norm or torch.inf))
        else:
            threshold = torch.as_tensor(callback.max_norm)
        found.append(threshold)
    return found


def dropout_rate(trainer: RecordedTrainer) -> Drawn:
    """Draw the rate over the run."""
    (callback,) = trainer.callbacks
    times = [trainer.max_epochs * place / 100 for place in range(101)]
    figure = new_figure((7, 2.6))
    axes = figure.subplots()
    axes.plot(times, [ramp(callback.p, callback.end, time / trainer.max_epochs) for time in times])
    axes.set_ylim(0, 1)
    _finish(axes, "epoch", "dropout rate", legend=False)
    return figure, f"A dropout rate that rises from {callback.p} to {callback.end}", "The rate of the example below."


def unfreezing(trainer: RecordedTrainer) -> Drawn:
    """Draw when each of five groups trains."""
    (callback,) = trainer.callbacks
    times, _ = plan_thaw(callback.schedule, callback.every, 5, RunLength(trainer.max_epochs, None))
    figure = new_figure((7, 2.6))
    axes = figure.subplots()
    for group, time in enumerate(times):
        start = float(time) if time is not None else float(trainer.max_epochs)
        axes.barh(group, start, color="lightgray", label="frozen" if group == 0 else None)
        axes.barh(group, trainer.max_epochs - start, left=start, color="C0", label="trains" if group == 0 else None)
    axes.set_yticks(range(5), ["input", "", "", "", "head"])
    _finish(axes, "epoch", "layer group")
    starts = ", ".join(f"{float(time):g}" for time in times if time is not None)
    return (
        figure,
        f"Epochs at which five layer groups start to train: {starts}",
        "Five layer groups under the example below.",
    )


def multipliers(trainer: RecordedTrainer) -> Drawn:
    """Draw the multipliers of six groups for three decays."""
    figure = new_figure((7, 2.6))
    axes = figure.subplots()
    for place, decay in enumerate((1.5, 2.6, 5.0)):
        heights = layer_multipliers(6, decay)
        axes.bar([group + 0.27 * (place - 1) for group in range(6)], heights, 0.25, label=f"decay={decay}")
    axes.set_yscale("log")
    axes.set_xticks(range(6), ["input", "", "", "", "", "head"])
    _finish(axes, "layer group", "multiplier")
    return figure, "Multipliers of six layer groups, smaller towards the input", "The multipliers of six layer groups."


def steered_rate(trainer: RecordedTrainer) -> Drawn:
    """Draw the learning rate under four orders."""
    orders: dict[int, str | float] = {150: "x0.5", 300: "x0.1", 450: 0.3, 600: "x0.5"}
    factor, rates = 1.0, []
    for step in range(700):
        factor = factor_after(factor, orders[step], largest=1.0) if step in orders else factor
        rates.append(factor)
    figure = new_figure((7, 2.6))
    axes = figure.subplots()
    axes.plot(rates)
    for step, order in orders.items():
        axes.annotate(f"lr={order}", (step, 0.95), rotation=90, va="top", ha="right", fontsize=8)
        axes.axvline(step, linestyle=":", color="gray")
    _finish(axes, "optimizer step", "learning rate", legend=False)
    return figure, "A learning rate that four orders change", "A learning rate of 1 under four orders."


def _finish(axes: Any, x: str, y: str, legend: bool = True) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(fontsize=8, frameon=False)


DRAWN: dict[str, Callable[[RecordedTrainer], Drawn]] = {
    "auto_clip": clipping,
    "discriminative_lr": multipliers,
    "dropout_schedule": dropout_rate,
    "early_stopping": early_stopping,
    "gradient_clipping": clipping,
    "gradual_unfreezing": unfreezing,
    "live_control": steered_rate,
    "reduce_lr_on_plateau": plateau,
    "z_clip": clipping,
    **data_pictures.DRAWN,
}
"""The pictures that are not learning rates over time."""
