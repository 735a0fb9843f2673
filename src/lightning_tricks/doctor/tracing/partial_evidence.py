"""Partial evidence: why parts of the evidence are missing, and which exceptions were raised."""

from collections.abc import Callable
from typing import Any

from lightning_tricks.doctor.facts.evidence import ErrorFact
from lightning_tricks.doctor.facts.own_failures import OwnFailures

_UNKNOWN = "the doctor could not measure it"
_NAMES = {
    "train_loader": "training loader",
    "val_loader": "validation loader",
    "test_loader": "test loader",
    "splits": "validation and test sets",
    "behaviour": "model in eval mode",
}


class PartialEvidence:
    """The missing parts of an examination.

    Attributes:
        missing: the reason for each missing part.
        errors: exceptions of the user's code.
        failures: exceptions of the doctor itself.
    """

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self.errors: list[ErrorFact] = []
        self.failures = OwnFailures()

    def attempt(self, part: str, measure: Callable[[], Any]) -> Any:
        """Return a part of the evidence, or a substitute if the doctor fails to measure it."""
        failed = object()
        found = self.failures.attempt(f"measure the {_NAMES.get(part, part)}", measure, failed)
        if found is failed:
            self.missing[part] = _UNKNOWN
            return None
        return found
