"""Training and validation losses during training."""

import statistics
from collections.abc import Iterator
from itertools import pairwise

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import EvaluationFact, RunFacts, Window
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("RUN004", "warning", kind="run", needs=("run",))
def loss_not_decreasing(evidence: Evidence, *, fall: float = 0.01, steps: int = 1000, least: int = 200) -> Symptoms:
    """A training loss that is not lower than at the start.

    What it looks at:  the mean loss of the last third of all batches against that of the first batches; enough of them
                       are averaged to detect a decrease of 2% despite noise. Automatic optimization, or manual
                       optimization with one optimizer.
    Why it matters:    the model learns nothing: the learning rate is far too small or too large, gradients do not
                       arrive, or inputs and targets do not match.
    Options:           ``fall``: the share by which the loss must decrease; ``steps``: the number of batches after which
                       it is judged, because deep networks may need hundreds of steps to start learning; ``least``: the
                       number that is sufficient when the fit has ended.
    Try:               ``tricks=[lr_finder]``; ``diagnose(select=["BEH003"])``: can the model overfit one batch?
    False alarms:      losses that rise by design: adversarial losses, rewards, terms whose weight grows. Losses that
                       are not positive and learning rates that are still warming up are left out; pretrained parts are
                       info. A loss that stays flat far above zero after a decrease may be all that can be learned: it
                       is left out.
    References:        TheDeepChecker, TOSEM 2023.
    """
    run = evidence.run
    assert run is not None
    curve = run.losses
    start = curve.start(precision=0.02)
    if start is None or curve.steps < (least if run.ended else steps):
        return
    if min(window.mean for window in curve.windows) <= 0 or _warms_up(run):
        return
    now = curve.recent()
    yield Observed(f"the loss went from {start:.4g} to {now:.4g}")
    if now > (1 - fall) * start:
        less = f"fell by {1 - now / start:.1%}, less than {fall:.0%}"
        change = less if now < start else f"rose by {now / start - 1:.1%}"
        message = (
            f"{start:.4g} at the start, {now:.4g} over the last third of {curve.steps} batches: it {change}, "
            f"at a learning rate of {curve.windows[-1].lr:.3g}"
        )
        remedy = (
            'tricks=[lr_finder] for the learning rate; diagnose(select=["BEH003"]) tests whether it can '
            "overfit one batch"
        )
        yield Symptom("loss", message, remedy, "info" if run.start.trained else None)


@rule("RUN005", "info", kind="run", needs=("run",))
def loss_oscillating(evidence: Evidence, *, turns: float = 0.4, amplitude: float = 0.3) -> Iterator[Symptom]:
    """A training loss that oscillates.

    What it looks at:  the last twenty windows of ten batches or more: how often their means change direction, and by
                       how much consecutive means differ; only while they are above half of the first loss.
    Why it matters:    steps that are too large jump over the minimum.
    Options:           ``turns``: the share of the windows at which the direction changes; ``amplitude``: the typical
                       difference relative to their mean.
    Try:               a smaller or decaying learning rate (``tricks=[reduce_lr_on_plateau]``), larger batches.
    False alarms:      very noisy batches look the same, hence info; a learning rate that rises and falls itself is left
                       out.
    References:        Zhang et al., AutoTrainer, ICSE 2021.
    """
    run = evidence.run
    assert run is not None
    last = [window for window in run.losses.windows if window.steps == run.losses.size][-20:]
    if len(last) < 10 or _rises(last):
        return
    means = [window.mean for window in last]
    mean, slopes = statistics.fmean(means), [after - before for before, after in pairwise(means)]
    turning = sum(before * after < 0 for before, after in pairwise(slopes)) / (len(slopes) - 1)
    size = (statistics.fmean(slope**2 for slope in slopes) / 2) ** 0.5
    if turning > turns and mean > 0.5 * run.losses.first[0] > 0 and size > amplitude * mean:
        message = (
            f"windows of {run.losses.size} batches differ by {size / mean:.0%} of their mean {mean:.3g}, above "
            f"{amplitude:.0%}, and change direction at {turning:.0%} of them, above {turns:.0%}; lr = {last[-1].lr:.3g}"
        )
        yield Symptom("loss", message, "a smaller learning rate, tricks=[reduce_lr_on_plateau], or larger batches")


