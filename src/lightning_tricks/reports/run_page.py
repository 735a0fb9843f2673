"""Run page: the report of a run as a self-contained HTML page without scripts or requests."""

from collections.abc import Callable
from html import escape

from lightning_tricks.reports.checklist import Item
from lightning_tricks.reports.loss_names import training_and_validation
from lightning_tricks.reports.page_parts import alt_text, chunks, figure, number, section, series_table, table
from lightning_tricks.reports.run_data import ReportedFinding, RunData
from lightning_tricks.reports.run_style import PAGE, STYLE
from lightning_tricks.reports.series import Series
from lightning_tricks.reports.svg_plots import StepRow, heat_map, line_chart, step_rows

_MAX_ROWS = 40


def show_page(record: RunData) -> str:
    """Return a self-contained page in light and dark, for screens from 380 pixels and for print."""
    return PAGE.format(title=escape(f"Run of {record.model}"), style=STYLE, body=_body(record))


def show_fragment(record: RunData) -> str:
    """Return a fragment for a notebook."""
    return f"<style>{STYLE}</style>{_body(record)}"


def _body(record: RunData) -> str:
    shown = [section(record) for section in _SECTIONS]
    head = f'<h1>Run of {escape(record.model)}</h1><p class="lead">{escape(record.sentence())}</p>'
    return f'<main class="lt-run">{head}{"".join(shown)}</main>'


def _metrics(record: RunData) -> str:
    losses = {name: series for name, series in record.metrics.items() if "loss" in name.lower() and series.points}
    others = {
        name: series
        for name, series in record.metrics.items()
        if name not in losses and series.points and not name.startswith(("grad_norm", "clip_", "num_skipped"))
    }
    parts = []
    for title, group in (("Losses", losses), ("Other metrics", others)):
        for names in chunks(list(group)):
            lines = {name: group[name] for name in names}
            chart = line_chart(lines, alt=alt_text(title, lines), shade=training_and_validation(lines))
            parts.append(figure(title, chart, series_table(lines)))
    unread = [name for name, series in record.metrics.items() if series.values and not series.points]
    if unread:
        parts.append(f"<p>Never finite: {escape(', '.join(unread[:20]))}.</p>")
    return section("Losses and metrics", *parts) if parts else ""


def _rates(record: RunData) -> str:
    parts = []
    by_group = {f"optimizer {place.replace('.', ', group ')}": series for place, series in record.lrs.items()}
    for title, group in (("Learning rate by group", by_group), ("Factors", record.factors)):
        group = {name: series for name, series in group.items() if series.points}
        for names in chunks(list(group))[:2]:
            lines = {name: group[name] for name in names}
            parts.append(figure(title, line_chart(lines, alt=alt_text(title, lines)), series_table(lines)))
    parts.append(_finder(record))
    return section("Learning rate", *parts) if any(parts) else ""


def _finder(record: RunData) -> str:
    sweep = record.sweep
    if sweep is None or not any(loss is not None for loss in sweep.losses):
        return ""
    suggestion = "none" if sweep.suggestion is None else f"{sweep.suggestion:.3g}"
    points = Series(sweep.lrs, sweep.losses)  # type: ignore[arg-type]
    alt = f"Loss over learning rate of the range test; suggestion: {suggestion}."
    marks = {} if sweep.suggestion is None else {f"suggestion {suggestion}": sweep.suggestion}
    chart = line_chart({"loss": points}, alt=alt, x_label="learning rate", y_label="loss", log_x=True, marks=marks)
    reason = f"<p>Suggestion: {suggestion}. {escape(sweep.reason[:1].upper() + sweep.reason[1:])}</p>"
    rows = [(f"{lr:.3g}", number(loss)) for lr, loss in zip(sweep.lrs, sweep.losses, strict=True)]
    return figure("Learning-rate finder", chart, f"{reason}{table(('learning rate', 'loss'), rows)}")


