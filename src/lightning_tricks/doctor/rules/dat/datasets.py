"""Rows of the training and validation sets: leaks, imbalance, duplicates."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.samples import what_uses_parts_of_rows
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule

_BALANCE = "CrossEntropyLoss(weight=lightning_tricks.class_weights(targets)), or lightning_tricks.focal_loss"
_ROWS_PER_CLASS = 20
"""So many rows of each class are expected if all have the same size: chance then makes no class ten times smaller."""


@rule("DAT005", "error", kind="static", needs=("rows",))
def train_val_overlap(evidence: Evidence, *, limit: float = 0.01, least: int = 3) -> Iterator[Symptom | NotChecked]:
    """Training rows in the validation set.

    What it looks at:  the indices, if both sets are subsets of one dataset; otherwise the inputs of up to 1,024
                       validation rows against those of up to 2,048 training rows, where repeated rows count once and
                       blank rows do not count.
    Why it matters:    the validation score then rewards memorization.
    Options:           ``limit``: the share of validation rows; ``least``: the minimum number of rows if contents are
                       compared.
    Try:               ``torch.utils.data.random_split`` once, before any row is copied or augmented.
    False alarms:      coarse data, such as pairs of a user and an item, in which rows coincide by chance: the number
                       to expect from repeated inputs among the training rows is subtracted, and what is left must be
                       more than three standard deviations. Rows that are split internally, by masks or in time, are
                       not checked.
    References:        Humbatova et al., Taxonomy of real faults, 2020.
    """
    rows = evidence.rows
    assert rows is not None
    if rows.overlap is None:
        yield NotChecked(rows.reasons.get("overlap", "no validation rows"))
        return
    if part := what_uses_parts_of_rows(evidence):
        yield NotChecked(f"training uses a part of each row ({part}): rows may be split internally")
        return
    exact = rows.overlap_by == "indices"
    if rows.overlap_beyond_chance() >= limit and rows.overlapping >= (1 if exact else least):
        how = (
            "by their indices" if exact else f"{rows.overlapping} found, inputs compared with {rows.read} training rows"
        )
        message = f"{rows.overlap:.0%} of the validation rows are training rows ({how}), {limit:.0%} or more"
        yield Symptom("val loader", message, "split the rows once with random_split, and check the indices")


def class_imbalance_in_run(
    evidence: Evidence, *, ratio: float = 10.0, least: int = 500, single: int = 64
) -> Iterator[Symptom | NotChecked]:
    """Yield classes of very different size among the targets of measured batches, after whatever sampler there is."""
    counts = evidence.run.forward.classes if evidence.run is not None and evidence.run.forward is not None else ()
    rows, seen = sum(counts), [count for count in counts if count]
    if rows < max(least, _ROWS_PER_CLASS * len(counts)) or len(seen) < 2:
        yield NotChecked("too few targets of a plain cross entropy were seen during training")
        return
    if max(seen) <= ratio * min(seen):
        return
    message = (
        f"class {counts.index(max(seen))} has {max(seen)} of {rows} rows in measured batches, class "
        f"{counts.index(min(seen))} {min(seen)}: more than {ratio:g} : 1"
    )
    yield Symptom("train loader", message, _BALANCE)


@rule("DAT008", "warning", kind="static", needs=("rows",), in_run=class_imbalance_in_run)
def class_imbalance(
    evidence: Evidence, *, ratio: float = 10.0, least: int = 500, single: int = 64
) -> Iterator[Symptom | NotChecked]:
    """Classes of very different size.

    What it looks at:  the number of rows per class, and whether a sampler or a weighted loss balances them; a single
                       class in all rows, where a loss compares classes; during training, the targets of a plain cross
                       entropy in measured batches (one in ``log_every_n_steps``), whatever the dataset is.
    Why it matters:    the large classes dominate the loss; a model that never predicts the small classes looks good.
    Options:           ``ratio``: of the largest class to the smallest; ``least``: smaller sets are not judged;
                       ``single``: likewise, for a single class.
    Try:               ``CrossEntropyLoss(weight=class_weights(targets))``, ``weighted_sampler`` or ``focal_loss`` of
                       ``lightning_tricks``, and a score per class.
    False alarms:      retrieval and tagging: ignore the rule there.
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
    if len(rows.classes) == 1 and rows.read >= single and _compares_classes(evidence):
        message = f"all of {rows.read} rows have the class {next(iter(rows.classes))}"
        yield Symptom("train loader", message, "check the targets of the dataset")
        return
    largest, smallest = max(rows.classes.values()), min(rows.classes.values())
    if rows.read >= least and largest > ratio * smallest and not evened:
        names = {count: name for name, count in rows.classes.items()}
        message = (
            f"class {names[largest]} has {largest} of {rows.read} rows, class {names[smallest]} {smallest}: "
            f"more than {ratio:g} : 1"
        )
        yield Symptom("train loader", message, _BALANCE)


@rule("DAT011", "info", kind="static", needs=("rows",))
def duplicate_rows(evidence: Evidence, *, limit: float = 0.05) -> Iterator[Symptom | NotChecked]:
    """Duplicate training rows.

    What it looks at:  the share of up to 2,048 training rows, including targets, that equal an earlier row.
    Why it matters:    they count twice, and a split by rows can separate the copies.
    Options:           ``limit``: the share above which it is reported.
    Try:               drop them before the split.
    False alarms:      intended oversampling, coarse data: hence info.
    References:        Barz & Denzler, Do we train on test data?, 2020.
    """
    rows = evidence.rows
    assert rows is not None
    if rows.duplicates is None:
        yield NotChecked(rows.reasons.get("duplicates", "rows cannot be compared"))
    elif rows.duplicates > limit:
        message = f"{rows.duplicates:.0%} of {rows.read} training rows equal an earlier row, above {limit:.0%}"
        yield Symptom("train loader", message, "drop duplicates before the split")


def _compares_classes(evidence: Evidence) -> bool:
    """Return whether a loss compares outputs with classes of the batch."""
    if evidence.trace is None:
        return False
    graph = evidence.graph
    ends = [loss.fed_by("target") for _, loss in graph.find("cross_entropy", "nll_loss")]
    return any(end is not None and graph[graph.source(end)].op == "batch" for end in ends)


def _is_weighted(evidence: Evidence) -> bool:
    """Return whether a loss has class weights or is a custom one, such as a focal loss."""
    if evidence.trace is None:
        return False
    losses = [operation for operation in evidence.trace.operations if operation.op in LOSSES]
    weighted = any(
        {"weight", "pos_weight"} & set(loss.names) or loss.settings.get("reduction") == "none" for loss in losses
    )
    return weighted or (evidence.trace.loss is not None and not losses)
