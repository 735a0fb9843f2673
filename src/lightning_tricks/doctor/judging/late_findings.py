"""Late findings: judge a running training, and add new findings to the report of its start."""

from collections.abc import Collection
from dataclasses import replace

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.judging.consequences import fold_repetitions
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.judging.project import Checks
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import Outcome

_DURING_TRAINING = "checked during training"


def judge_start(evidence: Evidence, checks: Checks, late_codes: Collection[str]) -> Report:
    """Return the report before the first step.

    Args:
        evidence: the measured facts.
        checks: all rules to check.
        late_codes: rules that are checked only during training, and have not passed yet.
    """
    report = judge(replace(evidence, run=RunFacts()), *checks)
    outcomes = [_not_yet_passed(outcome) if outcome.code in late_codes else outcome for outcome in report.outcomes]
    return replace(report, outcomes=outcomes)


def judge_late(report: Report, evidence: Evidence, checks: Checks) -> tuple[Report, Report]:
    """Judge a training; a repetition of an earlier finding becomes a note.

    Args:
        report: the report so far.
        evidence: the facts of the run up to now.
        checks: the rules that are checked during training.

    Returns:
        A report of the new findings alone, and ``report`` with them added.
    """
    late = judge(evidence, *checks)
    earlier = report.findings
    late.findings = [found for found in late.findings if not any(_covers(known, found) for known in earlier)]
    late.findings, repeated = fold_repetitions(late.findings, earlier)
    notes = [note for note in (*late.notes, *repeated) if note not in report.notes and not _is_on_unchecked_rules(note)]
    kept = [known for known in earlier if not any(_covers(found, known) for found in late.findings)]
    judged = {outcome.code: outcome for outcome in late.outcomes}
    return late, replace(
        report,
        findings=[*kept, *late.findings],
        notes=[*report.notes, *notes],
        outcomes=[_join(outcome, judged.get(outcome.code, outcome)) for outcome in report.outcomes],
    )


def _join(earlier: Outcome, late: Outcome) -> Outcome:
    """Return the outcome of a rule that may also have been checked on the first batch."""
    stays_found = earlier.status == "found" and late.status != "found"
    says_less = late.status == "not checked" and earlier.detail != _DURING_TRAINING
    return earlier if stays_found or says_less else late


def _not_yet_passed(outcome: Outcome) -> Outcome:
    if outcome.status != "passed":
        return outcome
    return replace(outcome, status="not checked", detail=_DURING_TRAINING)


def _covers(finding: Finding, other: Finding) -> bool:
    """Return whether a finding is the same as the other one, or a more severe form of it."""
    return (finding.code, finding.where) == (other.code, other.where) and finding.at_least(other.severity)


def _is_on_unchecked_rules(note: str) -> bool:
    """Return whether a note is on unchecked run-time rules; the first report contains it."""
    return note.startswith("Not checked")
