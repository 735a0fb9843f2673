"""Run history: the data of a run for its report, as bounded series that survive a restart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_tricks.reports.run_data import RatioMap, ReportedFinding, Thaw
from lightning_tricks.reports.series import Series, extend, finite

_COLUMNS = 60
_ROWS = 240


@dataclass
class RunHistory:
    """Series by key and events by step; the same on every process after :meth:`add`.

    Attributes:
        series: series by key, such as ``metric:val_loss`` and ``lr:0.1``.
        grad_norm: gradient norms of sampled steps.
        ratios: relative updates by weight.
        findings: findings of the doctor, with the step at which each first occurred.
        thaws: changes of the layer groups that train.
    """

    series: dict[str, Series] = field(default_factory=dict)
    grad_norm: Series = field(default_factory=Series)
    ratios: RatioMap = field(default_factory=RatioMap)
    findings: list[ReportedFinding] = field(default_factory=list)
    thaws: list[Thaw] = field(default_factory=list)

    def add(self, samples: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Append samples, in the order of their steps."""
        points: dict[str, list[tuple[int, float | None]]] = {}
        for step, values in samples:
            for name, value in values.items():
                points.setdefault(name, []).append((step, value))
        for name, added in points.items():
            self.series[name] = extend(self.series.get(name, Series()), added)

    def add_look(self, step: int, names: list[str], numbers: list[float]) -> None:
        """Append the measurements of :class:`StepWatch`: the norm, then gradients, then relative updates."""
        self.grad_norm = extend(self.grad_norm, [(step, numbers[0])])
        self.ratios = add_column(self.ratios, step, dict(zip(names, numbers[1 + len(names) :], strict=False)))

    def by_kind(self, kind: str) -> dict[str, Series]:
        """Return the series of a kind (``metric``, ``lr`` or ``factor``) by name."""
        start = f"{kind}:"
        return {name.removeprefix(start): found for name, found in self.series.items() if name.startswith(start)}

    def note_findings(self, step: int, findings: Iterable[Any]) -> None:
        """Record new findings of the doctor; earlier findings that no longer exist are dropped."""
        known = {(found.code, found.where): found for found in self.findings}
        self.findings = [
            known.get((found.code, found.where))
            or ReportedFinding(step, found.code, found.name, found.severity, found.where, found.message, found.try_next)
            for found in findings
        ]

    def note_thawed(self, step: int, groups: Iterable[int]) -> None:
        """Record which layer groups train, if that has changed."""
        now = tuple(groups)
        if now and (not self.thaws or self.thaws[-1].groups != now):
            self.thaws.append(Thaw(step, now))

    def to_plain(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts."""
        return {
            "series": {name: [list(found.steps), list(found.values)] for name, found in self.series.items()},
            "grad_norm": [list(self.grad_norm.steps), list(self.grad_norm.values)],
            "ratios": [list(self.ratios.steps), list(self.ratios.names), [list(row) for row in self.ratios.rows]],
            "findings": [list(vars(found).values()) for found in self.findings],
            "thaws": [[thaw.step, list(thaw.groups)] for thaw in self.thaws],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "RunHistory":
        """Return the history that :meth:`to_plain` was called on."""
        steps, names, rows = plain["ratios"]
        return cls(
            {name: Series(tuple(found[0]), tuple(found[1])) for name, found in plain["series"].items()},
            Series(*map(tuple, plain["grad_norm"])),
            RatioMap(tuple(steps), tuple(names), tuple(map(tuple, rows))),
            [ReportedFinding(*found) for found in plain["findings"]],
            [Thaw(step, tuple(groups)) for step, groups in plain["thaws"]],
        )


def add_column(ratios: RatioMap, step: int, values: Mapping[str, float]) -> RatioMap:
    """Return a map with one more step; if there are more than 120 columns, every second one is dropped.

    Example:
        >>> add_column(add_column(RatioMap(), 0, {"a": 0.5}), 50, {"a": 0.25, "b": 1.0}).rows
        ((0.5, 0.25), (None, 1.0))
    """
    names = (*ratios.names, *(name for name in values if name not in ratios.names))[:_ROWS]
    gap = (None,) * len(ratios.steps)
    rows = [*ratios.rows, *[gap] * (len(names) - len(ratios.rows))]
    steps = (*ratios.steps, step)
    rounded = {name: finite(float(f"{value:.3g}")) for name, value in values.items()}
    longer = [(*row, rounded.get(name)) for name, row in zip(names, rows, strict=True)]
    if len(steps) > 2 * _COLUMNS:
        steps, longer = steps[::2], [row[::2] for row in longer]
    return RatioMap(steps, names, tuple(longer))
