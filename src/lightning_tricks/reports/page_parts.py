"""Page parts: sections, figures and tables of the pages about runs, with escaped text."""

from collections.abc import Mapping, Sequence
from html import escape

from lightning_tricks.reports.series import Series


def section(title: str, *parts: str) -> str:
    """Return a section with its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def figure(title: str, chart: str, beside: str) -> str:
    """Return a figure with its caption and a table below it."""
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f"<figure>{caption}{chart}{beside}</figure>"


def alt_text(title: str, lines: Mapping[str, Series]) -> str:
    """Return the alternative text of a line chart."""
    said = [
        f"{name} from {series.points[0][1]:.4g} to {series.points[-1][1]:.4g}"
        for name, series in list(lines.items())[:4]
        if series.points
    ]
    return f"{title}: {'; '.join(said)}."


def series_table(lines: Mapping[str, Series]) -> str:
    """Return a table of the first, last, lowest and highest value of each line."""
    rows = []
    for name, series in lines.items():
        points = series.points
        low, high = (pick(points, key=lambda point: point[1]) for pick in (min, max))
        missing = len(series.values) - len(points)
        cells = [number(points[0][1]), number(points[-1][1]), *(f"{number(v)} (step {s})" for s, v in (low, high))]
        rows.append((name, *cells, str(missing)))
    return table(("series", "first", "last", "lowest", "highest", "not finite"), rows)


def number(value: float | None) -> str:
    """Return a number with four digits; empty for ``None``."""
    return "" if value is None else f"{value:.4g}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], is_open: bool = False, style: str = "") -> str:
    """Return a collapsible table, initially closed unless ``is_open``."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    scrolled = f'<div class="scroll {style}" tabindex="0">{whole}</div>'
    count = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    return scrolled if is_open else f"<details><summary>Table ({count})</summary>{scrolled}</details>"


def chunks(names: Sequence[str], size: int = 8) -> list[list[str]]:
    """Return names in lists with at most as many entries as a chart has colors."""
    return [list(names[i : i + size]) for i in range(0, len(names), size)]
