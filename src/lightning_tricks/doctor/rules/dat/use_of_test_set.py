"""Use of the test set."""

import re
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.samples import what_uses_parts_of_rows
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, Symptoms, rule

_TEST = re.compile(r"(^|[^a-z])test([^a-z]|$)", re.IGNORECASE)


@rule("DAT012", "error", kind="static", needs=("test_rows",))
def test_overlap(evidence: Evidence, *, share: float = 0.01) -> Symptoms:  # noqa: PT028 (a rule, not a test)
    """Test rows in the training or validation set.

    What it looks at:  the indices, if the sets are subsets of one dataset; otherwise the contents of up to 2,048 rows.
    Why it matters:    the test score then measures memorization, not performance on new data.
    Options:           ``share``: the share of test rows from which it is reported.
    Try:               split once, with a fixed seed, and store the indices.
    False alarms:      coarse rows that coincide by chance: subtracted as in train-val-overlap. Blank rows are left out.
    References:        Kapoor & Narayanan, Leakage and the reproducibility crisis, 2023.
    """
    if part := what_uses_parts_of_rows(evidence):
        yield NotChecked(f"training uses a part of each row ({part}): rows may be split internally")
        return
    for name, facts in (evidence.test_rows or {}).items():
        if facts.overlap is None:
            yield NotChecked(facts.reasons.get("overlap", "rows could not be compared"))
        elif facts.overlap_beyond_chance() >= share:
            message = f"{facts.overlap:.0%} of the test rows are in the {name} set ({facts.overlapping} found"
            message += ", by their indices)" if facts.overlap_by == "indices" else ")"
            yield Symptom("test loader", message, "split once, with a fixed seed, and store the indices")


@rule("DAT013", "error", kind="static", needs=("plan",))
def monitors_test(evidence: Evidence) -> Iterator[Symptom]:
    """A callback or scheduler that monitors a metric of the test set.

    What it looks at:  ``monitor`` of every callback of the Trainer and of plateau schedulers.
    Why it matters:    training is then stopped, or the checkpoint is selected, by the test set: the test score no
                       longer measures performance on unseen data.
    Try:               monitor the same metric on a validation set.
    False alarms:      a validation metric whose name contains the word "test".
    References:        Kapoor & Narayanan, Leakage and the reproducibility crisis, 2023.
    """
    for found in evidence.plan.monitors if evidence.plan is not None else ():
        if _TEST.search(found.monitor):
            replacement = _TEST.sub(r"\1val\2", found.monitor)
            message = f"{found.kind} monitors {found.monitor!r}, a metric of the test set"
            yield Symptom(found.kind, message, f"monitor={replacement!r}")
