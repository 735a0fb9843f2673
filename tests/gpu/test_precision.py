"""Clipping and skipping under each precision and each kind of optimizer."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from coarse_momentum import CoarseMomentum
from gpu_device import ASKED, DEVICE, ON_CUDA, synchronize, trainer_settings
from lightning.pytorch.plugins.precision import MixedPrecision
from scaled_grad_net import GOOD, OPTIMIZERS, ScaledGradNet, batches
from tiny import same, trainer, weights

from lightning_tricks import AdaptiveGradientClipping, AutoClip, GradientClipping, ZClip
from lightning_tricks.engine.clip.step_guard import DeferredFlag

NAN, INF = math.nan, math.inf
FACTORS = [NAN, GOOD, GOOD, INF, NAN, GOOD, -INF, GOOD, GOOD, NAN]
CLIPPERS: dict[str, Callable[..., Any]] = {
    "norm": lambda **more: GradientClipping(0.5, **more),
    "value": lambda **more: GradientClipping(clip_value=0.01, **more),
    "AGC": lambda **more: AdaptiveGradientClipping(0.1, exclude=["head.*"], **more),
    "AutoClip": lambda **more: AutoClip(50, window=4, **more),
    "ZClip": lambda **more: ZClip(1.0, warmup=2, **more),
}


KINDS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {**OPTIMIZERS, "coarse": CoarseMomentum}
if ON_CUDA:
    KINDS |= {
        "capturable AdamW": lambda params: torch.optim.AdamW(params, lr=0.05, foreach=True, capturable=True),
        "fused capturable AdamW": lambda params: torch.optim.AdamW(params, lr=0.05, fused=True, capturable=True),
        "AdamW, rate on the device": lambda params: torch.optim.AdamW(
            params, lr=torch.tensor(0.05, device=DEVICE), capturable=True
        ),
    }
    del KINDS["fused Adagrad"]  # torch has it for the CPU alone


class KindNet(ScaledGradNet):
    def configure_optimizers(self) -> Any:
        return KINDS[self.optimizer](self.parameters())


def scaled() -> dict[str, Any]:
    """float16 with a scaler whose factors are powers of two; on the CPU, where Lightning has none, a scaler by hand."""
    scaler = torch.amp.GradScaler(DEVICE.type, init_scale=256.0, growth_interval=10_000)
    return {"plugins": [MixedPrecision("16-mixed", DEVICE.type, scaler=scaler)]}


PRECISIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "32-true": dict,
    "bf16-mixed": lambda: {"precision": "bf16-mixed"},
    "16-mixed": scaled,
}


def end_of(kind: str, optimizer: str, precision: str, *, keep_bad: bool) -> tuple[Any, ScaledGradNet]:
    clipper, net = CLIPPERS[kind](), KindNet(optimizer)
    runner = trainer(clipper, **trainer_settings(max_epochs=1, **PRECISIONS[precision]()))
    runner.fit(net, batches(FACTORS, keep_bad=keep_bad))
    return clipper, net


CASES = [("norm", "fused AdamW"), ("AGC", "coarse"), ("ZClip", "SGD")]
"""On the CPU, where tests/engine/clip/test_step_guard.py has all of them in float32, three and each optimizer once."""
if ASKED:
    CASES += [("norm", name) for name in KINDS if name != "fused AdamW"]
if ON_CUDA:
    CASES = [(kind, name) for kind in CLIPPERS for name in KINDS]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("kind", "optimizer"), CASES)
def test_a_run_with_bad_steps_ends_as_one_without_them(kind: str, optimizer: str, precision: str) -> None:
    """To the last bit without a scaler; with one, whose scale the bad steps have changed, to float16's rounding."""
    clipper, skipping = end_of(kind, optimizer, precision, keep_bad=True)
    other, clean = end_of(kind, optimizer, precision, keep_bad=False)
    assert clipper.num_skipped == 5
    assert other.num_skipped == 0
    if precision == "16-mixed":
        for name, weight in weights(clean).items():
            torch.testing.assert_close(weights(skipping)[name], weight, rtol=2e-2, atol=2e-3)
        return
    assert same(weights(skipping), weights(clean))
    rules = [callback.state_dict()["optimizers"][0]["rules"] for callback in (clipper, other)]
    assert same(*rules)


@pytest.mark.parametrize("optimizer", ["fused AdamW", "SGD"])
def test_a_flag_that_is_read_late_still_ends_a_run_of_bad_steps(optimizer: str) -> None:
    net = KindNet(optimizer)
    runner = trainer(GradientClipping(0.5, max_skips=2), **trainer_settings(max_epochs=1))
    with pytest.raises(RuntimeError, match="skipped 3 consecutive steps"):
        runner.fit(net, batches([GOOD, NAN, NAN, NAN]))


def test_the_host_does_not_wait_for_a_flag_before_it_reads_it() -> None:
    flag = DeferredFlag(DEVICE)
    flag.send(torch.zeros((), dtype=torch.bool, device=DEVICE))
    assert flag.read() is False
    value = torch.ones((), dtype=torch.bool, device=DEVICE)
    synchronize()
    start = time.perf_counter()
    if ON_CUDA:
        torch.cuda._sleep(1_000_000_000)  # cycles: about half a second
    flag.send(value)
    sent = time.perf_counter() - start
    seen_at_once = bool(flag._seen)
    assert flag.read() is True
    assert not ON_CUDA or (sent < 0.1 < time.perf_counter() - start and not seen_at_once)
