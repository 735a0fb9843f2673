"""Training after a sweep equals training without one, whatever a program keeps and wherever its batches come from."""

import copy
import itertools
import types
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from tiny import Net, same, trainer, weights
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.data import DataLoader, IterableDataset, Sampler, TensorDataset

from lightning_tricks import LRFinder, find_lr

pytestmark = pytest.mark.filterwarnings("ignore")


def table(rows: int = 24) -> TensorDataset:
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(3))
    return TensorDataset(x, x.sum(1, keepdim=True).tanh())


class Program(Net):
    """Its loss is scaled by what ``state`` says, so that state that is not restored shows in the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.build()

    def build(self) -> None: ...

    def scale(self) -> Any:
        return 1.0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch) * self.scale()

    def train_dataloader(self) -> Any:
        return DataLoader(table(), batch_size=4, shuffle=True)


class Teacher(Program):
    """A moving average of the model, kept out of its submodules."""

    def build(self) -> None:
        self.average = [copy.deepcopy(self.head)]

    def scale(self) -> Any:
        for ours, theirs in zip(self.average[0].parameters(), self.head.parameters(), strict=True):
            ours.data.lerp_(theirs.data, 0.5)
        return 1 + self.average[0].weight.detach().square().sum()


class Metrics(Program):
    """A collection of metrics over the steps of an epoch."""

    def build(self) -> None:
        self.metrics = torchmetrics.MetricCollection(
            {"mean": torchmetrics.MeanMetric(), "max": torchmetrics.MaxMetric()}
        )

    def scale(self) -> Any:
        self.metrics.update(torch.rand(()))
        return 1 + self.metrics.compute()["mean"]


class Parts(Program):
    """State in places that are easily forgotten."""

    shared = 0

    def build(self) -> None:
        self.space = types.SimpleNamespace(steps=0)
        self.raw, self.buffer = bytearray(1), deque([0.0], maxlen=3)
        self.table: defaultdict[str, list[int]] = defaultdict(list)
        self.array, self.ids = np.zeros(2), itertools.count()
        self.watched = nn.Linear(1, 1)
        self.by_layer = weakref.WeakKeyDictionary({self.watched: 0})

    def scale(self) -> Any:
        self.space.steps += 1
        self.raw[0] = (self.raw[0] + 1) % 200
        self.buffer.append(self.raw[0])
        self.table["a"].append(next(self.ids))
        self.array += 1
        type(self).shared += 1
        self.by_layer[self.watched] += 1
        counts = (self.space.steps, sum(self.buffer), sum(self.table["a"]), self.array[0], type(self).shared)
        return 1 + sum(counts) / 1e4 + self.by_layer[self.watched] / 100


class Parametrized(Program):
    """Weight norm and spectral norm; the latter moves a buffer at each forward pass."""

    def build(self) -> None:
        parametrizations.weight_norm(self.head)
        parametrizations.spectral_norm(self.body[0])


class Tied(Program):
    """A weight that two layers share, a buffer that is a view of another, a cache that grows."""

    def build(self) -> None:
        self.other = nn.Linear(8, 1)
        self.other.weight = self.head.weight
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("part", self.whole[:2])
        self.register_buffer("cache", torch.ones(1), persistent=False)

    def scale(self) -> Any:
        self.part.add_(1)
        self.cache = torch.ones(len(self.cache) + 1)
        return 1 + self.whole.sum() / 100 + len(self.cache) / 100


class Layouts(Program):
    """Buffers that are not dense, one of them new at each step."""

    def build(self) -> None:
        self.register_buffer("sparse", torch.eye(4).to_sparse())
        self.register_buffer("rows", torch.eye(4).to_sparse_csr())
        self.register_buffer("wide", torch.ones(4).expand(3, 4))

    def scale(self) -> Any:
        self.sparse = self.sparse * 1.01
        return self.sparse.to_dense().sum() * self.wide[0, 0] / 4


class Hooked(Program):
    """A forward hook that counts on the layer."""

    def build(self) -> None:
        self.head.calls = 0  # type: ignore[assignment]
        self.head.register_forward_hook(lambda layer, *_: setattr(layer, "calls", layer.calls + 1))

    def scale(self) -> Any:
        return 1 + self.head.calls / 100


class Compiled(Program):
    """A layer that is compiled."""

    def build(self) -> None:
        self.head = torch.compile(self.head, backend="eager")  # type: ignore[assignment]

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Freezing(Program):
    """Stops training its body after a few steps."""

    def build(self) -> None:
        self.steps = 0

    def scale(self) -> Any:
        self.steps += 1
        self.body.requires_grad_(self.steps < 4)
        return 1.0


class Ordered(Sampler[int]):
    """A sampler that moves on by one row each time it is iterated."""

    def __init__(self) -> None:
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        self.start += 1
        return iter([(self.start + row) % 24 for row in range(24)])

    def __len__(self) -> int:
        return 24


class Sampled(Program):
    def train_dataloader(self) -> Any:
        return DataLoader(table(), batch_size=4, sampler=Ordered())


class Forever(IterableDataset):
    """An endless stream whose position is an attribute."""

    def __init__(self) -> None:
        self.position = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.position += 1
        x = torch.randn(4, generator=torch.Generator().manual_seed(self.position))
        return x, x.sum(0, keepdim=True)


class Endless(Program):
    def train_dataloader(self) -> Any:
        return DataLoader(Forever(), batch_size=4)


class Combined(Program):
    """Two loaders at a time."""

    mode = "min_size"

    def train_dataloader(self) -> Any:
        loaders = {"a": DataLoader(table(), batch_size=4, shuffle=True), "b": DataLoader(table(8), batch_size=4)}
        return CombinedLoader(loaders, self.mode)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        parts = batch.values() if isinstance(batch, dict) else [batch]
        return sum(self.loss(part) for part in parts if part is not None)


class Cycling(Combined):
    mode = "max_size_cycle"


class Manual(Program):
    """Two optimizers, by hand, with a scheduler and gradients that are kept from step to step."""

    def build(self) -> None:
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        body, head = self.optimizers()
        self.manual_backward(self.loss(batch))
        head.step()
        head.zero_grad()
        if batch_idx % 2:
            body.step()
            body.zero_grad()
            self.lr_schedulers().step()

    def configure_optimizers(self) -> Any:
        body, head = super().configure_optimizers()
        return [body, head], [torch.optim.lr_scheduler.ExponentialLR(body, 0.9)]


class Anew(LightningDataModule):
    """Builds its loader again each epoch, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.built = 0

    def train_dataloader(self) -> Any:
        self.built += 1
        return DataLoader(table(8 + 4 * self.built), batch_size=4, shuffle=True)


