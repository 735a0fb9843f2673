"""One tiny instance of each public callback, with settings that matter within three epochs of six batches."""

import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback

import lightning_tricks as lt


class LiveControl(lt.LiveControl):
    """One that is given an order as soon as training starts: an order that was there before would not be obeyed."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_start(trainer, pl_module)
        if self._file is not None:
            self._file._end.set()
            self._file._thread.join()
            Path(self._file.path).write_text("lr: x0.5")
            self._file.look_again()
            assert self._file._look is not None
            self._file._look = self._file._look._replace(since=float("-inf"))

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        written = self._file and Path(self._file.path)
        super().teardown(trainer, pl_module, stage)
        if written:
            written.unlink(missing_ok=True)


def add_noise(x: torch.Tensor) -> torch.Tensor:
    return x + 0.1 * torch.randn_like(x)


TINY: dict[str, Callable[[], Callback]] = {
    "AdaptiveGradientClipping": lambda: lt.AdaptiveGradientClipping(0.05, exclude=["head.*"], log=True),
    "BatchAugment": lambda: lt.BatchAugment(add_noise),
    "AutoClip": lambda: lt.AutoClip(30, window=5, log=True),
    "CosineDecay": lambda: lt.CosineDecay(end_factor=0.1, warmup="2st"),
    "CosineWarmRestarts": lambda: lt.CosineWarmRestarts(t_0=0.5, t_mult=1.5, warmup="4st", peak_decay=0.9),
    "CutMix": lambda: lt.CutMix(p=0.7),
    "DiscriminativeLR": lambda: lt.DiscriminativeLR(groups=["body.*", "head.*"], multipliers=[0.5, 1.0], no_decay=True),
    "Doctor": lambda: lt.Doctor(ignore=["OPT011"], options={"PLC005": {"high": 0.6}}),
    "DropoutSchedule": lambda: lt.DropoutSchedule(0.2, over="8st", last=2),
    "EarlyStopping": lambda: lt.EarlyStopping(patience=50, strict=False),
    "ExponentialDecay": lambda: lt.ExponentialDecay(0.5, decay_steps="5st", staircase=True),
    "GradientClipping": lambda: lt.GradientClipping(0.5, per_group=True, max_skips=3, log=True),
    "GradualUnfreezing": lambda: lt.GradualUnfreezing(every="4st", rewarmup="2st"),
    "InitializeWeights": lambda: lt.InitializeWeights("orthogonal", seed=1),
    "InverseSqrtDecay": lambda: lt.InverseSqrtDecay(unit="st", warmup=0.5),
    "InverseTimeDecay": lambda: lt.InverseTimeDecay(0.5, decay_steps=0.5),
    "LRFinder": lambda: lt.LRFinder(
        min_lr=1e-4, max_lr=1.0, num_steps=20, at_epochs=(0, 2), raise_at=(1,), suggestion="minimum"
    ),
    "LRSchedule": lambda: lt.LRSchedule(lt.cosine_decay(7), unit="st", name="steps"),
    "LiveControl": lambda: LiveControl(every_n_steps=2),
    "MixUp": lambda: lt.MixUp(0.4),
    "NormalizeInputs": lambda: lt.NormalizeInputs(key=0, limit_batches=4),
    "OneCycle": lambda: lt.OneCycle("0.9dur", div_factor=5, final_div_factor=10),
    "PiecewiseConstant": lambda: lt.PiecewiseConstant([0.5, "0.5dur"], [0.5, 1, 0.3]),
    "PlacementCheck": lambda: lt.PlacementCheck(ignore=["PLC001:body.*"]),
    "PolynomialDecay": lambda: lt.PolynomialDecay("7st", end_factor=0.2, power=0.8, cycle=True),
    "WarmupStableDecay": lambda: lt.WarmupStableDecay("0.5dur", form="sqrt", end_factor=0.1, warmup="2st"),
    "WeightPenalty": lambda: lt.WeightPenalty(l1=0.01, l2=0.1, include=["*", "head.bias"]),
    "RunReport": lambda: lt.RunReport(os.path.join(tempfile.gettempdir(), "report"), every_n_epochs=2, curves=False),
    "TestGuard": lambda: lt.TestGuard(max_looks=3),
    "ZClip": lambda: lt.ZClip(1.0, alpha=0.8, warmup=3, log=True),
    # with this min_delta no score after the first is a new best: a cut at every check
    "ReduceLROnPlateau": lambda: lt.ReduceLROnPlateau(
        patience=1, min_delta=9.0, stop_at_min=False, restore_best=True, strict=False
    ),
}


def public_callbacks() -> list[str]:
    """The names of all public callbacks."""
    found = [name for name in lt.__all__ if isinstance(getattr(lt, name), type)]
    return [name for name in found if issubclass(getattr(lt, name), Callback)]


def required_arguments(name: str) -> dict[str, Any]:
    """The arguments of a callback that have no default, as its tiny instance has them."""
    parameters = inspect.signature(getattr(lt, name)).parameters.values()
    trick = TINY[name]()
    return {each.name: getattr(trick, each.name) for each in parameters if each.default is each.empty}


def as_typed(value: Any) -> str:
    """A value as a person types it on a command line; a function by its import path."""
    if isinstance(value, lt.Schedule):
        return f"lightning_tricks.{value!r}".partition("(")[0]
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else repr(value)
