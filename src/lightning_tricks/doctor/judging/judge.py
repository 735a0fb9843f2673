"""Judge: run rules on evidence and return a report."""

import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lightning_tricks.core.arguments import check_words
from lightning_tricks.doctor.facts.contracts import Contracts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.judging.consequences import group_consequences
from lightning_tricks.doctor.judging.ignores import Ignore, ignores_among, ignores_in_source
from lightning_tricks.doctor.judging.own_rules import is_packaged
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import Outcome, codes_by_reason
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Rule, Symptom

_NEEDS = {"run": "it requires a training run: use the `Doctor` callback"}
_FAILED: list[Symptom | NotChecked | Observed] = [NotChecked("the rule failed")]


def judge(
    evidence: Evidence,
    rules: Iterable[Rule],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    ignore: Iterable[str] = (),
    notes: Iterable[str] = (),
    contracts: Contracts | None = None,
) -> Report:
    """Return the report of the given rules on the evidence.

    Args:
        evidence: the measured facts.
        rules: the rules to check.
        options: options by code, as returned by :func:`lightning_tricks.doctor.rules.registry.options_by_code`.
        ignore: only entries about a place, ``"PLC001:encoder.*"``, are used; comments in the source also count.
        notes: lines to include in the report.
        contracts: the contracts of the model.

    Example:
        >>> from torch import nn
        >>> from lightning_tricks.doctor.tracing.examine import examine
        >>> from lightning_tricks.doctor.rules.registry import choose_rules
        >>> report = judge(examine(nn.Dropout(0.9)), choose_rules(["PLC005"]))
        >>> [finding.code for finding in report.findings]
        ['PLC005']
    """
    chosen = tuple(rules)
    evidence = replace(evidence, contracts=contracts) if contracts is not None else evidence
    ignores = [*ignores_in_source(evidence.model), *ignores_among(check_words("ignore", ignore))]
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    failures: list[str] = []
    for rule in chosen:
        answers, failure = _ask(rule, evidence, rule.options | dict((options or {}).get(rule.code, {})))
        failures += failure
        symptoms = [each for each in answers if isinstance(each, Symptom)]
        kept = [each for each in symptoms if not _is_ignored(rule, each, ignores)]
        found = [_finding(rule, each) for each in merge_repeats(kept, evidence.model)]
        findings += found
        outcomes.append(_outcome(rule, found, len(kept) < len(symptoms), answers))
    findings, follows = group_consequences(findings, chosen)
    not_checked = [
        f"Not checked: {', '.join(codes)} ({reason})." for reason, codes in codes_by_reason(outcomes).items()
    ]
    return Report(
        evidence.model.kind,
        findings,
        [*notes, *evidence.own_failures, *failures, *follows, *not_checked],
        [rule.code for rule in chosen],
        evidence,
        outcomes,
        rules=chosen,
    )


def _ask(
    rule: Rule, evidence: Evidence, options: Mapping[str, Any]
) -> tuple[list[Symptom | NotChecked | Observed], list[str]]:
    """Return what a rule yields, and a note if it raised an exception."""
    absent = [part for part in rule.needs if _part(evidence, part) is None]
    if absent:
        return [NotChecked(evidence.missing.get(absent[0], _NEEDS.get(absent[0], f"no {absent[0]}")))], []
    if is_packaged(rule):
        failures = OwnFailures()
        found = failures.attempt(f"check {rule.code}", lambda: list(rule.check(evidence, **options)), _FAILED)
        return found, failures.notes
    try:
        return list(rule.check(evidence, **options)), []
    except Exception as error:  # a user-defined rule may raise any exception
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"the rule raised {type(error).__name__}: {error}"
        return [NotChecked(reason)], [f"Rule {rule.code} failed: {reason} ({frame.filename}:{frame.lineno})."]


def _part(evidence: Evidence, path: str) -> Any:
    value: Any = evidence
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _outcome(
    rule: Rule, found: list[Finding], some_ignored: bool, answers: list[Symptom | NotChecked | Observed]
) -> Outcome:
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return Outcome(rule.code, rule.name, "found", f"at {found[0].where or 'the model'}: {found[0].message}{more}")
    reasons = [each.reason for each in answers if isinstance(each, NotChecked)]
    if reasons:
        return Outcome(rule.code, rule.name, "not checked", reasons[0])
    if some_ignored:
        return Outcome(rule.code, rule.name, "ignored")
    return Outcome(
        rule.code, rule.name, "passed", "; ".join(each.text for each in answers if isinstance(each, Observed))
    )


def _is_ignored(rule: Rule, symptom: Symptom, ignores: list[Ignore]) -> bool:
    return any(ignore.covers(rule, symptom.where) for ignore in ignores)


def _finding(rule: Rule, symptom: Symptom) -> Finding:
    message = symptom.message if symptom.repeats == 1 else f"{symptom.message} ({symptom.repeats} times)"
    return Finding(rule.code, rule.name, symptom.severity or rule.severity, symptom.where, message, symptom.try_next)


def merge_repeats(symptoms: list[Symptom], model: ModelFacts) -> list[Symptom]:
    """Merge symptoms that differ only in the numbers of repeated blocks: ``encoder.layers.*.norm``."""
    if not symptoms:
        return []
    lists = {module.path for module in model.modules if module.isa("ModuleList")}
    groups: dict[tuple[str, str, object], list[Symptom]] = {}
    for each in dict.fromkeys(symptoms):  # a module that is called twice yields the same symptom twice
        place = block_pattern(each.where, lists)
        saying = re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", each.message)
        groups.setdefault((place, saying, each.severity), []).append(each)
    return [
        group[0]
        if len(group) == 1
        else Symptom(
            place if len({each.where for each in group}) > 1 else group[0].where,
            group[0].message,
            group[0].try_next,
            group[0].severity,
            sum(each.repeats for each in group),
        )
        for (place, _, _), group in groups.items()
    ]


def block_pattern(path: str, lists: Iterable[str] = ()) -> str:
    """Replace block numbers with ``*``: numbers that are not the last part of a path, or that are in a ``ModuleList``.

    Example:
        >>> block_pattern("encoder.layers.11.norm"), block_pattern("net.2"), block_pattern("norms.2", ["norms"])
        ('encoder.layers.*.norm', 'net.2', 'norms.*')
    """
    parts = path.split(".")
    inner = ["*" if part.isdigit() else part for part in parts[:-1]]
    last = "*" if parts[-1].isdigit() and ".".join(parts[:-1]) in lists else parts[-1]
    return ".".join([*inner, last])