class Fed(Program):
    """Takes its batches from a datamodule."""

    train_dataloader = None  # type: ignore[assignment]


PROGRAMS = [
    Program, Teacher, Metrics, Parts, Parametrized, Tied, Layouts, Hooked, Compiled, Freezing, Sampled, Endless,
    Combined, Cycling, Manual,
]  # fmt: skip


def end_of(net: Any, finder: LRFinder | None, **arguments: Any) -> Any:
    """Train, and return weights, buffers, optimizer states and random numbers of the end."""
    torch.manual_seed(7)
    data = arguments.pop("datamodule", None)
    few = {"max_epochs": 2, "limit_train_batches": 6, **arguments}
    runner = trainer(*[finder] * (finder is not None), **few)
    runner.fit(net, datamodule=data)
    buffers = {
        name: value.to_dense() if value.layout != torch.strided else value for name, value in net.named_buffers()
    }
    states = [optimizer.state_dict() for optimizer in runner.optimizers]
    return dict(net.named_parameters()), buffers, states, torch.get_rng_state()


@pytest.mark.parametrize("epochs", [(0,), (1,)], ids=["at the start", "later"])
@pytest.mark.parametrize("kind", PROGRAMS, ids=lambda kind: kind.__name__)
def test_training_after_a_sweep_equals_training_without_one(kind: type[Program], epochs: tuple[int, ...]) -> None:
    Parts.shared = 0
    alone = end_of(kind(), None)
    Parts.shared = 0
    finder = LRFinder(num_steps=20, apply=False, at_epochs=epochs)
    assert same(end_of(kind(), finder), alone)
    assert finder.result is not None
    assert len(finder.result.losses) >= 3


