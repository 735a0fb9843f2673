"""Show HTML: a report as a self-contained page, or as a fragment for a notebook.

Colors are inherited from the page, except those of the severities, so that it is readable on dark and light
backgrounds.
"""

import re
from html import escape

from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.show.module_tree import Branch, module_tree
from lightning_tricks.doctor.show.show_text import counts, verdict
from lightning_tricks.doctor.show.shown import Shown

_STYLE = """
.lt-doctor { font: 14px/1.5 system-ui, sans-serif; max-width: 60rem; overflow-wrap: anywhere; }
.lt-doctor h2 { font-size: 1.25em; margin: 0 0 .6em; }
.lt-doctor h2 small { font-weight: normal; font-size: .8em; }
.lt-doctor h3 { font-size: 1em; margin: 1.6em 0 .5em; }
.lt-doctor code, .lt-doctor pre, .lt-tree { font-family: ui-monospace, monospace; font-size: .92em; }
.lt-doctor code { background: none; color: inherit; padding: 0; }
.lt-doctor pre { white-space: pre-wrap; background: none; color: inherit; margin: .4em 0; }
.lt-doctor summary { cursor: pointer; }
.lt-doctor p { margin: .2em 0; }
.lt-finding { border-left: 4px solid; padding: .2em 0 .3em .8em; margin: .9em 0; }
.lt-chip { color: #fff; border-radius: 3px; padding: .05em .45em; font: 600 12px/1.5 system-ui, sans-serif;
  white-space: nowrap; }
.lt-error { border-color: #c62f3a; } .lt-error.lt-chip { background: #c62f3a; }
.lt-warning { border-color: #a86400; } .lt-warning.lt-chip { background: #a86400; }
.lt-info { border-color: #3f70b8; } .lt-info.lt-chip { background: #3f70b8; }
.lt-ok.lt-chip { background: #2f7d4f; }
.lt-soft { opacity: .75; }
.lt-rules { margin-top: 1.6em; }
.lt-rules td { padding: .1em .8em .1em 0; vertical-align: top; }
.lt-notes { margin-top: 1.6em; }
.lt-tree details, .lt-tree .lt-leaf { margin-left: 1.1em; }
.lt-tree .lt-leaf { padding-left: .95em; }
.lt-tree > details { margin-left: 0; }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root {{ color-scheme: light dark; }} body {{ background: Canvas; color: CanvasText; margin: 1.5rem; }}</style>
</head><body>
{body}
</body></html>
"""
_SETTINGS = 3


def show_html(report: Shown) -> str:
    """Return a self-contained page."""
    return _PAGE.format(title=escape(verdict(report)), body=show_fragment(report))


def show_fragment(report: Shown) -> str:
    """Return a fragment for a notebook."""
    chip = _chip("ok", "healthy") if report.ok else _chip(report.findings[0].severity, "not healthy")
    parts = [
        f"<style>{_STYLE}</style>",
        f"<h2>{chip} {escape(report.model)} <small>{escape(counts(report))}</small></h2>",
    ]
    for i, finding in enumerate(report.findings):
        is_first = all(finding.code != earlier.code for earlier in report.findings[:i])
        parts.append(_show_finding(finding, _page(report, finding.code) if is_first else ""))
    if report.evidence is not None:
        tree = module_tree(report.evidence.model, report.findings)
        parts.append(f'<h3>Modules</h3><div class="lt-tree">{_show_branch(tree)}</div>')
    if report.outcomes:
        parts.append(_show_outcomes(report))
    if report.notes:
        parts.append(
            '<div class="lt-soft lt-notes">' + "".join(f"<p>{escape(note)}</p>" for note in report.notes) + "</div>"
        )
    return '<div class="lt-doctor">' + "\n".join(parts) + "</div>"


def _chip(kind: str, text: str, title: str = "") -> str:
    hover = f' title="{escape(title)}"' if title else ""
    return f'<span class="lt-chip lt-{kind}"{hover}>{escape(text)}</span>'


def _show_finding(finding: Finding, page: str) -> str:
    about = f"<details><summary>about this rule</summary><pre>{escape(page)}</pre></details>" if page else ""
    code, url = escape(finding.code), page_url(finding.code)
    code = f'<a href="{escape(url)}">{code}</a>' if url else code
    return (
        f'<div class="lt-finding lt-{finding.severity}">'
        f"<p>{_chip(finding.severity, finding.severity)} <b>{code} {escape(finding.name)}</b> at "
        f"<code>{escape(finding.where or 'the model')}</code></p>"
        f"<p>{_prose(finding.message)}</p><p><b>Try:</b> {_prose(finding.try_next)}</p>{about}</div>"
    )


def _show_outcomes(report: Shown) -> str:
    rows = "".join(
        f"<tr><td>{escape(outcome.status)}</td><td><code>{escape(outcome.code)}</code> {escape(outcome.name)}</td>"
        f"<td>{_prose(outcome.detail)}</td></tr>"
        for outcome in report.outcomes
    )
    return f'<details class="lt-rules"><summary>Rules</summary><table>{rows}</table></details>'


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _page(report: Shown, code: str) -> str:
    rules = report.rules or all_rules()
    return next((rule.page.replace("``", "`") for rule in rules if rule.code == code), "")


def _show_branch(branch: Branch) -> str:
    chips = "".join(
        " " + _chip(finding.severity, finding.code, f"{finding.name}: {finding.message}") for finding in branch.findings
    )
    times = f" × {branch.repeats}" if branch.repeats > 1 else ""
    name = f"<b>{escape(branch.name)}</b> " if branch.name else ""
    label = f'{name}{escape(branch.module.kind)}<span class="lt-soft">{_settings(branch.module)}</span>{times}{chips}'
    if not branch.children:
        return f'<div class="lt-leaf">{label}</div>'
    opened = " open" if branch.has_findings or not branch.module.path else ""
    below = "".join(_show_branch(child) for child in branch.children)
    return f"<details{opened}><summary>{label}</summary>{below}</details>"


def _settings(module: ModuleFact) -> str:
    """Return the main settings of a torch layer, such as ``(in_features=4, out_features=8)``."""
    if not module.home.startswith("torch."):
        return ""
    given = [f"{key}={value:g}" for key, value in module.settings.items() if type(value) in (int, float)]
    return escape(f"({', '.join(given[:_SETTINGS])})") if given else ""
