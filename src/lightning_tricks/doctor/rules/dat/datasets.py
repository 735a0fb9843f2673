"""What the rows of the training and validation sets tell: leaks, imbalance, duplicates."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.samples import what_uses_parts_of_rows
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule


@rule("DAT005", "error", kind="static", needs=("rows",))
def train_val_overlap(evidence: Evidence, *, limit: float = 0.01, least: int = 3) -> Iterator[Symptom | NotChecked]:
    """Training rows in the validation set.

    What it looks at:  indices, where both sets are parts of one; else the inputs of up to 1,024 validation rows among
                       those of up to 2,048 training rows, repeated and blank ones counted once or not at all.
    Why it matters:    the validation score then rewards learning by heart.
    Options:           ``limit``: the share of validation rows; ``least``: rows, where contents are compared.
    Try:               ``torch.utils.data.random_split`` once, before anything is copied or augmented.
    False alarms:      coarse data in which rows coincide by chance: the share of duplicates is allowed for. Rows that
                       are split inside, by masks or in time, are not checked.
    References:        Humbatova et al., Taxonomy of real faults, 2020.
    """
    rows = evidence.rows
    assert rows is not None
    if rows.overlap is None:
        yield NotChecked(rows.reasons.get("overlap", "no validation rows"))
        return
    if part := what_uses_parts_of_rows(evidence):
        yield NotChecked(f"training uses a part of each row ({part}): rows may be split inside")
        return
    exact = rows.overlap_by == "indices"
    by_chance = 0.0 if exact else 2 * (rows.duplicates or 0.0)
    if rows.overlap >= limit + by_chance and rows.overlapping >= (1 if exact else least):
        how = (
            "by their indices" if exact else f"{rows.overlapping} found, inputs compared with {rows.read} training rows"
        )
        message = f"{rows.overlap:.0%} of the validation rows are training rows ({how}), {limit:.0%} or more"
        yield Symptom("val loader", message, "random_split the rows once, and check its indices")


@rule("DAT008", "warning", kind="static", needs=("rows",))
def class_imbalance(evidence: Evidence, *, ratio: float = 10.0, least: int = 500) -> Iterator[Symptom | NotChecked]:
    """Classes of very different size.

    What it looks at:  rows by class; whether a sampler or a weighted loss evens them out.
    Why it matters:    the loss is that of the large classes; a model that never says the small ones looks good.
    Options:           ``ratio``: of the largest class to the smallest; ``least``: fewer rows are not judged.
    Try:               ``WeightedRandomSampler``, ``CrossEntropyLoss(weight=...)``, a score by class.
    False alarms:      retrieval, tagging: ignore it there.
    References:        Buda et al., A systematic study of the class imbalance problem, 2018.
    """
    rows, loader = evidence.rows, evidence.train_loader
    assert rows is not None
    if rows.classes is None:
        yield NotChecked(rows.reasons.get("classes", "the targets are not classes"))
        return
    evened = (loader is not None and loader.sampler not in ("RandomSampler", "SequentialSampler")) or _is_weighted(
        evidence
    )
    largest, smallest = max(rows.classes.values()), min(rows.classes.values())
    if rows.read >= least and largest > ratio * smallest and not evened:
        names = {count: name for name, count in rows.classes.items()}
        message = (
            f"class {names[largest]} has {largest} of {rows.read} rows, class {names[smallest]} {smallest}: "
            f"more than {ratio:g} : 1"
        )
        yield Symptom("train loader", message, "WeightedRandomSampler, or CrossEntropyLoss(weight=1 / counts)")


@rule("DAT011", "info", kind="static", needs=("rows",))
def duplicate_rows(evidence: Evidence, *, limit: float = 0.05) -> Iterator[Symptom | NotChecked]:
    """Rows that are there twice.

    What it looks at:  the share of up to 2,048 training rows, targets included, that equal an earlier one.
    Why it matters:    they count twice, and a split by rows puts one of a pair on either side.
    Options:           ``limit``: the share above which it is said.
    Try:               drop them before the split.
    False alarms:      oversampling on purpose, coarse data: hence info.
    References:        Barz & Denzler, Do we train on test data?, 2020.
    """
    rows = evidence.rows
    assert rows is not None
    if rows.duplicates is None:
        yield NotChecked(rows.reasons.get("duplicates", "rows cannot be compared"))
    elif rows.duplicates > limit:
        message = f"{rows.duplicates:.0%} of {rows.read} training rows equal an earlier one, above {limit:.0%}"
        yield Symptom("train loader", message, "drop duplicates before the split")


def _is_weighted(evidence: Evidence) -> bool:
    """Say whether a loss has class weights, or is home-made, as a focal loss is."""
    if evidence.trace is None:
        return False
    losses = [operation for operation in evidence.trace.operations if operation.op in LOSSES]
    weighted = any(
        {"weight", "pos_weight"} & set(loss.names) or loss.settings.get("reduction") == "none" for loss in losses
    )
    return weighted or (evidence.trace.loss is not None and not losses)