def test_a_datamodule_that_builds_its_loader_anew_is_read_as_without_a_sweep() -> None:
    def run(finder: LRFinder | None) -> Any:
        data = Anew()
        end = end_of(Fed(), finder, datamodule=data, reload_dataloaders_every_n_epochs=1)
        return end, data.built

    assert same(run(LRFinder(num_steps=20, apply=False, at_epochs=(0, 1))), run(None))


def numbers(count: int) -> list[Any]:
    return [tuple(part) for part in DataLoader(table(4 * count), batch_size=4)]


class Pull(IterableDataset):
    """A data set around a generator."""

    def __init__(self) -> None:
        self.source = (row for row in table())

    def __iter__(self) -> Iterator[Any]:
        return self.source


class Rereading:
    """Looks like a loader and always returns the same iterator."""

    def __init__(self) -> None:
        self.batches = iter(DataLoader(table(), batch_size=4))

    def __iter__(self) -> Iterator[Any]:
        return self.batches


ONCE: dict[str, Callable[[], Any]] = {
    "generator": lambda: (batch for batch in numbers(6)),
    "map": lambda: map(tuple, numbers(6)),
    "zip": lambda: zip(*[list(column) for column in zip(*numbers(6), strict=True)], strict=True),
    "chain": lambda: itertools.chain(numbers(3), numbers(3)),
    "islice": lambda: itertools.islice(numbers(9), 6),
    "filter": lambda: filter(None, numbers(6)),
    "iterator of a loader": lambda: iter(DataLoader(table(), batch_size=4)),
    "data set around a generator": lambda: DataLoader(Pull(), batch_size=4),
    "the same iterator": Rereading,
    "in a dict": lambda: {"a": (batch for batch in numbers(6))},
    "in a combined loader": lambda: CombinedLoader([map(tuple, numbers(6))]),
}


@pytest.mark.parametrize("kind", ONCE)
def test_what_can_be_read_only_once_is_refused_before_anything_is_read(kind: str) -> None:
    net, loader = Fed(), ONCE[kind]()
    before, state = weights(net), torch.get_rng_state()
    with pytest.raises(MisconfigurationException, match="can be read only once"):
        find_lr(net, loader, num_steps=20)
    assert same(weights(net), before)
    assert same(torch.get_rng_state(), state)
    left = loader["a"] if isinstance(loader, dict) else loader
    assert sum(1 for _ in left) == 6
    with pytest.raises(MisconfigurationException, match="can be read only once"):
        trainer(LRFinder(num_steps=20)).fit(Fed(), ONCE[kind]())


def test_a_module_that_keeps_an_iterator_is_refused_by_its_name() -> None:
    class Unlabeled(Program):
        def build(self) -> None:
            self.more = (batch for batch in numbers(6))

    with pytest.raises(MisconfigurationException, match=r"`Unlabeled\.more` \(generator\) can be read only once"):
        trainer(LRFinder(num_steps=20)).fit(Unlabeled())


@pytest.mark.parametrize(
    "look", [lambda net: find_lr(net), lambda net: trainer(LRFinder(), num_sanity_val_steps=0).fit(net)]
)
def test_lazy_parameters_are_refused_and_stay_lazy(look: Callable[[Any], Any]) -> None:
    net = Program()
    net.head = nn.LazyLinear(1)  # type: ignore[assignment]
    with pytest.raises(MisconfigurationException, match=r"uninitialized \(lazy\) parameters: head\.weight, head\.bias"):
        look(net)
    assert nn.parameter.is_lazy(net.head.weight)
