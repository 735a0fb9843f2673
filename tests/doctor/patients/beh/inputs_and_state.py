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


@sick("BEH009", "2 of 62 features", severity="info")
def what_strides_leave_over() -> dict:
    sound = torch.randn(8, 1, 62)
    return calling(lambda net, x: net.conv(x).flatten(1), sound, conv=nn.Conv1d(1, 4, 4, stride=4))


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


def steps(function: object, kind: type[nn.RNNBase] = nn.GRU, ids: bool = False, **settings: bool) -> dict:
    """A recurrent net over ten steps of numbers or of ids, and a function of it and of its input."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(20, (8, 10), generator=generator) if ids else torch.randn(8, 10, 4, generator=generator)
    parts = {"words": nn.Embedding(20, 4), "rnn": kind(4, 6, batch_first=True, **settings), "head": nn.LazyLinear(3)}
    net = Calling(function, **parts)
    with torch.no_grad():
        net(x)
    return {"model": net, "batch": x}


@sick("BEH009", "of 10 positions of the sequences, only number 0 changes an output", severity="warning")
def the_first_output_of_a_recurrent_layer() -> dict:
    return steps(lambda net, x: net.head(net.rnn(x)[0][:, 0]))


@sick("BEH009", "of 10 positions of the sequences, only number 9 changes an output")
def the_last_word_alone() -> dict:
    return steps(lambda net, ids: net.head(net.words(ids)[:, -1]), ids=True)


@healthy("BEH009")
def the_last_output_of_a_recurrent_layer() -> dict:
    return steps(lambda net, x: net.head(net.rnn(x)[0][:, -1]))


@healthy("BEH009")
def the_first_output_of_a_bidirectional_layer() -> dict:
    return steps(lambda net, x: net.head(net.rnn(x)[0][:, 0]), bidirectional=True)


@healthy("BEH009")
def the_state_after_all_words() -> dict:
    return steps(lambda net, ids: net.head(net.rnn(net.words(ids))[1][-1]), ids=True)


class NextStep(Step):
    """A net over sequences, whose targets are the sequences shifted by one step."""

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.loss(self(batch[:, :-1]), batch[:, 1:])


def next_words(function: object, **parts: nn.Module) -> dict:
    words = torch.randint(20, (8, 11), generator=torch.Generator().manual_seed(0))
    net = Calling(function, words=nn.Embedding(20, 8), head=nn.Linear(8, 20), **parts)
    return {"model": NextStep(net, lambda out, y: F.cross_entropy(out.flatten(0, 1), y.flatten())), "batch": words}


def next_values(function: object, **parts: nn.Module) -> dict:
    values = torch.randn(8, 11, 2, generator=torch.Generator().manual_seed(0)).cumsum(1) / 3
    return {"model": NextStep(Calling(function, **parts), F.mse_loss), "batch": values}


def attended(net: nn.Module, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    x = net.words(ids)
    return net.head(net.attention(x, x, x, attn_mask=mask)[0])


def attention() -> nn.Module:
    return nn.MultiheadAttention(8, 2, batch_first=True)


@sick("BEH013", "the model sees its targets", severity="error")
def words_without_a_causal_mask() -> dict:
    return next_words(lambda net, ids: attended(net, ids, None), attention=attention())


@sick("BEH013", "the next steps of input")
def a_bidirectional_forecast() -> dict:
    rnn = nn.GRU(2, 4, bidirectional=True, batch_first=True)
    return next_values(lambda net, x: net.head(net.rnn(x)[0]), rnn=rnn, head=nn.Linear(8, 2))


@sick("BEH013", "the next steps of input")
def a_convolution_that_looks_ahead() -> dict:
    conv = nn.Conv1d(2, 2, 3, padding=1)
    return next_values(lambda net, x: net.conv(x.transpose(1, 2)).transpose(1, 2), conv=conv)


@healthy("BEH013")
def words_with_a_causal_mask() -> dict:
    causal = torch.ones(10, 10, dtype=torch.bool).triu(1)
    return next_words(lambda net, ids: attended(net, ids, causal), attention=attention())


@healthy("BEH013")
def a_recurrent_forecast() -> dict:
    return next_values(lambda net, x: net.head(net.rnn(x)[0]), rnn=nn.GRU(2, 4, batch_first=True), head=nn.Linear(4, 2))


@healthy("BEH013")
def masked_words_to_fill_in() -> dict:
    class FillIn(NextStep):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            return self.loss(self(batch.masked_fill(batch % 5 == 0, 1)), batch)

    given = next_words(lambda net, ids: attended(net, ids, None), attention=attention())
    return {"model": FillIn(given["model"].net, given["model"].loss), "batch": given["batch"]}