def _gradients(record: RunData) -> str:
    parts = []
    if record.grad_norm.points:
        levels = {f"max_norm {clip.max_norm:g}": clip.max_norm for clip in record.clipping if clip.max_norm is not None}
        lines = {"norm before clipping": record.grad_norm}
        alt = alt_text("Gradient norm", lines)
        parts.append(figure("Gradient norm", line_chart(lines, alt=alt, levels=levels), series_table(lines)))
    shares = {name: series for name, series in record.metrics.items() if name.startswith("clip_rate") and series.points}
    if shares:
        chart = line_chart(shares, alt=alt_text("Share of clipped steps", shares))
        parts.append(figure("Share of clipped steps", chart, series_table(shares)))
    for clip in record.clipping:
        parts.append(
            f"<p><code>{escape(clip.callback)}</code> skipped {clip.skipped} steps with non-finite gradients.</p>"
        )
    return section("Gradients", *parts) if parts else ""


def _updates(record: RunData) -> str:
    ratios = record.update_ratios
    if not any(value for row in ratios.rows for value in row if value is not None):
        return ""
    lasts = [next((value for value in reversed(row) if value is not None), None) for row in ratios.rows]
    alt = f"Update relative to weight, for {len(ratios.names)} weights at {len(ratios.steps)} steps."
    chart = heat_map(ratios.steps, ratios.names, ratios.rows, alt=alt)
    rows = [(name, number(last)) for name, last in zip(ratios.names, lasts, strict=True)]
    note = "<p>Root mean square of the update relative to that of the weight. Typical values are near 1e-3.</p>"
    return section("Updates by weight", note, figure("", chart, table(("weight", "last ratio"), rows)))


def _findings(record: RunData) -> str:
    if not record.findings:
        return ""
    found = sorted(record.findings, key=lambda finding: finding.step)
    rows = [StepRow(f"{each.code} {each.name}", each.step, style=escape(each.severity)) for each in found]
    alt = f"The doctor reported {'; '.join(f'{row.label} at step {row.step}' for row in rows[:_MAX_ROWS])}."
    line = figure("", step_rows(rows[:_MAX_ROWS], record.steps, alt=alt), "")
    return section("Findings of the doctor", line, f"<ol>{''.join(map(_finding, found))}</ol>")


def _finding(found: ReportedFinding) -> str:
    place = f" at <code>{escape(found.where)}</code>" if found.where else ""
    chip = f'<strong class="{escape(found.severity)}">{escape(found.severity)}</strong>'
    head = f"Step {found.step}: {chip} {escape(found.code)} {escape(found.name)}{place}"
    return f"<li>{head}<br>{escape(found.message)}<br>Try: <code>{escape(found.try_next)}</code></li>"


def _layers(record: RunData) -> str:
    if not record.thaws:
        return ""
    rows = []
    for group, name in enumerate(record.layer_groups):
        start = next((thaw.step for thaw in record.thaws if group in thaw.groups), None)
        rows.append((group, name, "never" if start is None else start))
    bars = [StepRow(name, start, record.steps) for _, name, start in rows if isinstance(start, int)]
    alt = "Layer groups that train, from the step at which each was unfrozen."
    chart = step_rows(bars[:_MAX_ROWS], record.steps, alt=alt) if bars else ""
    beside = table(("group", "layers", "trains from step"), rows, is_open=True)
    return section("Layer groups", figure("", chart, beside))


def _checklist(record: RunData) -> str:
    if not record.metrics:
        return ""
    parts = []
    for step in record.checklist.steps:
        items = "".join(map(_item, step.items))
        parts.append(f'<h3>{step.number}. {escape(step.title)}</h3><ul class="items">{items}</ul>')
    return section("Checklist", *parts)


def _item(item: Item) -> str:
    status = f'<strong class="{item.status.partition(" ")[0]}">{item.status}</strong>'
    advice = f"<br>Try: <code>{escape(item.try_next)}</code>" if item.try_next else ""
    return f"<li>{status}<span>{escape(item.title)}</span><span>{escape(item.evidence)}{advice}</span></li>"


def _facts(record: RunData) -> str:
    parts = []
    tested = {name: number(value) if value is not None else "not finite" for name, value in record.test.items()}
    started = {"started": record.started} if record.started else {}
    parameters = dict(zip(("parameters", "trainable parameters"), map(str, record.parameters), strict=False))
    groups = (
        ("Test set", tested),
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
            parts.append(f"<h3>{title}</h3>{table(('name', 'value'), list(values.items()), is_open=True)}")
    if record.notes:
        parts.append("<h3>Notes</h3><ul>" + "".join(f"<li>{escape(note)}</li>" for note in record.notes) + "</ul>")
    return section("Setup", *parts) if parts else ""


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
