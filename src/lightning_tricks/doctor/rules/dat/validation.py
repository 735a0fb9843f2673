"""Differences between the validation set and the training set."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.context_facts import ShiftFact, SplitFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Symptom, rule

_CLASS_LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")


@rule("DAT015", "warning", kind="static", needs=("splits",))
def validation_unlike_training(
    evidence: Evidence, *, shift: float = 3.0, ratio: float = 3.0, unknown: float = 0.1
) -> Iterator[Symptom]:
    """Validation inputs or classes that differ from those of training.

    What it looks at:  up to 256 rows of each set: mean, standard deviation and sign of each input, the order of three
                       channels, and the classes.
    Why it matters:    the validation loss then measures a missing transform, not the model.
    Options:           ``shift``: the largest distance between the means, in standard deviations; ``ratio``: the largest
                       ratio of the standard deviations; ``unknown``: the largest share of validation rows of classes
                       that do not occur in training.
    Try:               the same transform and the same class indices for both sets.
    False alarms:      an intended domain shift; series that are split in time and drift.
    References:        Breck et al., Data Validation for Machine Learning, 2019.
    """
    splits = evidence.splits
    assert splits is not None
    is_series = evidence.rows is not None and evidence.rows.windows
    for found in splits.shifts:
        difference = _difference(found, shift, ratio, is_series)
        if difference:
            where = f"validation, input {found.path}" if found.path else "validation"
            message = f"{difference}, in {splits.rows[1]} validation and {splits.rows[0]} training rows"
            yield Symptom(where, message, "the same transform for the training and the validation set")
    if splits.unknown > unknown and _is_classified(evidence):
        yield Symptom(
            "validation", _classes(splits), "the same list of classes and the same class indices for both sets"
        )


def _difference(found: ShiftFact, shift: float, ratio: float, is_series: bool) -> str:
    """Return a description of how the inputs differ; empty if they do not."""
    (mean, val_mean), (std, val_std) = found.means, found.stds
    numbers = f"mean {val_mean:.3g} and std {val_std:.3g}, training has mean {mean:.3g} and std {std:.3g}"
    if not 1 / ratio <= found.ratio <= ratio:
        return f"validation inputs have {numbers} (std {found.ratio:.2g} times, beyond {ratio:g})"
    if found.shift > shift and not is_series:
        return f"validation inputs have {numbers} (means {found.shift:.2g} std apart, above {shift:g})"
    if sorted(found.negatives)[0] == 0 and sorted(found.negatives)[1] > 0.2 and not is_series:
        none, some = ("validation", "training") if found.negatives[1] == 0 else ("training", "validation")
        share = max(found.negatives)
        return (
            f"no {none} input is negative, {share:.0%} in {some} are negative (a normalization is missing): {numbers}"
        )
    if found.reversed:
        return "validation images have the channel means of training in reverse order (RGB and BGR)"
    return ""


def _is_classified(evidence: Evidence) -> bool:
    return evidence.trace is None or any(True for _ in evidence.graph.find(*_CLASS_LOSSES))


def _classes(splits: SplitFacts) -> str:
    new = sorted(set(splits.val_classes) - set(splits.train_classes))
    shown = ", ".join(map(str, new[:5])) + (" …" if len(new) > 5 else "")
    train = f"{min(splits.train_classes)} to {max(splits.train_classes)}"
    return (
        f"{splits.unknown:.0%} of the validation rows have classes that do not occur in training: {shown}; "
        "the labels of "
        f"training are {train}, those of validation {min(splits.val_classes)} to {max(splits.val_classes)}"
    )
