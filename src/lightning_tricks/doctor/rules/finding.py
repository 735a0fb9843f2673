"""Findings: a problem, its place, and a remedy."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Severity = Literal["error", "warning", "info"]

# From most to least severe; the index is the rank.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """A problem that a rule found.

    Attributes:
        code: the rule's code, such as ``PLC001``.
        name: the rule's name, such as ``dropout-before-batchnorm``.
        severity: ``error`` (the result is wrong), ``warning`` (likely worse) or ``info``.
        where: a module's path, ``""`` for the model itself; otherwise ``batch``, ``loss``, ``optimizer 0``, ...; a
            repeated block is ``encoder.layers.*``.
        message: the class, the observed number, the threshold.
        try_next: the remedy: an option to paste (``tricks=[gradient_clipping]``) or a change of one line.

    Example:
        >>> finding = Finding("LOS005", "softmax-single-output", "error", "head", "of size 1", "use a sigmoid")
        >>> finding.at_least("warning")
        True
    """

    code: str
    name: str
    severity: Severity
    where: str
    message: str
    try_next: str

    def at_least(self, severity: Severity) -> bool:
        """Return whether the finding has at least this severity."""
        return SEVERITIES.index(self.severity) <= SEVERITIES.index(severity)

    @property
    def fingerprint(self) -> str:
        """A hash of the rule and the place, without block numbers, that is stable while the model is edited.

        Numbers in the message, the order of findings, lines of the source and the number of repeats do not change it.

        Example:
            >>> one = Finding("PLC005", "", "info", "layers.3.drop", "p = 0.6", "")
            >>> one.fingerprint == Finding("PLC005", "", "info", "layers.*.drop", "p = 0.7 (4 times)", "").fingerprint
            True
        """
        place = ".".join("*" if part.isdigit() else part for part in self.where.split("."))
        return sha256(f"{self.code}\n{place}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.severity:<7} {self.code} {self.name} at {self.where or 'the model'}: {self.message}"
