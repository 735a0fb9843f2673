"""Gradient check result: the result of comparing gradients with finite differences, as data and as a table."""

import html
from dataclasses import asdict, dataclass, field
from typing import Any

_SHOWN = 12


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """The result of comparing the gradients of a training step with finite differences.

    Attributes:
        ok: whether all directions and parameters agree.
        relative_difference: :math:`‖g − g'‖ / (‖g‖ + ‖g'‖)` over random directions in all parameters, in [0, 1];
            differences below the rounding error count as 0.
        by_parameter: the same for each parameter separately, the worst first.
        kinks: parameters, or directions in all of them, along which the loss has no derivative at this point (a ReLU
            at 0, a tie of a maximum) or differences contradict each other. They are not counted as errors.
        unchecked: parameters that were not checked within the time budget.
        tol: the largest accepted relative difference.

    Example:
        >>> print(GradientCheck(False, 0.2, {"head.weight": 1.0, "head.bias": 2e-10}, []))
        gradients are wrong: relative difference 2.0e-01, above 1e-07
        wrong  1.0e+00  head.weight
        right  2.0e-10  head.bias
    """

    ok: bool
    relative_difference: float
    by_parameter: dict[str, float]
    kinks: list[str]
    unchecked: list[str] = field(default_factory=list)
    tol: float = 1e-7

    @property
    def wrong(self) -> list[str]:
        """The parameters whose gradients are wrong, the worst first."""
        return [name for name, difference in self.by_parameter.items() if difference > self.tol]

    def __str__(self) -> str:
        return "\n".join(self._lines(_SHOWN))

    def _lines(self, most: int) -> list[str]:
        relation = "above" if self.relative_difference > self.tol else "within"
        head = f"gradients are {'right' if self.ok else 'wrong'}: relative difference {self.relative_difference:.1e}"
        lines = [f"{head}, {relation} {self.tol:g}"]
        rows = list(self.by_parameter.items())
        for name, difference in rows[:most]:
            lines.append(f"{'wrong' if difference > self.tol else 'right'}  {difference:.1e}  {name}")
        if len(rows) > most:
            lines.append(f"and {len(rows) - most} more, the largest at {rows[most][1]:.1e}")
        for title, names in (("kinks", self.kinks), ("not checked, out of time", self.unchecked)):
            if names:
                more = f" and {len(names) - most} more" if len(names) > most else ""
                lines.append(f"{title}: {', '.join(names[:most])}{more}")
        return lines

    def _repr_html_(self) -> str:
        return f"<div><pre>{html.escape(str(self))}</pre></div>"

    def __repr__(self) -> str:
        return f"GradientCheck(ok={self.ok}, relative_difference={self.relative_difference:.2g}, wrong={self.wrong})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts."""
        return asdict(self)