@rule("RUN006", "warning", kind="run", needs=("run",))
def overfitting_gap(evidence: Evidence, *, rise: float = 0.5, checks: int = 3) -> Iterator[Symptom]:
    """A validation loss that rises while the training loss falls.

    What it looks at:  the logged ``val_loss`` (or ``valid``, ``validation``, ``eval``; ``/`` instead of ``_``): all of
                       the last evaluations exceed the best one by half of it, while the training loss is below half of
                       its value at that time. A warning if they also exceed the first evaluation and the loss before
                       the first step; otherwise info.
    Why it matters:    what is learned after the best evaluation does not generalize to new data.
    Options:           ``rise``: the relative rise above the best evaluation; ``checks``: the number of consecutive
                       evaluations.
    Try:               ``tricks=[early_stopping]``, which keeps the best weights; ``+recipes=few_rows``, whose parts are
                       ``tricks=[weight_penalty,dropout_schedule,mix_up]``; more data.
    False alarms:      a validation set of few rows. Small sets that are trained for long usually behave like this,
                       while scores such as accuracy may still improve: hence info until everything that was learned is
                       lost.
    References:        UMLAUT, CHI 2021; Prechelt, Early Stopping - But When?, 1998.
    """
    run = evidence.run
    assert run is not None
    seen = run.evaluations
    if not seen:
        return
    best, last = min(seen, key=_val), seen[-checks:]
    lowest, train = min(map(_val, last)), last[-1].train
    if best in last or best.val <= 0 or lowest <= (1 + rise) * best.val or train >= 0.5 * best.train:
        return
    before = max((seen[0].val, *run.losses.first[:1]))
    lost = lowest >= before
    message = (
        f"the validation loss was {best.val:.3g} in epoch {best.epoch} and is {last[-1].val:.3g} in epoch "
        f"{last[-1].epoch}, {checks} consecutive evaluations above {1 + rise:g} × that"
        f"{f', and above the {before:.3g} that it began with' if lost else ''}; "
        f"the training loss fell from {best.train:.3g} to {train:.3g}"
    )
    yield Symptom(
        "loss", message, "tricks=[early_stopping,weight_penalty,dropout_schedule]; more data", None if lost else "info"
    )


@rule("RUN009", "warning", kind="run", needs=("run",))
def cannot_beat_input_free_baseline(evidence: Evidence, *, epochs: int = 3, steps: int = 200) -> Iterator[Symptom]:
    """A validation loss that a constant prediction reaches.

    What it looks at:  the best ``val_loss`` against the loss of the best constant prediction, computed from rows of the
                       training set: the class frequencies for a plain mean cross entropy with one class per row, the
                       mean target for a mean squared error, the median for a mean absolute error.
    Why it matters:    the model learns nothing from its inputs that generalizes to new data.
    Options:           ``epochs``, ``steps``: the number of epochs and of optimizer steps after which it is judged.
    Try:               check that inputs and targets match (were they shuffled separately?), scale the inputs,
                       ``tricks=[lr_finder]``.
    False alarms:      a validation loss of another kind than the training loss. Weighted, smoothed and summed losses,
                       samplers and targets that the step transforms are left out.
    References:        Karpathy, A recipe for training neural networks, 2019 ("input-independent baseline").
    """
    run = evidence.run
    assert run is not None
    guess, seen = run.start.guess, run.evaluations
    if guess is None or not seen or not (seen[0].val < 3 * guess or _is_the_same(seen[0])):
        return
    if seen[-1].epoch + 1 < epochs or seen[-1].step < steps:
        return
    best = min(seen, key=_val)
    if best.val >= guess:
        when = f"epoch {best.epoch} of {seen[-1].epoch + 1}"
        message = f"{best.val:.4g} at best, in {when}; always predicting {run.start.guess_is} has {guess:.4g}"
        remedy = "check that inputs and targets match; scale the inputs; tricks=[lr_finder]"
        yield Symptom("validation loss", message, remedy)


@rule("RUN010", "info", kind="run", needs=("run",))
def validation_better_than_train(evidence: Evidence, *, share: float = 0.5, checks: int = 3) -> Iterator[Symptom]:
    """A validation loss that is much lower than the training loss.

    What it looks at:  ``val_loss`` of an evaluation against the mean training loss of the next epoch, for several
                       consecutive evaluations, in models without dropout.
    Why it matters:    validation rows may be easier or part of training, or the two losses are not the same.
    Options:           ``share``: the validation loss over the training loss below which it is reported; ``checks``: the
                       number of consecutive evaluations.
    Try:               the same loss in both steps; ``DAT005``; a random split.
    False alarms:      augmentation, mixup, label smoothing and penalties in the training loss only: hence info.
    References:        UMLAUT, CHI 2021.
    """
    run = evidence.run
    assert run is not None
    pairs = [(evaluation.val, following.train) for evaluation, following in pairwise(run.evaluations)][-checks:]
    if run.start.dropout or len(pairs) < checks or not all(0 <= val < share * train for val, train in pairs):
        return
    val, train = pairs[-1]
    message = (
        f"{val:.3g}, against {train:.3g} in the training epoch after it: below {share:g} × that, for {checks} "
        "consecutive evaluations"
    )
    yield Symptom("validation loss", message, "compare the losses of the two steps, and check how the rows were split")


def _val(evaluation: EvaluationFact) -> float:
    return evaluation.val


def _is_the_same(evaluation: EvaluationFact) -> bool:
    """Return whether the validation loss is near the training loss, so that both are of one kind."""
    return 0 < evaluation.train < 3 * evaluation.val < 9 * evaluation.train


def _warms_up(run: RunFacts) -> bool:
    """Return whether the learning rate is higher than it was a third of the run ago."""
    rates = [window.lr for window in run.losses.windows]
    return rates[-1] > 1.01 * rates[-1 - len(rates) // 3]


def _rises(windows: list[Window]) -> bool:
    """Return whether the learning rate rises anywhere: after a decrease, or during a warm-up."""
    rates = [window.lr for window in windows]
    lowest = rates[0]
    for rate in rates:
        lowest = min(lowest, rate)
        if rate > 1.5 * lowest:
            return True
    return False
