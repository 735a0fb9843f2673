"""Diagnose: one call from a model and a batch to a report."""

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
    """Say what is wrong with a model, from one batch, and what to try.

    One ``training_step`` is traced where there is one, else ``forward(*batch)`` or ``forward(**batch)``. Parameters,
    buffers, flags, gradients, generators of random numbers and what was logged are as they were afterwards.

    Args:
        model: a LightningModule or any module.
        batch: one batch; None takes the first of the training loader; without one only static rules are checked.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``.
        test_dataloaders: as for ``Trainer.test``; only whether its rows are in the other sets is looked at.
        datamodule: in place of all of them.
        select: codes (``PLC001``), prefixes (``PLC``) and names (``dropout-before-batchnorm``) of the rules to check.
        ignore: those not to check; ``"PLC001:encoder.*"`` leaves out what a rule says of modules whose path fits. A
            comment ``# lt: ignore[PLC001]`` in a class's source does so for that module.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        preview: check rules in preview, too.
        contracts: what must hold for this model: frozen parts, shape and range of the output.

    The settings in ``[tool.lightning-tricks.doctor]`` of the project's ``pyproject.toml`` apply: its ``ignore`` and
    ``options`` in addition to those given here, its ``select`` and ``contracts`` where none are given, its ``rules``.

    Returns:
        The findings, the worst first.

    Raises:
        ValueError: an unknown rule or option; the message offers the closest names.

    Example:
        >>> report = diagnose(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9)))
        >>> print(report.findings[0])
        warning PLC005 dropout-p-out-of-range at 1: Dropout has p = 0.9, above 0.7
    """
    # first, so that a misspelt argument is reported before anything is run
    checks = plan_checks(select, ignore, options, preview=preview, contracts=contracts)
    if not check_words("select", select):  # rules of a run are missed only by those who ask for them
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
