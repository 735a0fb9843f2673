"""The page docs/evidence.md, written from the table of results."""

import math
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

import methods
from ratios import Key, Mean, geometric_mean, mean_over_tasks, ratio, ratios_of, searched
from results import Row
from tasks import TASKS, describe, kinds

PAGE = Path(__file__).parents[1] / "docs" / "evidence.md"
SIZES = (methods.TRIALS, 16, 8, 4, 1)
OPTIMIZERS = tuple(methods.USUAL)
PACKAGES = ("torch", "lightning", "scikit-learn", "pydataset", "aeon", "schedulefree", "prodigyopt")
TITLES = {False: "Tasks on which the recipe was designed", True: "Tasks that were held out"}

Figures = dict[str, Mean]


def search_trials(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Return the trials of each random search that is complete, in their order."""
    found: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.job.method):
        if row.job.method.startswith("search "):
            found.setdefault((row.job.task, row.job.optimizer, row.job.seed), []).append(row)
    return {key: trials for key, trials in found.items() if len(trials) == methods.TRIALS}


def figures(rows: Sequence[Row], optimizer: str, tasks: Sequence[str]) -> Figures:
    """Return the mean ratio of each method, and of smaller searches, to the whole search."""
    chosen = [row for row in rows if row.job.optimizer == optimizer and row.job.task in tasks]
    trials = search_trials(chosen)
    references = {key: searched(group, methods.TRIALS)[0] for key, group in trials.items()}
    found: Figures = {}
    for size in SIZES:
        by_task: dict[str, list[float]] = {}
        for key, group in trials.items():
            losses = searched(group, size)
            by_task.setdefault(key[0], []).append(geometric_mean([ratio(loss, references[key]) for loss in losses]))
        found[search_name(size)] = mean_over_tasks(by_task)
    others = [row for row in chosen if not row.job.method.startswith("search ")]
    for method, by_task in ratios_of(others, references).items():
        found[method] = mean_over_tasks(by_task)
    return found


def search_name(size: int) -> str:
    """Return the name of a random search."""
    return f"random search, {size} training{'s' if size > 1 else ''}"


def costs(rows: Iterable[Row]) -> dict[str, float]:
    """Return the mean length of each method, in trainings."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.job.method, []).append(row.trainings)
    return {method: sum(values) / len(values) for method, values in found.items()} | {
        search_name(size): float(size) for size in SIZES
    }


def main_table(rows: Sequence[Row], held_out: bool | None) -> str:
    """Return methods by optimizer: mean ratio, standard error, worst task; and the cost."""
    parts = {optimizer: figures(rows, optimizer, kinds(held_out)) for optimizer in OPTIMIZERS}
    lines = [f"| method | {' | '.join(f'{o} | worst task' for o in OPTIMIZERS)} | cost in trainings |"]
    lines.append("| --- |" + " --- |" * (2 * len(OPTIMIZERS) + 1))
    cost = costs(rows)
    for method in order_of(parts):
        cells = [part for optimizer in OPTIMIZERS for part in _cells(parts[optimizer].get(method))]
        lines.append(f"| {_shown(method)} | {' | '.join(cells)} | {cost[method]:.2f} |")
    return "\n".join(lines)


def order_of(parts: dict[str, Figures]) -> list[str]:
    """Return the methods of all optimizers: searches, peers, ours."""
    known = [search_name(size) for size in SIZES]
    known += [method for optimizer in OPTIMIZERS for method in methods.peers(optimizer)]
    known += [method for optimizer in OPTIMIZERS for method in methods.ours(optimizer)]
    there = {method for found in parts.values() for method in found}
    return [method for method in dict.fromkeys(known) if method in there]


def _shown(method: str) -> str:
    return f"**{method}**" if method == methods.AUTO else method


def _cells(mean: Mean | None) -> tuple[str, str]:
    if mean is None:
        return "", ""
    error = "" if math.isnan(mean.error) else f" ± {mean.mean * mean.error:.2f}"
    return f"{mean.mean:.2f}{error}", f"{mean.worst:.2f}"


def task_table(rows: Sequence[Row]) -> str:
    """Return the ratio of the recipe on each task, and what it is compared with for harm."""
    lines = ["| task | steps | rows that train, choose, score | AdamW | SGD | harm, AdamW | harm, SGD |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    found = {optimizer: figures(rows, optimizer, kinds()) for optimizer in OPTIMIZERS}
    harmed = {optimizer: harms(rows, optimizer) for optimizer in OPTIMIZERS}
    for name, task in TASKS.items():
        size = describe(task)
        ratios = [f"{found[o][methods.AUTO].tasks[name]:.2f}" for o in OPTIMIZERS]
        harm = [f"{harmed[o][name]:.2f}" for o in OPTIMIZERS]
        held = " (held out)" if task.held_out else ""
        rows_ = f"{size['train']}, {size['val']}, {size['score']}"
        lines.append(f"| {name}{held} | {size['steps']} | {rows_} | {' | '.join(ratios + harm)} |")
    return "\n".join(lines)


def harms(rows: Iterable[Row], optimizer: str) -> dict[str, float]:
    """Return the recipe's loss as a multiple of the better of the optimizer's usual rate and AdamW at 1e-3, by task."""
    test = {row.job: row.test for row in rows}
    usual = f"{methods.USUAL[optimizer]:g}, constant"
    found: dict[str, list[float]] = {}
    for job, loss in test.items():
        if job.method == methods.AUTO and job.optimizer == optimizer:
            others = [job._replace(method=usual), job._replace(optimizer="AdamW", method="0.001, constant")]
            better = min(test[other] for other in others)
            found.setdefault(job.task, []).append(ratio(loss, better))
    return {task: geometric_mean(values) for task, values in found.items()}


def summary(rows: Sequence[Row]) -> str:
    """Return what the recipe reaches, on all tasks and on those that were held out, and where it does harm."""
    sentences = []
    for optimizer in OPTIMIZERS:
        every, held = (figures(rows, optimizer, kinds(which))[methods.AUTO] for which in (None, True))
        harm = harms(rows, optimizer)
        harmed = [f"{task} ({value:.2f})" for task, value in harm.items() if value > 1.1]
        sentences.append(
            f"With {optimizer}, `auto` ends with {_cells(every)[0]} times the loss of the search over {methods.TRIALS} "
            f"trainings, and {_cells(held)[0]} times on the tasks that were held out; the worst task is "
            f"“{every.worst_task}” ({every.worst:.2f}). It is more than 1.1 times as bad as a usual constant rate on "
            f"{', '.join(harmed) or 'no task'}."
        )
    return f"{' '.join(sentences)} The recipe costs {costs(rows)[methods.AUTO]:.2f} trainings."


def verdicts(rows: Sequence[Row]) -> str:
    """Return a sentence for each change of the recipe, from the figures alone."""
    lines = []
    for method in [key for key in methods.ours("AdamW") if key.startswith("with")]:
        effects = [effect(rows, method, optimizer) for optimizer in OPTIMIZERS]
        lines.append(f"- {sentence(method, effects)}")
    return "\n".join(lines)


def effect(rows: Iterable[Row], method: str, optimizer: str) -> Mean:
    """Return the loss of a change as a multiple of the loss without it, by task."""
    test = {row.job: row.test for row in rows if row.job.optimizer == optimizer}
    unchanged = methods.AUTO if method == methods.BASE else methods.BASE
    by_task: dict[str, list[float]] = {}
    for job, loss in test.items():
        recipe = job._replace(method=unchanged)
        if job.method == method and recipe in test:
            by_task.setdefault(job.task, []).append(min(100.0, max(0.01, loss / test[recipe])))
    return mean_over_tasks(by_task)


def sentence(method: str, effects: Sequence[Mean]) -> str:
    """Say what a change is worth: a difference counts if it is larger than two standard errors.

    Example:
        >>> none = Mean(1.01, 0.02, 1.1, "x", {"x": 1.1}, 5)
        >>> sentence("with `ZClip` instead", [none, none])
        'with `ZClip` instead: AdamW 1.01 ± 0.02, SGD 1.01 ± 0.02: no difference on average.'
    """
    shown = ", ".join(f"{o} {e.mean:.2f} ± {e.mean * e.error:.2f}" for o, e in zip(OPTIMIZERS, effects, strict=True))
    return f"{method}: {shown}: {_verdict(method, effects)}."


def _verdict(method: str, effects: Sequence[Mean]) -> str:
    signs = [0 if abs(math.log(e.mean)) <= 2 * e.error else (1 if e.mean > 1 else -1) for e in effects]
    taken = method.startswith("without")
    worth, useless = ("the part is worth it", "the part does harm") if taken else ("it does harm", "it is worth it")
    if signs == [0, 0]:
        lost = _dearest(effects)
        subject = "leaving it out" if taken else "it"
        return f"no difference on average, but {subject} costs {lost}" if lost else "no difference on average"
    if 1 in signs and -1 in signs:
        which = [worth if sign > 0 else useless for sign in signs]
        return "; ".join(f"with {o} {text}" for o, text in zip(OPTIMIZERS, which, strict=True))
    verdict = worth if 1 in signs else useless
    where = [o for o, sign in zip(OPTIMIZERS, signs, strict=True) if sign]
    return verdict if len(where) == len(OPTIMIZERS) else f"{verdict} with {where[0]}, no difference with the other"


def _dearest(effects: Sequence[Mean]) -> str:
    """Name the task on which a change costs most, if it costs more than a quarter."""
    optimizer, mean = max(zip(OPTIMIZERS, effects, strict=True), key=lambda pair: pair[1].worst)
    return f"{mean.worst:.2f} on “{mean.worst_task}” with {optimizer}" if mean.worst > 1.25 else ""


def write(rows: Sequence[Row]) -> None:
    """Write the page."""
    PAGE.write_text(text(rows))


def text(rows: Sequence[Row]) -> str:
    """Return the page."""
    seeds = {row.job.seed for row in rows if row.job.method == methods.AUTO}
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    template = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    tables = "\n\n".join(f"## {title}\n\n{main_table(rows, held_out)}" for held_out, title in TITLES.items())
    return template.format(
        seeds=len(seeds), trainings=len(rows), tasks=len(TASKS), versions=versions, day=date.today().isoformat(),
        python=platform.python_version(), held=len(kinds(True)),
        seen=len(kinds(False)), every=main_table(rows, None), tables=tables,
        by_task=task_table(rows), verdicts=verdicts(rows), summary=summary(rows),
    )  # fmt: skip
