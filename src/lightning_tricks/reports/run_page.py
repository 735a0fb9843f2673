"""Run page: the report of a run as one self-contained HTML page, without scripts and without requests."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from lightning_tricks.reports.loss_names import training_and_validation
from lightning_tricks.reports.run_data import RunData
from lightning_tricks.reports.run_style import PAGE, STYLE
from lightning_tricks.reports.series import Series
from lightning_tricks.reports.svg_plots import heat_map, line_chart

_MAX_LINES = 8


def show_page(record: RunData) -> str:
    """Return a page of its own, light and dark, for screens from 380 pixels and for paper."""
    return PAGE.format(title=escape(f"Run of {record.model}"), style=STYLE, body=_body(record))


def show_fragment(record: RunData) -> str:
    """Return what a notebook shows."""
    return f"<style>{STYLE}</style>{_body(record)}"


def _body(record: RunData) -> str:
    shown = [section(record) for section in _SECTIONS]
    head = f'<h1>Run of {escape(record.model)}</h1><p class="lead">{escape(record.sentence())}</p>'
    return f'<main class="lt-run">{head}{"".join(shown)}</main>'


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _metrics(record: RunData) -> str:
    losses = {name: series for name, series in record.metrics.items() if "loss" in name.lower() and series.points}
    others = {
        name: series
        for name, series in record.metrics.items()
        if name not in losses and series.points and not name.startswith(("grad_norm", "clip_", "num_skipped"))
    }
    parts = []
    for title, group in (("Losses", losses), ("Other metrics", others)):
        for names in _chunks(list(group)):
            lines = {name: group[name] for name in names}
            chart = line_chart(lines, alt=_alt(title, lines), shade=training_and_validation(lines))
            parts.append(_figure(title, chart, _series_table(lines)))
    unread = [name for name, series in record.metrics.items() if series.values and not series.points]
    if unread:
        parts.append(f"<p>Never finite: {escape(', '.join(unread[:20]))}.</p>")
    return _section("Losses and metrics", *parts) if parts else ""


def _rates(record: RunData) -> str:
    parts = []
    by_group = {f"optimizer {place.replace('.', ', group ')}": series for place, series in record.lrs.items()}
    for title, group in (("Learning rate by group", by_group), ("Factors", record.factors)):
        group = {name: series for name, series in group.items() if series.points}
        for names in _chunks(list(group))[:2]:
            lines = {name: group[name] for name in names}
            parts.append(_figure(title, line_chart(lines, alt=_alt(title, lines)), _series_table(lines)))
    parts.append(_finder(record))
    return _section("Learning rate", *parts) if any(parts) else ""


def _finder(record: RunData) -> str:
    sweep = record.sweep
    if sweep is None or not any(loss is not None for loss in sweep.losses):
        return ""
    suggestion = "none" if sweep.suggestion is None else f"{sweep.suggestion:.3g}"
    points = Series(sweep.lrs, sweep.losses)  # type: ignore[arg-type]
    alt = f"Loss over learning rate of the range test; suggestion: {suggestion}."
    chart = line_chart({"loss": points}, alt=alt, x_label="learning rate", y_label="loss", log_x=True)
    return _figure(
        "Learning-rate finder",
        chart,
        f"<p>Suggestion: {suggestion}. {escape(sweep.reason[:1].upper() + sweep.reason[1:])}</p>",
    )


def _gradients(record: RunData) -> str:
    parts = []
    if record.grad_norm.points:
        levels = {f"max_norm {clip.max_norm:g}": clip.max_norm for clip in record.clipping if clip.max_norm is not None}
        lines = {"norm before clipping": record.grad_norm}
        alt = _alt("Gradient norm", lines)
        parts.append(_figure("Gradient norm", line_chart(lines, alt=alt, levels=levels), _series_table(lines)))
    shares = {name: series for name, series in record.metrics.items() if name.startswith("clip_rate") and series.points}
    if shares:
        chart = line_chart(shares, alt=_alt("Share of clipped steps", shares))
        parts.append(_figure("Share of clipped steps", chart, _series_table(shares)))
    for clip in record.clipping:
        parts.append(f"<p><code>{escape(clip.callback)}</code> skipped {clip.skipped} steps that were not finite.</p>")
    return _section("Gradients", *parts) if parts else ""


def _updates(record: RunData) -> str:
    ratios = record.update_ratios
    if not any(value for row in ratios.rows for value in row if value is not None):
        return ""
    lasts = [next((value for value in reversed(row) if value is not None), None) for row in ratios.rows]
    alt = f"Update relative to weight, for {len(ratios.names)} weights at {len(ratios.steps)} steps."
    chart = heat_map(ratios.steps, ratios.names, ratios.rows, alt=alt)
    rows = [(name, _number(last)) for name, last in zip(ratios.names, lasts, strict=True)]
    note = "<p>Root mean square of the update relative to that of the weight. Typical values are near 1e-3.</p>"
    return _section("Updates by weight", note, _figure("", chart, _table(("weight", "last ratio"), rows)))


def _findings(record: RunData) -> str:
    if not record.findings:
        return ""
    items = []
    for found in sorted(record.findings, key=lambda finding: finding.step):
        place = f" at <code>{escape(found.where)}</code>" if found.where else ""
        chip = f'<strong class="{escape(found.severity)}">{escape(found.severity)}</strong>'
        head = f"Step {found.step}: {chip} {escape(found.code)} {escape(found.name)}{place}"
        items.append(f"<li>{head}<br>{escape(found.message)}<br>Try: <code>{escape(found.try_next)}</code></li>")
    return _section("Findings of the doctor", f"<ol>{''.join(items)}</ol>")


def _layers(record: RunData) -> str:
    if not record.thaws:
        return ""
    count = len(record.layer_groups)
    rows = [(thaw.step, ", ".join(map(str, thaw.groups)), f"{len(thaw.groups)} of {count}") for thaw in record.thaws]
    named = "".join(f"<li>{escape(name)}</li>" for name in record.layer_groups)
    table = _table(("from step", "groups that train", "number"), rows, is_open=True)
    return _section("Layer groups", table, f'<ol start="0">{named}</ol>')


def _checklist(record: RunData) -> str:
    if not record.metrics:
        return ""
    parts = []
    for step in record.checklist.steps:
        rows = [(item.title, item.status, item.evidence, item.try_next) for item in step.items]
        table = _table(("item", "status", "evidence", "try next"), rows, is_open=True)
        parts.append(f"<h3>{step.number}. {escape(step.title)}</h3>{table}")
    return _section("Checklist", *parts)


def _facts(record: RunData) -> str:
    parts = []
    started = {"started": record.started} if record.started else {}
    parameters = dict(zip(("parameters", "trainable parameters"), map(str, record.parameters), strict=False))
    groups = (
        ("Configuration", {**record.configuration, **parameters}),
        ("Layers", {name: str(count) for name, count in record.layers.items()}),
        ("Versions and hardware", {**record.versions, **record.hardware, **started}),
    )
    if record.tricks:
        parts.append(
            "<h3>Tricks</h3><ul>" + "".join(f"<li><code>{escape(t)}</code></li>" for t in record.tricks) + "</ul>"
        )
    for title, values in groups:
        if values:
            parts.append(f"<h3>{title}</h3>{_table(('name', 'value'), list(values.items()), is_open=True)}")
    if record.notes:
        parts.append("<h3>Notes</h3><ul>" + "".join(f"<li>{escape(note)}</li>" for note in record.notes) + "</ul>")
    return _section("Setup", *parts) if parts else ""


_SECTIONS: tuple[Callable[[RunData], str], ...] = (
    _metrics,
    _rates,
    _gradients,
    _updates,
    _findings,
    _layers,
    _checklist,
    _facts,
)


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[i : i + _MAX_LINES] for i in range(0, len(names), _MAX_LINES)]


def _figure(title: str, chart: str, beside: str) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f"<figure>{caption}{chart}{beside}</figure>"


def _alt(title: str, lines: Mapping[str, Series]) -> str:
    """Return in words what a line chart shows."""
    said = [
        f"{name} from {series.points[0][1]:.4g} to {series.points[-1][1]:.4g}"
        for name, series in list(lines.items())[:4]
        if series.points
    ]
    return f"{title}: {'; '.join(said)}."


def _series_table(lines: Mapping[str, Series]) -> str:
    """Return first, last, lowest and highest value of each line."""
    rows = []
    for name, series in lines.items():
        points = series.points
        low, high = (pick(points, key=lambda point: point[1]) for pick in (min, max))
        missing = len(series.values) - len(points)
        cells = [_number(points[0][1]), _number(points[-1][1]), *(f"{_number(v)} (step {s})" for s, v in (low, high))]
        rows.append((name, *cells, str(missing)))
    return _table(("series", "first", "last", "lowest", "highest", "not finite"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]], is_open: bool = False) -> str:
    """Return a table that can be opened, closed at first unless ``is_open``."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return table if is_open else f"<details><summary>Table ({len(rows)} rows)</summary>{table}</details>"
