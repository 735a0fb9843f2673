"""Placement check: the doctor with the rules on where layers stand alone."""

from collections.abc import Sequence
from typing import Any, Literal

from lightning_tricks.callbacks.doctor import Doctor


class PlacementCheck(Doctor):
    """Say where dropout, BatchNorm and activations stand wrong, before the model trains on, and what to try.

    Use when: a model of one's own mixes dropout and BatchNorm; its test scores are far below those of training.

    Where it acts: as :class:`Doctor`, of which it is the PLC rules alone: before the first step, and nothing after it.

    Interacts with: as :class:`Doctor`, which checks the same rules and more: one of them is enough.

    Args:
        ignore: codes and names of PLC rules not to check; ``"PLC001:encoder.*"`` in one place.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        fail_on: end the fit on every process where something as bad is found: ``"warning"`` or ``"error"``.

    Attributes:
        report: the :class:`Report` of the last fit, ``None`` before.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an unknown rule or option; the message offers the closest names.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at run time, with the report, see ``fail_on``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import PlacementCheck
        >>> trainer = Trainer(callbacks=[PlacementCheck()])

        With Hydra: ``tricks=[placement_check]``

    See :func:`lightning_tricks.doctor.judging.diagnose.diagnose` for use without a fit, with ``select=["PLC"]``.
    """

    def __init__(
        self,
        *,
        ignore: Sequence[str] = (),
        options: dict[str, dict[str, Any]] | None = None,
        fail_on: Literal["error", "warning"] | None = None,
    ) -> None:
        super().__init__(select=("PLC",), ignore=ignore, options=options, fail_on=fail_on)
