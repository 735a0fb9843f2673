"""Placement check: the doctor with only the rules on the placement of layers."""

from collections.abc import Sequence
from typing import Any, Literal

from lightning_tricks.callbacks.doctor import Doctor


class PlacementCheck(Doctor):
    """Report misplaced dropout, batch norms and activations before training starts, and suggest remedies.

    Use when: a custom model combines dropout and BatchNorm, or its test scores are far below its training scores.

    Where it acts: as :class:`Doctor`, but only with the PLC rules: before the first step only.

    Interacts with: as :class:`Doctor`, which includes these rules: use one of the two.

    Args:
        ignore: codes and names of PLC rules to skip; ``"PLC001:encoder.*"`` skips a rule for matching modules.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        fail_on: stop the fit on every process if there is a finding of at least this severity: ``"warning"`` or
            ``"error"``.

    Attributes:
        report: the :class:`Report` of the last fit; ``None`` before.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an unknown rule or option; the message suggests close matches.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at run time, with the report, see ``fail_on``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import PlacementCheck
        >>> trainer = Trainer(callbacks=[PlacementCheck()])

        With Hydra: ``tricks=[placement_check]``

    See :func:`lightning_tricks.doctor.judging.diagnose.diagnose` for use without a fit, with ``select=["PLC"]``.
    """

    checklist_roles = ()

    def __init__(
        self,
        *,
        ignore: Sequence[str] = (),
        options: dict[str, dict[str, Any]] | None = None,
        fail_on: Literal["error", "warning"] | None = None,
    ) -> None:
        super().__init__(select=("PLC",), ignore=ignore, options=options, fail_on=fail_on)
