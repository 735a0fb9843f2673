"""The demo against plain AdamW and against a random search; writes its sentence in README.md.

Usage: python evidence/demo.py             run what demo.csv does not hold yet, then write the sentence
       python evidence/demo.py --sentence  write the sentence alone
"""

import csv
import random
import statistics
import sys
import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate

from hydra import compose, initialize_config_dir
from lightning_tricks import CosineDecay, EarlyStopping
from lightning_tricks.hydra import instantiate_callbacks
from script import be_quiet, replace_between

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
RESULTS, PAGE = FOLDER / "demo.csv", ROOT / "README.md"
BEGIN, END = "<!-- demo -->\n", "\n<!-- /demo -->"
SEEDS, TRIALS = 3, 24
DEMO, PLAIN = "demo", "AdamW, 1e-3"


@dataclass(frozen=True)
class Result:
    """The scores of one training: the validation rows choose, the test rows only score."""

    val_loss: float
    test_loss: float
    test_accuracy: float


def configured() -> Any:
    """Return the configuration of ``make demo``, without what only writes files."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", overrides=["~tricks.run_report"])


def plan(variant: str, seed: int) -> tuple[Any, list[L.Callback]]:
    """Return the optimizer and the callbacks of a variant; a trial of the search draws its settings."""
    if variant == DEMO:
        config = configured()
        return instantiate(config.optimizer), instantiate_callbacks(config.tricks)
    if variant == PLAIN:
        return partial(torch.optim.AdamW, lr=1e-3), []
    draw = random.Random(f"{variant}, seed {seed}")
    lr, weight_decay = 10 ** draw.uniform(-4, -1), 10 ** draw.uniform(-5, -1)
    schedule = [CosineDecay(warmup="0.05dur")] if draw.random() < 0.5 else []
    return partial(torch.optim.AdamW, lr=lr, weight_decay=weight_decay), [*schedule, EarlyStopping(patience=1000)]


def measure(variant: str, seed: int) -> Result:
    """Train once, on the demo's data, model and number of epochs."""
    config = configured()
    optimizer, callbacks = plan(variant, seed)
    L.seed_everything(seed, workers=True, verbose=False)
    model, data = instantiate(config.model, optimizer=optimizer), instantiate(config.data)
    quiet = {"enable_progress_bar": False, "logger": False}
    trainer = instantiate(config.trainer, callbacks=callbacks, **quiet)
    trainer.fit(model, data)
    scores = {**trainer.validate(model, data, verbose=False)[0], **trainer.test(model, data, verbose=False)[0]}
    return Result(scores["val_loss"], scores["test_loss"], scores["test_accuracy"])


def known() -> dict[tuple[str, int], Result]:
    """Return what was measured, by variant and seed."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["variant"], int(row["seed"])): Result(*(float(row[name]) for name in Result.__annotations__))
        for row in rows
    }


def run() -> None:
    """Measure what is not known yet; each result is written as soon as it is there."""
    done = known()
    if not done:
        RESULTS.write_text(",".join(["variant", "seed", *Result.__annotations__]) + "\n")
    variants = [DEMO, PLAIN, *(f"trial {trial}" for trial in range(TRIALS))]
    for variant, seed in [(variant, seed) for variant in variants for seed in range(SEEDS)]:
        if (variant, seed) not in done:
            result = measure(variant, seed)
            scores = [f"{value:.5f}" for value in vars(result).values()]
            with RESULTS.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow([variant, seed, *scores])


def trials(results: dict[tuple[str, int], Result]) -> list[str]:
    """Return the trials that were measured with every seed."""
    names = [f"trial {trial}" for trial in range(TRIALS)]
    return [name for name in names if all((name, seed) in results for seed in range(SEEDS))]


def search(results: dict[tuple[str, int], Result], seed: int) -> Result:
    """Return the trial with the lowest validation loss."""
    return min((results[name, seed] for name in trials(results)), key=lambda result: result.val_loss)


def sentence() -> str:
    """Return the comparison in words: means over the seeds."""
    results, seeds = known(), range(SEEDS)
    compared = {
        "the demo": [results[DEMO, seed] for seed in seeds],
        "plain AdamW at 1e-3": [results[PLAIN, seed] for seed in seeds],
        f"the best of a random search of {len(trials(results))} trainings": [search(results, seed) for seed in seeds],
    }
    parts = [
        f"{name} {_mean(found, 'test_loss', 3)} ({_mean(found, 'test_accuracy', 3)})"
        for name, found in compared.items()
    ]
    start = f"Test loss (accuracy), mean of {len(seeds)} seeds: "
    text = f"{start}{parts[0]}, {parts[1]}, {parts[2]} (`python evidence/demo.py`)."
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _mean(results: list[Result], name: str, digits: int) -> str:
    return f"{statistics.mean(getattr(result, name) for result in results):.{digits}f}"


def write_sentence() -> None:
    """Put the sentence between the marks of the page."""
    replace_between(PAGE, BEGIN, END, sentence())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "examples"))
    be_quiet()
    if "--sentence" not in sys.argv:
        run()
    write_sentence()
