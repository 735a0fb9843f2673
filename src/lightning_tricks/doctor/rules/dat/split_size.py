"""Size of the validation set."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule


@rule("DAT014", "info", kind="static", needs=("train_loader", "val_loader"))
def split_size(
    evidence: Evidence, *, low: float = 0.1, high: float = 0.3, large: int = 100_000
) -> Iterator[Symptom | NotChecked]:
    """A validation set that is small or large for its training set.

    What it looks at:  the number of validation rows as a share of all rows.
    Why it matters:    few rows give a noisy score, which early stopping and tuning then follow; many rows are missing
                       from training.
    Options:           ``low``, ``high``: the range of the share; ``large``: with more rows than this, the share is not
                       checked.
    Try:               ``lightning_tricks.train_val_split(dataset, 0.2, targets=...)``, stratified or by groups.
    False alarms:      data with a predefined split.
    References:        Guyon, A scaling law for the validation-set training-set size ratio, 1997.
    """
    assert evidence.train_loader is not None
    assert evidence.val_loader is not None
    train, val = evidence.train_loader.rows, evidence.val_loader.rows
    if not train or not val:
        yield NotChecked("a dataset has no length")
        return
    share = val / (train + val)
    if train + val <= large and not low <= share <= high:
        message = f"{val} of {train + val} rows are for validation ({share:.1%}), outside [{low:.0%}, {high:.0%}]"
        yield Symptom("val loader", message, "train, val = lightning_tricks.train_val_split(dataset, 0.2)")
