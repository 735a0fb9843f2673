"""Patients of the rules on inputs that change nothing, and on state that carries a graph."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes, healthy, sick
from torch import Tensor, nn


def calling(function: Any, *inputs: Tensor, **parts: nn.Module) -> dict:
    return {"model": Calling(function, **parts), "batch": inputs or (classes()[0],)}


def tokens() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids, mask = torch.randint(1, 20, (16, 6), generator=generator), torch.ones(16, 6, dtype=torch.int64)
    mask[::2, 4:] = 0
    return ids, mask


def pooled(net: Any, ids: Tensor, mask: Tensor) -> Tensor:
    return net.head((net.embed(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


TEXT = {"embed": nn.Embedding(20, 8), "head": nn.Linear(8, 2)}


@sick("BEH009", "4 of 8 features", "4, 5, 6, 7", severity="warning")
def half_of_the_columns_sliced_away() -> dict:
    return calling(lambda net, x: net.fc(x[:, :4]) * net.other(x[:, :4]), fc=nn.Linear(4, 3), other=nn.Linear(4, 3))


@sick("BEH009", "'1' changes no output")
def a_mask_that_is_not_read() -> dict:
    return calling(lambda net, ids, mask: net.head(net.embed(ids).mean(1)), *tokens(), **TEXT)


@sick("BEH009", "1 of 3 features")
def a_channel_that_is_lost() -> dict:
    images = torch.rand(8, 3, 8, 8)
    return calling(lambda net, x: net.conv(x[:, :2]).mean((2, 3)), images, conv=nn.Conv2d(2, 4, 3))


@healthy("BEH009")
def a_mask_that_is_read() -> dict:
    return calling(pooled, *tokens(), **TEXT)


@healthy("BEH009")
def a_gate_that_starts_at_zero() -> dict:
    gate = nn.Linear(4, 3)
    nn.init.zeros_(gate.weight)
    nn.init.zeros_(gate.bias)
    return calling(lambda net, x: net.fc(x[:, :4]) + net.gate(x[:, 4:]), fc=nn.Linear(4, 3), gate=gate)


@healthy("BEH009")
def a_maximum_over_the_columns() -> dict:
    return calling(lambda net, x: net.fc(x.amax(1, keepdim=True)), fc=nn.Linear(1, 3))


@healthy("BEH009")
def a_column_of_ids() -> dict:
    x = classes()[0].clone()
    x[:, 0] = torch.arange(16) % 5
    return calling(
        lambda net, x: net.fc(x[:, 1:]) + net.embed(x[:, 0].long()), x, fc=nn.Linear(7, 3), embed=nn.Embedding(6, 3)
    )


@healthy("BEH009")
def a_mask_that_all_samples_share() -> dict:
    ids, _ = tokens()
    return calling(lambda net, ids, mask: net.head(net.embed(ids).mean(1)), ids, torch.ones(16, 6), **TEXT)


class Recurrent(Step):
    """A hidden state that continues from batch to batch."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__(nn.GRU(8, 16, batch_first=True))
        self.head, self.detached, self.state = nn.Linear(16, 3), detached, None

    def forward(self, x: Tensor) -> Tensor:
        out, state = self.net(x[:, None], self.state)
        self.state = state.detach() if self.detached else state
        return self.head(out[:, -1])


class Collecting(Step):
    """Keeps the losses of an epoch."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__(nn.Linear(8, 3))
        self.detached, self.losses = detached, []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.detach() if self.detached else loss)
        return loss


class Showing(Step):
    """Keeps the features of the last batch to be drawn."""

    def forward(self, x: Tensor) -> Tensor:
        self.features = [self.net(x)]
        return self.features[0]


@sick("BEH011", "`state` keeps the graph", severity="error")
def a_hidden_state_with_its_graph() -> dict:
    return {"model": Recurrent(detached=False), "batch": classes()}


@sick("BEH011", "`losses` keeps 1 more", severity="warning")
def losses_with_their_graphs() -> dict:
    return {"model": Collecting(detached=False), "batch": classes()}


@healthy("BEH011")
def a_hidden_state_that_is_detached() -> dict:
    return {"model": Recurrent(detached=True), "batch": classes()}


@healthy("BEH011")
def losses_that_are_detached() -> dict:
    return {"model": Collecting(detached=True), "batch": classes()}


@healthy("BEH011")
def features_of_the_last_batch() -> dict:
    return {"model": Showing(nn.Linear(8, 3)), "batch": classes()}


def given_as_a_dictionary(**unused: torch.Tensor) -> dict:
    net = Calling(lambda net, batch: net.fc(batch["x"]), fc=nn.Linear(8, 3))
    step = Step(net, lambda outputs, y: F.cross_entropy(outputs, y))
    step.training_step = lambda batch, batch_idx: step.loss(net(batch), batch["y"])
    return {"model": step, "batch": {"x": classes()[0], "y": classes()[1], **unused}}


@sick("BEH009", "'time' changes no output", severity="info")
def an_entry_that_the_model_does_not_need() -> dict:
    return given_as_a_dictionary(time=torch.arange(16.0)[:, None])


@sick("BEH009", "'mask' changes no output", severity="warning")
def a_mask_in_a_dictionary_that_is_not_read() -> dict:
    return given_as_a_dictionary(mask=torch.arange(16 * 8).view(16, 8) % 3 > 0)
