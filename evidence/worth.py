"""What each trick was worth where it was measured; writes the table that the doctor and the checklist quote.

Usage: python evidence/worth.py  read few_rows.csv and evidence.csv, as far as they are there, and write the table
"""

import csv
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TABLE = FOLDER.parent / "src" / "lightning_tricks" / "core" / "trick_worth.json"
FEW_ROWS, EVIDENCE = FOLDER / "few_rows.csv", FOLDER / "evidence.csv"

NORMALIZED = "`NormalizeInputs()`"
OF_FEW_ROWS = {
    "normalize_inputs": (NORMALIZED, "base"),
    "initialize_weights": ("normalized, `InitializeWeights()`", NORMALIZED),
    "weight_penalty": ("normalized, `WeightPenalty(l2=1e-3)`", NORMALIZED),
    "dropout_schedule": ("normalized, `DropoutSchedule()`", NORMALIZED),
    "mix_up": ("normalized, `MixUp()`", NORMALIZED),
    "early_stopping": ("normalized, `EarlyStopping`", NORMALIZED),
}
"""By option: the variant with the trick, and the one without it."""

BASE, CONSTANT = "without averaged weights", "without the schedule"
OF_EVIDENCE = {
    "lr_finder": (BASE, "without `LRFinder`"),
    "warmup_stable_decay": (BASE, CONSTANT),
    "cosine_decay": ("with cosine instead", CONSTANT),
    "one_cycle": ("with one-cycle instead", CONSTANT),
    "cosine_warm_restarts": ("with restarts instead", CONSTANT),
    "reduce_lr_on_plateau": ("with the plateau rule instead", CONSTANT),
    "gradient_clipping": (BASE, "without clipping"),
    "z_clip": ("with `ZClip` instead", "without clipping"),
}
"""Likewise, of the recipe `auto` without averaged weights."""

Scores = dict[tuple[str, ...], float]


def read(file: Path, keys: Iterable[str], value: str) -> Scores:
    """Return one column of a table by the others; nothing if the table is not there."""
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        return {tuple(row[key] for key in keys): float(row[value]) for row in csv.DictReader(lines)}


def gains(scores: Scores, used: str, left_out: str, place: int) -> dict[str, list[float]]:
    """Return, by dataset, the differences between the runs with and without a trick, seed by seed."""
    found: dict[str, list[float]] = defaultdict(list)
    for key, score in scores.items():
        other = (*key[:place], left_out, *key[place + 1 :])
        if key[place] == used and other in scores:
            found[key[0]].append(score - scores[other])
    return found


def of_few_rows() -> dict[str, list[dict[str, Any]]]:
    """Return on how many datasets each option is better or worse by more than two standard errors."""
    scores = read(FEW_ROWS, ("data", "variant", "seed"), "score")
    table = {}
    for option, (used, left_out) in OF_FEW_ROWS.items():
        ratios = [_in_errors(differences) for differences in gains(scores, used, left_out, 1).values()]
        better, worse = sum(ratio > 2 for ratio in ratios), sum(ratio < -2 for ratio in ratios)
        if ratios:
            counts = {"better": better, "worse": worse, "of": len(ratios)}
            table[option] = [{"where": "few rows", **counts, "page": "docs/guide/few-rows.md"}]
    return table


def of_evidence() -> dict[str, list[dict[str, Any]]]:
    """Return the geometric mean of each option's ratio of test losses over tasks, by optimizer."""
    losses = read(EVIDENCE, ("task", "optimizer", "method", "seed"), "test")
    logs = {key: math.log(loss) for key, loss in losses.items() if 0 < loss < math.inf}
    table: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for option, (used, left_out) in OF_EVIDENCE.items():
        for optimizer in sorted({key[1] for key in logs}):
            mine = {key: value for key, value in logs.items() if key[1] == optimizer}
            means = [statistics.mean(found) for found in gains(mine, used, left_out, 2).values()]
            if len(means) > 1:
                ratio = math.exp(statistics.mean(means))
                error = ratio * statistics.stdev(means) / len(means) ** 0.5
                rounded = {"ratio": round(ratio, 3), "error": round(error, 3)}
                table[option].append({"where": optimizer, **rounded, "of": len(means), "page": "docs/evidence.md"})
    return table


def _in_errors(differences: list[float]) -> float:
    error = statistics.stdev(differences) / len(differences) ** 0.5
    mean = statistics.mean(differences)
    return mean / error if error else math.copysign(math.inf, mean) if mean else 0.0


def table() -> dict[str, list[dict[str, Any]]]:
    """Return what was measured, by option."""
    few, evidence = of_few_rows(), of_evidence()
    return {option: [*evidence.get(option, []), *few.get(option, [])] for option in sorted({*few, *evidence})}


if __name__ == "__main__":
    TABLE.write_text(json.dumps(table(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
