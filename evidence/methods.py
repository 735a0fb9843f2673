"""The ways to train that are compared: usual rates, a random search, other packages' methods, ours and its parts."""

import functools
import math
import random
from collections.abc import Callable

import lightning as L
import torch

from lightning_tricks import (
    CosineDecay,
    CosineWarmRestarts,
    EarlyStopping,
    GradientClipping,
    InitializeWeights,
    LRFinder,
    OneCycle,
    PolynomialDecay,
    ReduceLROnPlateau,
    WarmupStableDecay,
    WeightPenalty,
    ZClip,
    auto_tricks,
)
from training import NEVER, Method

TRIALS = 24
AUTO, BASE, FINDER = "`auto`", "without averaged weights", "`LRFinder` and best weights"
WARMUP = "0.05dur"
Callbacks = Callable[[], list[L.Callback]]

USUAL = {"AdamW": 1e-3, "SGD": 1e-2}
RANGES = {"AdamW": (1e-4, 1e-1), "SGD": (1e-3, 1.0)}
"""The rates of the random search: two decades around those of the textbooks, and one more."""

SCHEDULES: dict[str, Callbacks] = {
    "constant": list,
    "warm-up and cosine": lambda: [CosineDecay(warmup=WARMUP)],
    "warm-up and linear": lambda: [PolynomialDecay(warmup=WARMUP)],
    "one-cycle": lambda: [OneCycle()],
}


def optimizer_of(name: str, lr: float | None = None, weight_decay: float | None = None) -> functools.partial:
    """Return what builds AdamW, or SGD with a momentum of 0.9, by default at its usual rate."""
    decay = {} if weight_decay is None else {"weight_decay": weight_decay}
    lr = USUAL[name] if lr is None else lr
    if name == "SGD":
        return functools.partial(torch.optim.SGD, lr=lr, momentum=0.9, **decay)
    return functools.partial(torch.optim.AdamW, lr=lr, **decay)


def trial(name: str, task: str, seed: int, number: int) -> Method:
    """Return one training of the random search: rate and weight decay log-uniform, and one of four schedules."""
    draw = random.Random(f"{name} {task} {seed} {number}")
    low, high = RANGES[name]
    lr = math.exp(draw.uniform(math.log(low), math.log(high)))
    decay = 10 ** draw.uniform(-5, -1)
    return Method(optimizer_of(name, lr, decay), SCHEDULES[draw.choice(list(SCHEDULES))])


def _schedule_free(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(parameters, lr=2.5e-3, warmup_steps=20)


def _prodigy(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    from prodigyopt import Prodigy

    return Prodigy(parameters, lr=1.0)


def peers(name: str) -> dict[str, Method]:
    """Return the methods that are not ours; all end with the weights of their best validation."""
    usual = optimizer_of(name)
    found = {
        f"{USUAL[name]:g}, constant": Method(usual),
        "1e-3, warm-up and cosine": Method(usual, SCHEDULES["warm-up and cosine"]),
        "Schedule-Free AdamW, its default rate": Method(_schedule_free),
        "Prodigy with cosine, as its authors recommend": Method(_prodigy, lambda: [CosineDecay()]),
        "0.1, constant": Method(optimizer_of("SGD", 0.1)),
        "fastai's way: `valley` and one-cycle": Method(
            usual, lambda: [LRFinder(suggestion="valley", smoothing=0.98), OneCycle(pct_start=0.25)]
        ),
        "Lightning's `lr_find`, constant": Method(usual, tunes=True),
    }
    other = {"AdamW": ("0.1, constant",), "SGD": ("1e-3, warm-up and cosine", "Schedule-Free", "Prodigy")}[name]
    return {key: method for key, method in found.items() if not key.startswith(other)}


def ours(name: str) -> dict[str, Method]:
    """Return the recipe, its finder alone, the recipe without averaged weights, and changes of one part of the last."""
    usual = optimizer_of(name)
    changes: dict[str, Callbacks] = {
        FINDER: lambda: [LRFinder(), EarlyStopping(patience=NEVER)],
        AUTO: lambda: auto_tricks(report=False),
        BASE: recipe,
        "without `LRFinder`": lambda: recipe(without=LRFinder),
        "without raising the rate later": lambda: auto_tricks(raise_at=(), average=False, report=False),
        "without the schedule": lambda: recipe(without=WarmupStableDecay),
        "without warm-up": lambda: recipe(WarmupStableDecay("0.2dur"), without=WarmupStableDecay),
        "without clipping": lambda: recipe(without=GradientClipping),
        "without best weights": lambda: recipe(without=EarlyStopping),
        "with cosine instead": lambda: recipe(CosineDecay(warmup=WARMUP), without=WarmupStableDecay),
        "with one-cycle instead": lambda: recipe(OneCycle(), without=WarmupStableDecay),
        "with restarts instead": lambda: recipe(
            CosineWarmRestarts("0.25dur", warmup=WARMUP), without=WarmupStableDecay
        ),
        "with the plateau rule instead": lambda: recipe(ReduceLROnPlateau(patience=2), without=WarmupStableDecay),
        "with `ZClip` instead": lambda: recipe(ZClip(), without=GradientClipping),
        "with `refine`": lambda: auto_tricks(refine="0.05dur", average=False, report=False),
        "with `InitializeWeights`": lambda: recipe(InitializeWeights()),
        "with `WeightPenalty`": lambda: recipe(WeightPenalty(l2=1e-4)),
    }
    return {key: Method(usual, callbacks, best_weights=False) for key, callbacks in changes.items()}


def recipe(*added: L.Callback, without: type[L.Callback] | tuple[()] = ()) -> list[L.Callback]:
    """Return the recipe without averaged weights and less the parts of a class, and with other parts."""
    return [*(part for part in auto_tricks(average=False, report=False) if not isinstance(part, without)), *added]
