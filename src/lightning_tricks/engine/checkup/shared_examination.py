"""Shared examination: the text in which process 0 sends its report and its facts on the start to all others."""

import json
from typing import NamedTuple

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import StartFact
from lightning_tricks.doctor.facts.starting_facts import starting_facts
from lightning_tricks.doctor.judging.report import Report


class SharedExamination(NamedTuple):
    """What every process knows of the examination before the first step.

    Attributes:
        report: the report.
        start: the facts that run-time rules need.
    """

    report: Report
    start: StartFact


def examination_to_text(report: Report, evidence: Evidence) -> str:
    """Return a report and the facts on the start, as JSON."""
    return json.dumps([report.to_json(), to_plain(starting_facts(evidence))])


def examination_from_text(text: str) -> SharedExamination:
    """Return the result of :func:`examination_to_text` as objects."""
    report, start = json.loads(text)
    return SharedExamination(Report.from_json(report), from_plain(StartFact, start))
