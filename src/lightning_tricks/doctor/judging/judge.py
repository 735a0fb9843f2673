"""Judge: run rules over evidence and make a report of what they find."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.judging.consequences import group_consequences
from lightning_tricks.doctor.judging.ignores import Ignore, ignores_among, ignores_in_source
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.registry import as_words, merge_options
from lightning_tricks.doctor.rules.rule import NotChecked, Rule, Symptom

_NEEDS = {"run": "it needs a training run: use the callback `Doctor`"}


def judge(
    evidence: Evidence,
    rules: Iterable[Rule],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    ignore: Iterable[str] = (),
) -> Report:
    """Return the report of these rules on this evidence.

    Args:
        evidence: what is known.
        rules: those to check.
        options: by code or name, see :func:`lightning_tricks.doctor.rules.registry.merge_options`.
        ignore: of these words the ones about a place, ``"PLC001:encoder.*"``; comments in the source count as well.

    Example:
        >>> from torch import nn
        >>> from lightning_tricks.doctor.tracing.examine import examine
        >>> from lightning_tricks.doctor.rules.registry import choose_rules
        >>> report = judge(examine(nn.Dropout(0.9)), choose_rules(["PLC005"]))
        >>> [finding.code for finding in report.findings]
        ['PLC005']
    """
    chosen = tuple(rules)
    merged = merge_options(chosen, options)
    ignores = [*ignores_in_source(evidence.model), *ignores_among(as_words(ignore))]
    findings: list[Finding] = []
    reasons: dict[str, list[str]] = {}
    for rule in chosen:
        symptoms, not_checked = _check(rule, evidence, merged[rule.code])
        symptoms = [each for each in symptoms if not _is_ignored(rule, each, ignores)]
        for reason in not_checked:
            reasons.setdefault(reason, []).append(rule.code)
        findings += [_finding(rule, symptom) for symptom in put_repeats_together(symptoms, evidence.model)]
    findings, notes = group_consequences(findings, chosen)
    notes += [f"Not checked: {', '.join(codes)} ({reason})." for reason, codes in reasons.items()]
    return Report(evidence.model.kind, findings, notes, [rule.code for rule in chosen], evidence)


def _check(rule: Rule, evidence: Evidence, options: Mapping[str, Any]) -> tuple[list[Symptom], list[str]]:
    absent = [part for part in rule.needs if getattr(evidence, part) is None]
    if absent:
        return [], [evidence.missing.get(absent[0], _NEEDS.get(absent[0], f"no {absent[0]}"))]
    found = list(rule.check(evidence, **options))
    symptoms = [each for each in found if isinstance(each, Symptom)]
    return symptoms, list(dict.fromkeys(each.reason for each in found if isinstance(each, NotChecked)))


def _is_ignored(rule: Rule, symptom: Symptom, ignores: list[Ignore]) -> bool:
    return any(ignore.covers(rule, symptom.where) for ignore in ignores)


def _finding(rule: Rule, symptom: Symptom) -> Finding:
    message = symptom.message if symptom.repeats == 1 else f"{symptom.message} ({symptom.repeats} times)"
    return Finding(rule.code, rule.name, symptom.severity or rule.severity, symptom.where, message, symptom.try_next)


def put_repeats_together(symptoms: list[Symptom], model: ModelFacts) -> list[Symptom]:
    """Make one symptom of those that differ in the numbers of repeated blocks alone: ``encoder.layers.*.norm``."""
    lists = {module.path for module in model.modules if module.isa("ModuleList")}
    groups: dict[tuple[str, str, object], list[Symptom]] = {}
    for each in dict.fromkeys(symptoms):  # a module that is called twice says the same twice
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
    """Put ``*`` for the number of a block, that is for a number with something below it, or in a ``ModuleList``.

    Example:
        >>> block_pattern("encoder.layers.11.norm"), block_pattern("net.2"), block_pattern("norms.2", ["norms"])
        ('encoder.layers.*.norm', 'net.2', 'norms.*')
    """
    parts = path.split(".")
    inner = ["*" if part.isdigit() else part for part in parts[:-1]]
    last = "*" if parts[-1].isdigit() and ".".join(parts[:-1]) in lists else parts[-1]
    return ".".join([*inner, last])
