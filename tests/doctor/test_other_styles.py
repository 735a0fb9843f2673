"""Healthy programs in the styles of tutorials and other packages: no finding, no note, a fit as without the doctor."""

import copy
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
import torchmetrics
from lightning.pytorch.utilities import CombinedLoader
from tiny import trainer
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lightning_tricks import Doctor, diagnose

Build = Callable[[], tuple[L.LightningModule, Any]]
PROGRAMS: dict[str, Build] = {}


def program(build: Build) -> Build:
    PROGRAMS[build.__name__] = build
    return build


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def table(rows: int = 640, columns: int = 8) -> tuple[Tensor, Tensor]:
    x = drawn(rows, columns)
    return x, x[:, :3].argmax(1)


def shuffled(*tensors: Tensor, size: int = 32, **arguments: Any) -> DataLoader:
    return DataLoader(TensorDataset(*tensors), size, shuffle=True, **arguments)


def dense(*widths: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    pairs = pairwise(widths)
    return nn.Sequential(*[layer for pair in pairs for layer in (nn.Linear(*pair), act())][:-1])


class Adam(L.LightningModule):
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


class Critic(Adam):
    """A gradient penalty, and a generator that steps on every second batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = dense(4, 32, 2), dense(2, 32, 1, act=nn.LeakyReLU)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        (real,) = batch
        first, second = self.optimizers()
        fake = self.generator(torch.randn(len(real), 4)).detach()
        share = torch.rand(len(real), 1)
        between = (share * real + (1 - share) * fake).requires_grad_(True)
        slope = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)[0]
        loss = self.critic(fake).mean() - self.critic(real).mean() + 10 * ((slope.norm(2, 1) - 1) ** 2).mean()
        second.zero_grad()
        self.manual_backward(loss)
        second.step()
        if batch_idx % 2:
            first.zero_grad()
            self.manual_backward(-self.critic(self.generator(torch.randn(len(real), 4))).mean())
            first.step()

    def configure_optimizers(self) -> Any:
        parts = (self.generator, self.critic)
        return [torch.optim.Adam(part.parameters(), 1e-4, betas=(0.0, 0.9)) for part in parts]


@program
def wasserstein_critic() -> Any:
    return Critic(), shuffled(drawn(640, 2))


Experience = namedtuple("Experience", "state action reward done following")


class Replay(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        for _ in range(192):
            yield Experience(
                torch.randn(4), torch.randint(2, ()), torch.randn(()), torch.rand(()) < 0.1, torch.randn(4)
            )


class QLearning(Adam):
    """A target network that is neither frozen nor in the optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.target = dense(4, 64, 2), dense(4, 64, 2)
        self.target.load_state_dict(self.net.state_dict())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        values = self.net(batch.state).gather(1, batch.action[:, None]).squeeze(1)
        with torch.no_grad():
            following = self.target(batch.following).max(1)[0]
            following[batch.done] = 0.0
        if self.global_step % 10 == 0:
            self.target.load_state_dict(self.net.state_dict())
        return F.mse_loss(values, 0.99 * following + batch.reward)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.net.parameters(), 1e-3)


@program
def q_learning_with_a_target_network() -> Any:
    return QLearning(), DataLoader(Replay(), 16)


class Momentum(Adam):
    """Momentum contrast: a key encoder that follows, and a queue of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.query = dense(16, 32, 8)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.register_buffer("queue", F.normalize(drawn(8, 64), dim=0))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x,) = batch
        query = F.normalize(self.query(x + 0.1 * torch.randn_like(x)), dim=1)
        with torch.no_grad():
            for own, following in zip(self.query.parameters(), self.key.parameters(), strict=True):
                following.data = following.data * 0.99 + own.data * 0.01
            key = F.normalize(self.key(x), dim=1)
        logits = torch.cat([(query * key).sum(1, keepdim=True), query @ self.queue.clone()], 1) / 0.07
        self.queue = torch.cat([self.queue[:, len(x) :], key.T], 1)
        return F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))


@program
def momentum_contrast() -> Any:
    return Momentum(), shuffled(drawn(640, 16))


class Averaged(Adam):
    """A moving average of the weights that torch keeps as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = dense(8, 32, 3)
        self.average = torch.optim.swa_utils.AveragedModel(self.net)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.net)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.net.parameters(), 1e-3)


@program
def averaged_weights() -> Any:
    return Averaged(), shuffled(*table())


