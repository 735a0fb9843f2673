"""Run facts: observations of training, as a bounded amount of plain numbers for a run of any length.

The callback observes (floats in, facts out) and rules judge; neither depends on the other. The loss is kept as a curve
of equal windows, which are joined in pairs when there are too many. Of evaluations and steps, the first, the best and
the last are kept.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightning_tricks.doctor.facts.numeric_facts import NumericFacts

_HEAD = 64
_WINDOWS = 64
_EVALUATIONS = 32
_STEPS = 21


@dataclass(frozen=True)
class StartFact:
    """Facts from the examination before the first step that are needed to judge the run.

    Attributes:
        trained: whether the model or a part of it is pretrained, so that the loss does not start at that of an
            untrained model.
        dropout: whether the model contains dropout.
        guess: the loss of the best constant prediction: how frequent the classes are, or the mean (median) of the
            targets; ``None`` where the loss is of another kind.
        guess_is: a description of that prediction.
        without_gradient: trainable parameters that got no gradient, or one of exactly 0, in the traced step.
        hidden: the sigmoids and tanhs between layers that are not gates, as ``tanh body.1``.
    """

    trained: bool = False
    dropout: bool = False
    guess: float | None = None
    guess_is: str = "the class frequencies"
    without_gradient: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """Consecutive steps.

    Attributes:
        steps: the number of steps.
        mean: the mean of their losses.
        spread: the standard deviation of their losses.
        lr: the highest learning rate of any group at the end.
    """

    steps: int
    mean: float
    spread: float
    lr: float


@dataclass(frozen=True)
class LossCurve:
    """The training loss of each batch, before it is divided for accumulation; means over the processes.

    Attributes:
        first: the first 64 losses.
        windows: all losses, in windows of ``size``; the last may be shorter.
        size: batches per window.
    """

    first: tuple[float, ...] = ()
    windows: tuple[Window, ...] = ()
    size: int = 10

    @property
    def steps(self) -> int:
        """The number of losses."""
        return sum(window.steps for window in self.windows)

    def start(self, precision: float) -> float | None:
        """Return the loss before training: the mean of as few initial losses as the noise permits.

        Args:
            precision: the largest standard error, relative to the loss; the result is ``None`` if 64 losses are too
                few.
        """
        if not self.first or not self.first[0]:
            return None
        scale = abs(self.first[0])
        spreads = [min(window.spread / scale, window.spread / abs(window.mean or scale)) for window in self.windows]
        few = max(1, math.ceil((statistics.median(spreads) / precision) ** 2))
        return math.fsum(self.first[:few]) / few if few <= len(self.first) else None

    def recent(self, share: float = 1 / 3) -> float:
        """Return the mean loss of the last third of the steps, or of another share."""
        wanted = share * self.steps
        taken: list[Window] = []
        for window in reversed(self.windows):
            taken.append(window)
            if sum(each.steps for each in taken) >= wanted:
                break
        steps = sum(each.steps for each in taken)
        return sum(each.steps * each.mean for each in taken) / steps if steps else math.nan


def observe_losses(curve: LossCurve, losses: Sequence[float], lr: float) -> LossCurve:
    """Return the curve extended by some losses; non-finite losses are omitted.

    Example:
        >>> curve = observe_losses(LossCurve(size=2), [4.0, 2.0, 1.0], lr=0.1)
        >>> [(window.steps, window.mean, window.spread) for window in curve.windows]
        [(2, 3.0, 1.0), (1, 1.0, 0.0)]
    """
    losses = [loss for loss in losses if math.isfinite(loss)]
    first = (*curve.first, *losses[: _HEAD - len(curve.first)])
    windows, size = list(curve.windows), curve.size
    while losses:
        if not windows or windows[-1].steps >= size:
            windows.append(Window(0, 0.0, 0.0, lr))
        room = size - windows[-1].steps
        windows[-1] = join(windows[-1], _window(losses[:room], lr))
        losses = losses[room:]
        if len(windows) > _WINDOWS:
            windows = [join(*windows[i : i + 2]) for i in range(0, len(windows) - 1, 2)] + windows[_WINDOWS:]
            size *= 2
    return LossCurve(first, tuple(windows), size)


def _window(losses: Sequence[float], lr: float) -> Window:
    mean = math.fsum(losses) / len(losses)
    return Window(len(losses), mean, math.sqrt(math.fsum((loss - mean) ** 2 for loss in losses) / len(losses)), lr)


def join(first: Window, second: Window) -> Window:
    """Merge two consecutive windows."""
    steps = first.steps + second.steps
    mean = (first.steps * first.mean + second.steps * second.mean) / steps
    squares = sum(window.steps * (window.spread**2 + (window.mean - mean) ** 2) for window in (first, second))
    return Window(steps, mean, math.sqrt(squares / steps), second.lr)


@dataclass(frozen=True)
class EvaluationFact:
    """One validation run.

    Attributes:
        step: the Trainer's step number. epoch: the epoch in which it was run, from 0.
        train: the mean training loss since the previous evaluation.
        val: the validation loss.
    """

    step: int
    epoch: int
    train: float
    val: float


def observe_evaluation(seen: tuple[EvaluationFact, ...], new: EvaluationFact) -> tuple[EvaluationFact, ...]:
    """Return the evaluations that are kept: the first, the best and the last 30, in order."""
    kept = (*seen, new)
    best = min(kept, key=lambda evaluation: evaluation.val)
    return tuple(
        evaluation
        for i, evaluation in enumerate(kept)
        if i == 0 or evaluation is best or i >= len(kept) - _EVALUATIONS + 2
    )


@dataclass(frozen=True)
class StepFact:
    """One measured optimizer step.

    Attributes:
        step: the Trainer's.
        loss: the largest of the losses read at that time.
        lr: the highest learning rate of any group.
        norm: the norm of all gradients, before Lightning clips them.
        weights: for each matrix or kernel the root mean square of its gradient, and that of its update relative to
            that of its values; NaN where it was not measured.
    """

    step: int
    loss: float
    lr: float
    norm: float
    weights: dict[str, tuple[float, float]] = field(default_factory=dict)


def observe_step(seen: tuple[StepFact, ...], new: StepFact) -> tuple[StepFact, ...]:
    """Return the steps that are kept: the first and the last 20."""
    return (*seen[:1], *seen[1:][-(_STEPS - 2) :], new)


@dataclass(frozen=True)
class ActivationFact:
    """An activation in some batches of a run.

    Attributes:
        op: ``relu``, ``relu6``, ``sigmoid`` or ``tanh``.
        module: the path of the module in whose forward it was called.
        units: how many.
        samples: in the last batches that were measured, together.
        first: the share of the units that were dead (saturated) in the first batch that was measured.
        share: the share of the units that were dead (saturated) in each of the last three.
    """

    op: str
    module: str
    units: int
    samples: int
    first: float
    share: float


@dataclass(frozen=True)
class ForwardFacts:
    """The forward passes of some batches of a run, on process 0.

    Attributes:
        step: the Trainer's, of the last one.
        batches: how many were measured.
        activations: those of the last batch.
        terms: the absolute values of the terms that are added to form the loss, means over the last three.
        first_terms: their absolute values in the first one.
        classes: how often each class was the target of a plain cross entropy with one class per row.
    """

    step: int
    batches: int
    activations: tuple[ActivationFact, ...] = ()
    terms: tuple[float, ...] = ()
    first_terms: tuple[float, ...] = ()
    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClipFact:
    """Gradient clipping: its setting, its limit, and whether it limits each value or the norm of all gradients."""

    setting: str
    limit: float
    by_value: bool = False


@dataclass(frozen=True)
class RunFacts:
    """Observations of training.

    Attributes:
        start: facts from before the first step.
        first_bad_step: the first step with a non-finite loss; ``None`` if there was none.
        unchanged: trainable parameters that did not change in any bit: after the first epoch those without a gradient
            in the traced step, after the second epoch all others.
        idle_batches: the batches of a first epoch in which no optimizer stepped and no parameter changed, else 0.
        not_zeroed: optimizers, by index, that stepped twice with gradients that still contained those of the previous
            step.
        training_modes: batch norms and dropouts that were in training mode at the end of a validation batch.
        losses: the losses of the training batches, if one optimizer minimizes them.
        evaluations: the first, the best and the last evaluations, if there is a validation loss.
        steps: the first and the last measured optimizer steps.
        clip: the gradient clipping of every step, if known.
        forward: of the forward passes of some batches, the last reading.
        numerics: the operations that caused the first non-finite step, if it was examined.
        ended: whether the fit has ended.
    """

    start: StartFact = StartFact()
    first_bad_step: int | None = None
    unchanged: tuple[str, ...] = ()
    idle_batches: int = 0
    not_zeroed: tuple[int, ...] = ()
    training_modes: tuple[str, ...] = ()
    losses: LossCurve = LossCurve()
    evaluations: tuple[EvaluationFact, ...] = ()
    steps: tuple[StepFact, ...] = ()
    clip: ClipFact | None = None
    forward: ForwardFacts | None = None
    numerics: NumericFacts | None = None
    ended: bool = False

    @property
    def events(self) -> tuple[object, ...]:
        """The facts that are judged immediately; all others are trends."""
        return (
            self.numerics, self.first_bad_step, self.unchanged, self.idle_batches, self.not_zeroed, self.training_modes
        )  # fmt: skip
