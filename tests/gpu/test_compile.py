"""Under `torch.compile` the callbacks break no graph and cause no compilation that training alone does not need."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from gpu_device import DEVICE, ON_CUDA, trainer_settings
from lightning.pytorch import Callback
from recorders import Recorder
from tiny import Net, trainer
from torch._dynamo.utils import counters
from tricks import TINY, public_callbacks

from lightning_tricks import DropoutSchedule
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


def compiled_in(build: Callable[[], Net], *callbacks: Callback, whole: dict[str, Any] | None = None) -> dict[str, int]:
    """Return the number of graphs, graph breaks and compiled frames of a fit of a new net."""
    torch._dynamo.reset()
    counters.clear()
    net = build()
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
    bare = compiled_in(partial(net, **WAYS[way]))
    assert bare["graphs"] >= 1
    assert compiled_in(partial(net, **WAYS[way]), *several) == bare


@pytest.mark.parametrize("name", sorted(CHANGING - {"DropoutSchedule"}))
def test_one_that_changes_what_trains_breaks_no_graph(name: str) -> None:
    way = WAYS["inductor" if ON_CUDA else "eager"]
    bare, found = compiled_in(partial(CompiledParts, **way)), compiled_in(partial(CompiledParts, **way), TINY[name]())
    assert found["breaks"] == bare["breaks"]
    assert found["graphs"] <= bare["graphs"] + 4


class Fed(CompiledParts):
    """A net in which a dropout layer feeds the head."""

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.3))
        self.all = torch.compile(torch.nn.Sequential(self.body, self.head), **how)

    def loss(self, batch: Any) -> Any:
        return (self.all(batch[0]) - batch[1]).pow(2).mean()


@pytest.mark.parametrize("net", [CompiledParts, Fed])
def test_a_rate_of_dropout_that_changes_compiles_nothing_again(net: type[CompiledParts]) -> None:
    """After the first epoch, in which the layer that feeds another is found."""
    way, last = WAYS["inductor" if ON_CUDA else "eager"], 1 if net is Fed else 2
    seen = Recorder(on_train_epoch_end=lambda *_: counters["stats"]["unique_graphs"])
    torch._dynamo.reset()
    counters.clear()
    schedule = DropoutSchedule(0.1, end=0.9, over="18st", last=last)
    trainer(schedule, seen, **trainer_settings(max_epochs=3, limit_val_batches=0)).fit(net(**way))
    assert schedule.rate > 0.8
    assert len(set(seen.seen["on_train_epoch_end"])) == 1


def test_a_compiled_lightning_module_too() -> None:
    way = WAYS["inductor" if ON_CUDA else "eager"]
    several = [TINY[name]() for name in ("CosineDecay", "GradientClipping", "Doctor", "EarlyStopping")]
    bare = compiled_in(SilentNet, whole=way)
    found = compiled_in(SilentNet, *several, whole=way)
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