class PseudoLabels(Adam):
    """The places of a maximum as targets, and batches of two loaders."""

    def __init__(self) -> None:
        super().__init__()
        self.net = dense(8, 32, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x, y), (other,) = batch["labelled"], batch["unlabelled"]
        with torch.no_grad():
            sure, guess = self.net(other).softmax(-1).max(-1)
        noisy = F.cross_entropy(self.net(other + 0.1 * torch.randn_like(other)), guess, reduction="none")
        return F.cross_entropy(self.net(x), y) + (noisy * (sure > 0.6)).mean()


@program
def pseudo_labels_from_two_loaders() -> Any:
    loaders = {"labelled": shuffled(*table(), size=16), "unlabelled": shuffled(drawn(640, 8))}
    return PseudoLabels(), CombinedLoader(loaders, "max_size_cycle")


class Scheduled(Adam):
    """Asks its Trainer for the length of the run, and its optimizers and schedulers for the rate."""

    def __init__(self) -> None:
        super().__init__()
        self.net = dense(8, 32, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.log("rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        self.log("same", self.lr_schedulers().get_last_lr()[0])
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.trainer.lightning_module.parameters(), 1e-3)
        steps = int(self.trainer.estimated_stepping_batches)
        assert steps == self.trainer.max_epochs * self.trainer.num_training_batches
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


@program
def schedule_of_the_trainer_s_length() -> Any:
    return Scheduled(), shuffled(*table())


@dataclass(frozen=True, slots=True)
class Rows:
    x: Tensor
    y: Tensor

    def to(self, device: Any, non_blocking: bool = False) -> "Rows":
        return Rows(self.x.to(device), self.y.to(device))


class OnRows(Adam):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.scores = (
            dense(8, 32, 3),
            nn.ModuleDict({"acc": torchmetrics.Accuracy("multiclass", num_classes=3)}),
        )

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        logits = self.net(batch.x)
        self.scores["acc"](logits, batch.y)
        self.log("acc", self.scores["acc"], on_epoch=True)
        return {"loss": F.cross_entropy(logits, batch.y), "logits": logits.detach()}


@program
def frozen_dataclass_with_slots() -> Any:
    def collate(rows: Any) -> Rows:
        return Rows(torch.stack([x for x, _ in rows]), torch.stack([y for _, y in rows]))

    return OnRows(), shuffled(*table(), collate_fn=collate)


class Sequences(Dataset):
    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> Any:
        return torch.randn(3 + index % 7, 5, generator=torch.Generator().manual_seed(index)), index % 2


class Recurrent(Adam):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(5, 16, batch_first=True, bidirectional=True), nn.Linear(32, 2)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        packed, y = batch
        _, (last, _) = self.lstm(packed)
        return F.cross_entropy(self.head(torch.cat([last[0], last[1]], 1)), y)


class Padded(Recurrent):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        nested, y = batch
        return F.cross_entropy(self.head(self.lstm(nested.to_padded_tensor(0.0))[0].mean(1)), y)


@program
def nested_tensors() -> Any:
    def collate(rows: Any) -> Any:
        return torch.nested.nested_tensor([x for x, _ in rows]), torch.tensor([y for _, y in rows])

    return Padded(), DataLoader(Sequences(), 32, shuffle=True, collate_fn=collate)


@program
def packed_sequences() -> Any:
    def collate(rows: Any) -> Any:
        return pack_sequence([x for x, _ in rows], enforce_sorted=False), torch.tensor([y for _, y in rows])

    return Recurrent(), DataLoader(Sequences(), 32, shuffle=True, collate_fn=collate)


class Graphs(Dataset):
    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> Any:
        generator = torch.Generator().manual_seed(index)
        nodes = 4 + index % 5
        edges = torch.randint(nodes, (2, 3 * nodes), generator=generator)
        return torch.randn(nodes, 6, generator=generator), edges, index % 2


class OnGraphs(Adam):
    """Messages along edges, and a mean over the nodes of each graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        hidden = batch["x"]
        for layer in (self.first, self.second):
            hidden = layer(hidden)
            messages = torch.zeros_like(hidden).index_add(0, batch["edges"][1], hidden[batch["edges"][0]])
            hidden = F.relu(hidden + messages)
        graphs = len(batch["y"])
        counts = torch.bincount(batch["graph"], minlength=graphs)[:, None]
        return F.cross_entropy(
            self.head(torch.zeros(graphs, 32).index_add(0, batch["graph"], hidden) / counts), batch["y"]
        )


@program
def graphs_of_many_nodes() -> Any:
    def collate(rows: Any) -> Any:
        sizes = torch.tensor([len(x) for x, _, _ in rows])
        starts = sizes.cumsum(0) - sizes
        edges = torch.cat([edges + start for (_, edges, _), start in zip(rows, starts, strict=True)], 1)
        graph = torch.repeat_interleave(torch.arange(len(rows)), sizes)
        return {"x": torch.cat([x for x, _, _ in rows]), "edges": edges, "graph": graph,
                "y": torch.tensor([y for _, _, y in rows])}  # fmt: skip

    return OnGraphs(), DataLoader(Graphs(), 32, shuffle=True, collate_fn=collate)


class Reversible(Adam):
    """Normalizes each series, with a learned scale, and brings the forecast back."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift, self.net = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3)), nn.Linear(24, 6)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        past, future = batch
        mean, std = past.mean(1, keepdim=True), past.std(1, keepdim=True)
        forecast = self.net(((past - mean) / std * self.scale + self.shift).transpose(1, 2)).transpose(1, 2)
        return F.mse_loss((forecast - self.shift) / self.scale * std + mean, future)


@program
def reversible_normalization() -> Any:
    series = drawn(320, 30, 3).cumsum(1) * 10 + 300
    return Reversible(), shuffled(series[:, :24], series[:, 24:])


class Counts(Adam):
    """Counts go in as logarithms, and the rates of a Poisson distribution come out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = dense(50, 32, 8), nn.Linear(8, 50)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (counts,) = batch
        rates = self.decoder(F.relu(self.encoder(torch.log1p(counts)))).softmax(1) * counts.sum(1, keepdim=True)
        return F.poisson_nll_loss(rates, counts, log_input=False)


@program
def logarithms_of_counts() -> Any:
    return Counts(), shuffled(torch.poisson(30 + 60 * torch.rand(320, 50)))


class Gated(Adam):
    """A gated residual block, as in temporal fusion transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.gate, self.norm, self.head = nn.Linear(16, 32), nn.LayerNorm(16), nn.Linear(16, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        hidden = self.embed(batch[0])
        inner = self.second(F.elu(self.first(hidden)))
        return F.mse_loss(self.head(self.norm(hidden + F.glu(self.gate(inner)))), batch[0][:, :1])


@program
def gated_residual_block() -> Any:
    return Gated(), shuffled(*table())


class ActorCritic(Adam):
    """Two nets of two tanhs each."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = dense(4, 64, 64, 2, act=nn.Tanh), dense(4, 64, 64, 1, act=nn.Tanh)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        state, action, before, advantage, gain = batch
        policy = torch.distributions.Categorical(logits=self.actor(state))
        ratio = (policy.log_prob(action) - before).exp()
        clipped = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
        return F.mse_loss(self.critic(state).squeeze(1), gain) - clipped - 0.01 * policy.entropy().mean()


@program
def clipped_policy_gradient() -> Any:
    action = torch.randint(2, (640,), generator=torch.Generator().manual_seed(0))
    return ActorCritic(), shuffled(drawn(640, 4), action, torch.full((640,), -0.69), drawn(640), drawn(640).roll(1))


class Output(OrderedDict):
    """Entries are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(name)


class Tagger(Adam):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(60, 16, padding_idx=0), nn.Linear(16, 2)

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor | None = None) -> Output:
        logits = self.head(F.relu((self.embed(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)))
        return Output(logits=logits) if labels is None else Output(logits=logits, loss=F.cross_entropy(logits, labels))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(**batch).loss


class Sentences(Dataset):
    def __len__(self) -> int:
        return 640

    def __getitem__(self, index: int) -> Any:
        ids = torch.randint(1, 60, (12,), generator=torch.Generator().manual_seed(index))
        mask = (torch.arange(12) < 5 + index % 7).long()
        return {"ids": ids * mask, "mask": mask, "labels": torch.tensor(index % 2)}


@program
def output_with_entries_as_attributes() -> Any:
    return Tagger(), DataLoader(Sentences(), 32, shuffle=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_found(name: str) -> None:
    torch.manual_seed(0)
    model, train = PROGRAMS[name]()
    report = diagnose(model, train_dataloaders=train)
    assert report.ok, str(report)
    assert report.evidence is not None
    assert report.evidence.trace is not None, report.evidence.missing
    assert not [note for note in report.notes if "report this" in note]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fit_is_what_it_is_without_the_doctor(name: str) -> None:
    states = []
    doctor = Doctor()
    for callbacks in ([doctor], []):
        torch.manual_seed(0)
        model, train = PROGRAMS[name]()
        trainer(*callbacks, max_epochs=2, limit_train_batches=3, log_every_n_steps=1).fit(model, train)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert doctor.report is not None
    assert doctor.report.ok, str(doctor.report)
    assert not [note for note in doctor.report.notes if "report this" in note]
