"""Compare page: several runs on one self-contained HTML page, with overlaid curves and differences in columns."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from lightning_tricks.reports.page_parts import alt_text, chunks, figure, number, section, series_table, table
from lightning_tricks.reports.run_data import RunData
from lightning_tricks.reports.run_style import PAGE, STYLE
from lightning_tricks.reports.series import Series
from lightning_tricks.reports.svg_plots import line_chart

_MAX_CHARTS = 24

Runs = Mapping[str, RunData]
"""Records by their displayed names."""


def show_comparison(runs: Runs) -> str:
    """Return a page of several runs in light and dark, for screens from 380 pixels and for print.

    Args:
        runs: at least one, by name.
    """
    title = f"Comparison of {len(runs)} runs"
    body = "".join(part(runs) for part in (_scores, _metrics, _rates, _gradients, _settings, _checklists))
    main = f'<main class="lt-run"><h1>{title}</h1>{_sentences(runs)}{body}</main>'
    return PAGE.format(title=title, style=STYLE, body=main)


def _sentences(runs: Runs) -> str:
    lines = "".join(f"<li><strong>{escape(name)}</strong>: {escape(run.sentence())}</li>" for name, run in runs.items())
    return f"<ul>{lines}</ul>"


def _scores(runs: Runs) -> str:
    """Show the best scores, with the best run of each metric first."""
    rows = []
    for monitor, mode in dict.fromkeys((best.monitor, best.mode) for run in runs.values() for best in run.best):
        found = [(name, best) for name, run in runs.items() for best in run.best if best.monitor == monitor]
        known = [(name, best, best.score) for name, best in found if best.score is not None]
        known.sort(key=lambda entry: entry[2], reverse=mode == "max")
        rows += [(monitor, name, number(score), best.epoch, best.step) for name, best, score in known]
    return section("Best scores", table(("metric", "run", "best", "epoch", "step"), rows, is_open=True)) if rows else ""


def _metrics(runs: Runs) -> str:
    names = dict.fromkeys(name for run in runs.values() for name in run.metrics)
    wanted = [name for name in names if not name.startswith(("grad_norm", "clip_", "num_skipped"))]
    return _charts("Losses and metrics", runs, wanted, lambda run: run.metrics)


def _rates(runs: Runs) -> str:
    titles = {f"optimizer {place.replace('.', ', group ')}": place for run in runs.values() for place in run.lrs}
    return _charts(
        "Learning rates", runs, list(titles), lambda run: {title: run.lrs.get(key) for title, key in titles.items()}
    )


def _gradients(runs: Runs) -> str:
    title = "Gradient norm before clipping"
    return _charts("Gradients", runs, [title], lambda run: {title: run.grad_norm})


def _charts(
    title: str, runs: Runs, names: Sequence[str], read: Callable[[RunData], Mapping[str, Series | None]]
) -> str:
    """Return a section with one chart per name, in which each run with this name is a line."""
    found = {name: read(run) for name, run in runs.items()}
    parts = []
    for name in names:
        lines = {run: series for run in runs if (series := found[run].get(name)) is not None and series.points}
        for some in chunks(list(lines)):
            shown = {run: lines[run] for run in some}
            parts.append(figure(name, line_chart(shown, alt=alt_text(name, shown)), series_table(shown)))
    left = len(parts) - _MAX_CHARTS
    more = f"<p>{left} more charts are omitted.</p>" if left > 0 else ""
    return section(title, *parts[:_MAX_CHARTS], more) if parts else ""


def _settings(runs: Runs) -> str:
    """Show the settings that are not the same in all runs."""
    found = {name: _settings_of(run) for name, run in runs.items()}
    keys = dict.fromkeys(key for settings in found.values() for key in settings)
    rows = [(key, *(settings.get(key, "") for settings in found.values())) for key in keys]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    if not differing:
        return section("Settings that differ", "<p>None.</p>")
    return section("Settings that differ", table(("setting", *runs), differing, is_open=True, style="columns"))


def _settings_of(run: RunData) -> dict[str, str]:
    numbers = dict(zip(("parameters", "trainable parameters"), map(str, run.parameters), strict=False))
    layers = {f"layers of {kind}": str(count) for kind, count in run.layers.items()}
    tricks = {f"trick {call.partition('(')[0]}": call for call in run.tricks if not call.startswith("RunReport(")}
    return {"model": run.model, **run.configuration, **tricks, **numbers, **layers, **run.versions, **run.hardware}


def _checklists(runs: Runs) -> str:
    """Show the checklists in columns, and the evidence where the runs differ."""
    lists = {name: run.checklist.steps for name, run in runs.items()}
    parts = []
    for steps in zip(*lists.values(), strict=True):
        rows = [_row(items) for items in zip(*(step.items for step in steps), strict=True)]
        heading = f"<h3>{steps[0].number}. {escape(steps[0].title)}</h3>"
        parts.append(heading + table(("item", *runs), rows, is_open=True, style="columns"))
    return section("Checklists", *parts)


def _row(items: Sequence[Any]) -> list[str]:
    cells = [f"{item.status}: {item.evidence}" for item in items]
    return [items[0].title, *cells]
