"""Under `torch.compile` the callbacks break no graph and cause no compilation that training alone does not need."""

from typing import Any

import pytest
import torch
from gpu_device import DEVICE, ON_CUDA, trainer_settings
from lightning.pytorch import Callback
from tiny import Net, trainer
from torch._dynamo.utils import counters
from tricks import TINY, public_callbacks

from lightning_tricks.functional.learning_rates import LearningRates

CHANGING = {"GradualUnfreezing", "LRFinder", "InitializeWeights", "DropoutSchedule"}
"""They change what is compiled: which weights train, in which state a trial runs, what an input is multiplied with."""
WAYS: dict[str, dict[str, Any]] = {"eager": {"backend": "eager"}}
if ON_CUDA:
    WAYS = {"inductor": {}, "CUDA graphs": {"mode": "reduce-overhead"}}


class CompiledParts(Net):
    """A net with a compiled module and a compiled function; the rate may be a tensor."""

    def __init__(self, rate: Any = 0.05, **how: Any) -> None:
        super().__init__()
        self.body = torch.compile(self.body, **how)
        self.difference = torch.compile(lambda out, y: (out - y).pow(2).mean(), **how)
        self.rate = rate

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.difference(self.head(self.body(x)), y)

    def on_before_optimizer_step(self, optimizer: Any) -> None: ...

    def configure_optimizers(self) -> Any:
        parts = [{"params": [*part.parameters()]} for part in (self.body, self.head)]
        return torch.optim.AdamW(parts, lr=self.rate, capturable=ON_CUDA, foreach=ON_CUDA)


class SilentNet(Net):
    """`Net` without `self.log` in its step, which Lightning cannot compile with every version of torch."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch)

    def on_before_optimizer_step(self, optimizer: Any) -> None: ...


class CompiledLoss(CompiledParts):
    """The function alone is compiled, so nothing among the modules shows it."""

    def __init__(self, rate: Any = 0.05, **how: Any) -> None:
        super().__init__(rate, **how)
        self.body = self.body._orig_mod


def compiled_in(net: Net, *callbacks: Callback, whole: dict[str, Any] | None = None) -> dict[str, int]:
    """Return the number of graphs, graph breaks and compiled frames of a fit."""
    torch._dynamo.reset()
    counters.clear()
    runner = trainer(*callbacks, **trainer_settings(max_epochs=2))
    runner.fit(torch.compile(net, **whole) if whole is not None else net)
    return {
        "graphs": counters["stats"]["unique_graphs"],
        "breaks": sum(counters["graph_break"].values()),
        "frames": counters["frames"]["total"],
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("net", [CompiledParts, CompiledLoss])
def test_all_together_compile_nothing_more(net: type[CompiledParts], way: str) -> None:
    several = [TINY[name]() for name in public_callbacks() if name not in CHANGING]
    bare = compiled_in(net(**WAYS[way]))
    assert bare["graphs"] >= 1
    assert compiled_in(net(**WAYS[way]), *several) == bare


@pytest.mark.parametrize("name", sorted(CHANGING - {"DropoutSchedule"}))
def test_one_that_changes_what_trains_breaks_no_graph(name: str) -> None:
    way = WAYS["inductor" if ON_CUDA else "eager"]
    bare, found = compiled_in(CompiledParts(**way)), compiled_in(CompiledParts(**way), TINY[name]())
    assert found["breaks"] == bare["breaks"]
    assert found["graphs"] <= bare["graphs"] + 4


def test_a_compiled_lightning_module_too() -> None:
    way = WAYS["inductor" if ON_CUDA else "eager"]
    several = [TINY[name]() for name in ("CosineDecay", "GradientClipping", "Doctor", "EarlyStopping")]
    bare = compiled_in(SilentNet(), whole=way)
    found = compiled_in(SilentNet(), *several, whole=way)
    assert found["breaks"] <= bare["breaks"]
    assert found["graphs"] <= bare["graphs"]


def test_a_compiled_optimizer_takes_a_scheduled_rate_from_a_tensor() -> None:
    """A rate that is a number is a constant of the graph; a tensor that is written in place is its input."""
    way = WAYS["inductor" if ON_CUDA else "eager"]
    torch._dynamo.reset()
    counters.clear()
    param = torch.nn.Parameter(torch.ones(4, device=DEVICE))
    optimizer = torch.optim.SGD([param], lr=torch.tensor(0.1, device=DEVICE), foreach=False)
    rates, step, seen = LearningRates(optimizer), torch.compile(optimizer.step, **way), []
    for turn in range(1, 5):
        param.grad = torch.ones_like(param)
        rates.write_([1.0 / turn])
        step()
        seen.append((counters["stats"]["unique_graphs"], param[0].item()))
    assert len({graphs for graphs, _ in seen[1:]}) == 1
    assert [weight for _, weight in seen] == pytest.approx([0.9, 0.85, 0.85 - 0.1 / 3, 0.825 - 0.1 / 3])
