"""Diagnose: check a model on one batch and return a report."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from lightning_tricks.core.arguments import check_words
from lightning_tricks.doctor.facts.contracts import Contracts
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.judging.project import plan_checks
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.tracing.examine import examine


def diagnose(
    model: nn.Module,
    batch: Any = None,
    *,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    test_dataloaders: Any = None,
    datamodule: Any = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    preview: bool = False,
    contracts: Contracts | None = None,
) -> Report:
    """Check a model on one batch and report problems with remedies.

    If the model has a ``training_step``, one step is traced, otherwise ``forward(*batch)`` or ``forward(**batch)``.
    Parameters, buffers, flags, gradients, random number generators and logged values are restored afterwards.

    Args:
        model: a LightningModule or any module.
        batch: one batch; None: the first batch of the training loader. Without one, only static rules are checked.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``.
        test_dataloaders: as for ``Trainer.test``; only used to check whether its rows are in the other sets.
        datamodule: replaces all loaders.
        select: codes (``PLC001``), prefixes (``PLC``) and names (``dropout-before-batchnorm``) of the rules to check.
        ignore: rules to skip; ``"PLC001:encoder.*"`` ignores findings of modules whose path matches. A comment
            ``# lt: ignore[PLC001]`` in the source of a class does the same for that module.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        preview: also check rules in preview.
        contracts: requirements of this model: frozen parts, shape and range of the output.

    The settings in ``[tool.lightning-tricks.doctor]`` of the project's ``pyproject.toml`` apply: its ``ignore`` and
    ``options`` in addition to those given here, its ``select`` and ``contracts`` if none are given, and its ``rules``.

    Returns:
        The report, with the most severe findings first.

    Raises:
        ValueError: an unknown rule or option; the message suggests close matches.

    Example:
        >>> report = diagnose(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9)))
        >>> print(report.findings[0])
        warning PLC005 dropout-p-out-of-range at 1: Dropout has p = 0.9, above 0.7
    """
    # first, so that a misspelled argument is reported before anything runs
    checks = plan_checks(select, ignore, options, preview=preview, contracts=contracts)
    if not check_words("select", select):  # run-time rules are "not checked" only if they were selected
        checks = checks._replace(rules=tuple(rule for rule in checks.rules if rule.kind != "run"))
    evidence = examine(
        model,
        batch,
        train_dataloaders=train_dataloaders,
        val_dataloaders=val_dataloaders,
        test_dataloaders=test_dataloaders,
        datamodule=datamodule,
        overfit=any("overfit" in rule.needs for rule in checks.rules),
    )
    return judge(evidence, *checks)
