"""Read splits: add to the evidence how the training, validation and test sets differ and overlap."""

from dataclasses import replace
from typing import Any

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.reading.compare_splits import compare_splits
from lightning_tricks.doctor.reading.read_data import first_loader
from lightning_tricks.doctor.reading.read_test_set import read_test_rows


def add_split_facts(evidence: Evidence, train: Any, val: Any, test: Any) -> Evidence:
    """Return the evidence with the differences and overlaps of the datasets, and a reason for each missing part."""
    splits = compare_splits(first_loader(train), first_loader(val))
    missing = dict(evidence.missing)
    if isinstance(splits, str):
        missing["splits"] = splits
    if test is None:
        missing["test_rows"] = "no test loader was given"
    return replace(
        evidence,
        splits=None if isinstance(splits, str) else splits,
        test_rows=None if test is None else read_test_rows(train, val, test),
        missing=missing,
    )
