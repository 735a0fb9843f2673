"""SVG plots: line charts, heat maps and rows over steps as inline SVG that takes its colors from the page's style."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from lightning_tricks.reports.series import Series, thin

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 74, 12, 10, 34
COLORS = 8
"""Number of line colors that the page's style defines, as the classes ``c0`` to ``c7``."""


class _Scale(NamedTuple):
    """A linear or logarithmic mapping of values to a range of the picture."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.is_log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def line_chart(
    lines: Mapping[str, Series],
    *,
    alt: str,
    x_label: str = "optimizer step",
    y_label: str = "",
    dashed: Sequence[str] = (),
    levels: Mapping[str, float] | None = None,
    shade: tuple[str, str] | None = None,
    log_x: bool = False,
    marks: Mapping[str, float] | None = None,
) -> str:
    """Return a line chart with a legend below it; the y axis is logarithmic if positive values span two decades.

    Args:
        lines: lines by name; at least one has a finite value.
        alt: what the picture shows, for those who do not see it.
        x_label: name of the x axis.
        y_label: name of the y axis.
        dashed: names of dashed lines.
        levels: horizontal lines by name.
        shade: names of two lines between which to shade.
        log_x: whether the x axis is logarithmic.
        marks: vertical lines by name; those outside of the lines are left out.
    """
    points = {name: thin(series, 300).points for name, series in lines.items() if series.points}
    if log_x:
        points = {name: [(x, y) for x, y in line if x > 0] for name, line in points.items()}
    heights = [y for line in points.values() for _, y in line] + list((levels or {}).values())
    x, y = _x_scale(points, log_x), _y_scale(heights)
    parts = [_axes(x, y, x_label, y_label)]
    if shade is not None and all(name in points for name in shade):
        parts.append(_band(points[shade[0]], points[shade[1]], x, y))
    for number, (name, line) in enumerate(points.items()):
        dash = ' stroke-dasharray="6 4"' if name in dashed else ""
        parts.append(f'<path class="line c{number % COLORS}"{dash} d="{_path(line, x, y)}"/>')
        if len(line) == 1:
            parts.append(
                f'<circle class="dot c{number % COLORS}" cx="{x(line[0][0]):.1f}" cy="{y(line[0][1]):.1f}" r="3"/>'
            )
    for level in (levels or {}).values():
        parts.append(f'<path class="level" d="M{LEFT} {y(level):.1f}H{WIDTH - RIGHT}"/>')
    marks = {name: place for name, place in (marks or {}).items() if x.low <= place <= x.high}
    for place in marks.values():
        parts.append(f'<path class="level" d="M{x(place):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    keys = [_key(f"c{i % COLORS}", name, name in dashed) for i, name in enumerate(points)]
    keys += [_key("level", name, True) for name in [*(levels or {}), *marks]]
    return f'{_svg("".join(parts), alt)}<ul class="legend">{"".join(keys)}</ul>'


def heat_map(steps: Sequence[int], names: Sequence[str], rows: Sequence[Sequence[float | None]], *, alt: str) -> str:
    """Return a heat map of positive values on a log scale, from 1e-6 (pale) to 1 (dark); unknown values are gaps.

    Args:
        steps: the steps of the columns.
        names: the names of the rows.
        rows: one value per step, or ``None``.
        alt: what the picture shows, for those who do not see it.
    """
    cell = max(4.0, min(16.0, 420 / max(len(names), 1)))
    left, top = 150, 8
    width = (WIDTH - left - RIGHT) / max(len(steps), 1)
    parts = []
    every = max(1, math.ceil(11 / cell))
    shades: dict[float, list[str]] = {}  # one path for each shade: a rectangle for each cell takes ten times the space
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        if i % every == 0:
            parts.append(_text(left - 5, top + i * cell + cell / 2 + 3, _short(name, 24), "end"))
        for j, value in enumerate(row):
            if value is not None and value > 0:
                shade, start = _opacity(value), left + j * width
                shades.setdefault(shade, []).append(f"M{start:.1f} {top + (i + 0.5) * cell:.1f}h{width:.2f}")
    parts += [
        f'<path class="heat" stroke-width="{cell:.1f}" stroke-opacity="{shade}" d="{"".join(cells)}"/>'
        for shade, cells in sorted(shades.items())
    ]
    bottom = top + len(names) * cell
    parts += _step_labels(left, bottom, steps[0], steps[-1])
    return f"{_scrolled(parts, alt, bottom + 22)}{_heat_key()}"


class StepRow(NamedTuple):
    """A row of :func:`step_rows`.

    Attributes:
        label: stands to its left.
        step: where it begins.
        end: where its bar ends; ``None`` for a single event, drawn as a dot.
        style: the class of its color.
    """

    label: str
    step: int
    end: int | None = None
    style: str = "c0"


def step_rows(rows: Sequence[StepRow], last_step: int, *, alt: str) -> str:
    """Return events as dots, and what lasts as bars, one row each, over optimizer steps from 0.

    Args:
        rows: from the top.
        last_step: the right end of the axis.
        alt: what the picture shows, for those who do not see it.
    """
    top, height = 8, 18
    left = min(20 + 6.2 * max(len(row.label) for row in rows), 260)
    x = _Scale(0, max(last_step, 1), left + 6, WIDTH - RIGHT - 6)
    parts = []
    for i, row in enumerate(rows):
        middle = top + i * height + height / 2
        parts.append(f'<path class="grid" d="M{left} {middle:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(left - 6, middle + 4, _short(row.label, 38), "end"))
        if row.end is None:
            parts.append(f'<circle class="event {row.style}" cx="{x(row.step):.1f}" cy="{middle:.1f}" r="4.5"/>')
        else:
            parts.append(f'<path class="bar {row.style}" d="M{x(row.step):.1f} {middle:.1f}H{x(row.end):.1f}"/>')
    bottom = top + len(rows) * height
    parts += _step_labels(left, bottom, 0, max(last_step, 1))
    return _scrolled(parts, alt, bottom + 22)


def _step_labels(left: float, bottom: float, first: int, last: int) -> list[str]:
    """Return the labels of an axis of steps below rows."""
    ends = [_text(left, bottom + 14, str(first))]
    if last != first:
        ends.append(_text(WIDTH - RIGHT, bottom + 14, str(last), "end"))
    return [*ends, _text((left + WIDTH - RIGHT) / 2, bottom + 14, "optimizer step", "middle")]


def _scrolled(parts: Sequence[str], alt: str, height: float) -> str:
    """Return a picture whose rows have long labels: on a narrow screen it scrolls instead of shrinking."""
    return f'<div class="scroll" tabindex="0">{_svg("".join(parts), alt, height, "rows")}</div>'


def _heat_key() -> str:
    """Return the legend of a heat map."""
    shades = "".join(
        f'<li><svg class="mark" viewBox="0 0 22 8" aria-hidden="true"><path class="heat" stroke-width="8" '
        f'stroke-opacity="{_opacity(10.0**decade)}" d="M0 4H22"/></svg>1e{decade}</li>'
        for decade in range(-5, 1)
    )
    return f'<ul class="legend">{shades}</ul>'


def _short(text: str, length: int) -> str:
    """Return the end of a text, which distinguishes the parts of a model."""
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _svg(body: str, alt: str, height: float = HEIGHT, kind: str = "chart") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(alt)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(alt)}</title>{body}</svg>'
    )


def _x_scale(points: Mapping[str, Sequence[tuple[float, float]]], log_x: bool) -> _Scale:
    places = [x for line in points.values() for x, _ in line]
    return _Scale(min(places), max(places), LEFT, WIDTH - RIGHT, log_x)


def _y_scale(heights: Sequence[float]) -> _Scale:
    low, high = min(heights), max(heights)
    if low > 0 and high / low >= 100:
        return _Scale(low / 1.15, high * 1.15, HEIGHT - BOTTOM, TOP, True)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return _Scale(low - margin * (low != 0), high + margin, HEIGHT - BOTTOM, TOP)


def _ticks(scale: _Scale, count: int) -> list[float]:
    """Return round values within a scale."""
    if scale.is_log:
        decades = range(math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
        every = max(1, math.ceil(len(decades) / count))
        return [10.0**decade for decade in decades[::every]]
    span = (scale.high - scale.low) or 1.0
    magnitude = 10 ** math.floor(math.log10(span / count))
    step = next(magnitude * unit for unit in (1, 2, 5, 10) if span / (magnitude * unit) <= count)
    first = math.ceil(scale.low / step)
    return [number * step for number in range(first, math.floor(scale.high / step) + 1)]


def _axes(x: _Scale, y: _Scale, x_label: str, y_label: str) -> str:
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    for value in _ticks(y, 5):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, y(value) + 4, f"{value:.3g}", "end"))
    for value in _ticks(x, 6) if x.high > x.low else [x.low]:
        parts.append(_text(x(value), HEIGHT - BOTTOM + 15, f"{value:.6g}", "middle"))
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 4, x_label, "middle"))
    if y_label:
        upright = f'<g transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">'
        parts.append(f"{upright}{_text(0, 0, y_label, 'middle')}</g>")
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _opacity(value: float) -> float:
    """Return one of 40 shades."""
    return round(40 * min(max((math.log10(value) + 6) / 6, 0.025), 1)) / 40


def _path(line: Sequence[tuple[float, float]], x: _Scale, y: _Scale) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)


def _band(first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]], x: _Scale, y: _Scale) -> str:
    """Shade between two lines where both are defined."""
    low, high = max(first[0][0], second[0][0]), min(first[-1][0], second[-1][0])
    within = [[point for point in line if low <= point[0] <= high] for line in (first, second)]
    if not all(within):
        return ""
    return f'<path class="band" d="{_path([*within[0], *reversed(within[1])], x, y)}Z"/>'


def _key(style: str, name: str, is_dashed: bool) -> str:
    dash = ' stroke-dasharray="5 3"' if is_dashed else ""
    mark = (
        f'<svg class="mark" viewBox="0 0 22 8" aria-hidden="true"><path class="line {style}"{dash} d="M0 4H22"/></svg>'
    )
    return f"<li>{mark}{escape(name)}</li>"
