"""What transfer, weights, copies and losses gain; writes the tables of docs/transfer.md and docs/losses.md.

It measures the examples, which must be on the path.

Usage: PYTHONPATH=examples python evidence/transfer.py          run what transfer.csv does not hold, write the tables
       PYTHONPATH=examples python evidence/transfer.py --table  write the tables alone
"""

import csv
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import align_domains
import center_loss
import few_row_losses
import shifted_domain
import transfer as digits_transfer
from digits import Digits
from few_row_losses import Scores
from script import be_quiet, replace_between

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "transfer.csv"
PAGES = [FOLDER.parent / "docs" / name for name in ("transfer.md", "losses.md")]
SEEDS = 10


def backbone_of_other_digits(seed: int) -> Scores:
    """Transfer from the digits 0 to 4 to 5 to 9, with 20 images of each: examples/transfer.py."""
    data = Digits()
    data.setup("fit")
    found = digits_transfer.run(data, seed)
    return {way: {"accuracy": score, "seconds": seconds} for way, (score, seconds) in found.items()}


def aligned_domains(seed: int) -> Scores:
    """Accuracy on an unlabeled target domain: examples/align_domains.py."""
    ways = {"source alone": 0.0, "`coral_loss`": 100.0}
    return {
        way: {shift: align_domains.target_accuracy(shift, weight, seed) for shift in align_domains.SHIFTS}
        for way, weight in ways.items()
    }


def weighted_domains(seed: int) -> Scores:
    """Accuracy on a shifted Gaussian domain: examples/shifted_domain.py."""
    found = shifted_domain.run(seed)
    return {
        "source rows": {"accuracy": found.unweighted},
        "source rows, `domain_weights`": {"accuracy": found.weighted, "correlation": found.correlation},
        "target rows with labels": {"accuracy": found.of_target},
    }


def centers(seed: int) -> Scores:
    """Two features per digit: examples/center_loss.py."""
    data = Digits()
    data.setup("fit")
    found = {way: center_loss.train(data, weight, seed) for way, weight in center_loss.WEIGHTS.items()}
    return {way: {"accuracy": each.accuracy, "within / between": each.relative} for way, each in found.items()}


TASKS: dict[str, Callable[[int], Scores]] = {
    "transfer": backbone_of_other_digits,
    "coral": aligned_domains,
    "domain weights": weighted_domains,
    "center loss": centers,
    "imbalance": few_row_losses.imbalance,
    "added rows": few_row_losses.added_rows,
    "auxiliary loss": few_row_losses.auxiliary_loss,
    "embeddings": few_row_losses.embeddings,
}
Rows = dict[str, list[dict[str, str]]]
"""The rows of the results, by task."""


def known() -> Rows:
    """Return what was measured."""
    found: Rows = defaultdict(list)
    if RESULTS.exists():
        with RESULTS.open(newline="") as file:
            for row in csv.DictReader(file):
                found[row["task"]].append(row)
    return found


def run() -> None:
    """Measure what is not known yet; the scores of a task and a seed are written as soon as they are there."""
    done = {(task, int(row["seed"])) for task, rows in known().items() for row in rows}
    if not done:
        RESULTS.write_text("task,way,metric,seed,score\n")
    for seed in range(SEEDS):
        for task, measure in TASKS.items():
            if (task, seed) not in done:
                scores = [
                    [task, way, metric, seed, f"{score:.5f}"]
                    for way, metrics in measure(seed).items()
                    for metric, score in metrics.items()
                ]
                with RESULTS.open("a", newline="") as file:
                    csv.writer(file).writerows(scores)


def table(rows: list[dict[str, str]]) -> str:
    """Return the mean and the standard error of each score, as a table in Markdown."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        scores[row["way"], row["metric"]].append(float(row["score"]))
    metrics = list(dict.fromkeys(metric for _, metric in scores))
    lines = [f"| | {' | '.join(metrics)} |", f"| --- |{' --- |' * len(metrics)}"]
    for way in dict.fromkeys(way for way, _ in scores):
        lines.append(f"| {way} | {' | '.join(cell(scores[way, metric]) for metric in metrics)} |")
    return "\n".join(lines)


def cell(values: list[float]) -> str:
    """Return the mean and the standard error; nothing where there are no values."""
    if not values:
        return ""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) / len(values) ** 0.5:.3f}"


def write_tables() -> None:
    """Put each task's table between its marks in the pages."""
    for page in PAGES:
        for task, rows in known().items():
            replace_between(page, f"<!-- evidence: {task} -->\n", "\n<!-- /evidence -->", table(rows))


if __name__ == "__main__":
    be_quiet()
    if "--table" not in sys.argv:
        run()
    write_tables()
