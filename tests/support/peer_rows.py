"""The rows of the pages in docs/coming-from: what another library calls it, and what to write here."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning_tricks as lt
from lightning_tricks.functional.plateau import PlateauState, at_floor, observe

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"
SCORES = [1.0, 0.9, 0.95, 0.7, 0.8, 0.75, 0.71, 0.72, 0.6, 0.65, 0.66, 0.67, 0.68, 0.69, 0.7, 0.71, 0.72]
"""A score that improves, stalls and gets worse."""


class Row(NamedTuple):
    theirs: str
    ours: str


def read_rows(page: str) -> list[Row]:
    """The first two cells of each row, without their code marks."""
    lines = (PAGES / f"{page}.md").read_text().splitlines()
    cells = [re.findall(r"`([^`]+)`", " | ".join(line.split(" | ")[:2])) for line in lines if line.startswith("| `")]
    return [Row(*found[:2]) for found in cells]


def build(expression: str, **names: Any) -> Any:
    """What a cell makes, with the names of this library and those given."""
    return eval(expression, {**{name: getattr(lt, name) for name in lt.__all__}, **names})


def our_rates(callback: Any, steps: int, steps_per_epoch: int = 1, lr: float = 1.0) -> list[float]:
    """The rates of the first steps under a callback."""
    return list(lt.preview_lr([callback], math.ceil(steps / steps_per_epoch), steps_per_epoch, lr=lr))[:steps]


def stop_of(stopping: Any, scores: Sequence[float] = SCORES) -> int | None:
    """The check at which an `EarlyStopping` of this library stops, by its rule."""
    state = PlateauState()
    for check, score in enumerate(scores):
        if check < stopping.start_after:
            continue
        state = observe(state, score, mode=stopping.mode, min_delta=stopping.min_delta)
        if state.wait_count >= stopping.patience:
            return check
    return None


def factors_of(plateau: Any, scores: Sequence[float] = SCORES) -> list[float]:
    """The multiplier of the rate after each check under a `ReduceLROnPlateau` of this library."""
    state, factors = PlateauState(), []
    settings = {name: getattr(plateau, name) for name in ("patience", "factor", "min_factor", "min_delta", "cooldown")}
    for score in scores:
        if not at_floor(state, plateau.min_factor):
            state = observe(state, score, **settings)
        factors.append(state.lr_factor)
    return factors


Check = Callable[[Any, Any], None]
