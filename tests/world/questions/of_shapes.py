"""Questions about dimensions that are swapped or mixed, and layers in the wrong place."""

from typing import Any

import torch
import torch.nn.functional as F
from of_models import Forward, sequences
from question import Model, images, on, question, table
from torch import Tensor, nn


@question("Segmentation: loss of out.view(-1, num_classes), and the maps look like noise", "PLC018")
def class_maps_flattened_by_a_view() -> dict[str, Any]:
    x, _ = images()
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
    return on(Model(net, lambda maps, y: F.cross_entropy(maps.view(-1, 3), y.view(-1))), (x, (x.mean(1) > 0.5).long()))


@question("LSTM on (N, features, time): I reshaped it to (N, time, features)", "PLC018")
def series_reshaped_in_place_of_a_transpose() -> dict[str, Any]:
    x, y = sequences()
    net = Forward(
        lambda net, x: net.head(net.rnn(x.view(len(x), 10, 8))[0][:, -1]),
        rnn=nn.LSTM(8, 16, batch_first=True), head=nn.Linear(16, 2),
    )  # fmt: skip
    return on(Model(net), (x.transpose(1, 2).contiguous(), y))


@question("BiLSTM: I view h_n as (N, 2 * hidden)", "BEH002")
def the_last_states_of_two_directions_viewed() -> dict[str, Any]:
    net = Forward(
        lambda net, x: net.head(net.rnn(x)[1][0].view(len(x), -1)),
        rnn=nn.LSTM(8, 16, batch_first=True, bidirectional=True), head=nn.Linear(32, 2),
    )  # fmt: skip
    return on(Model(net), sequences())


@question("Positional encoding of the tutorial with batch_first=True", "BEH002")
def positions_of_the_batch() -> dict[str, Any]:
    table_of_positions = torch.randn(64, 1, 8, generator=torch.Generator().manual_seed(0))

    def forward(net: Any, x: Tensor) -> Tensor:
        return net.head(net.encoder(x + table_of_positions[: x.size(0)]).mean(1))

    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return on(Model(Forward(forward, encoder=encoder, head=nn.Linear(8, 2))), sequences())


@question("My own attention with softmax(dim=0)", "BEH002")
def attention_normalized_over_the_batch() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        weights = (net.query(x) @ net.key(x).transpose(1, 2)).softmax(0)
        return net.head((weights @ net.value(x)).mean(1))

    parts = {name: nn.Linear(8, 8) for name in ("query", "key", "value")}
    return on(Model(Forward(forward, **parts, head=nn.Linear(8, 2))), sequences())


@question("Softmax as the activation of hidden layers", "ACT005")
def hidden_softmaxes() -> dict[str, Any]:
    net = nn.Sequential(
        nn.Linear(8, 64), nn.Softmax(1), nn.Linear(64, 64), nn.Softmax(1), nn.Linear(64, 3)
    )  # fmt: skip
    return on(Model(net), table())


@question("Cosine classifier: the loss stays near log(50)", "LOS015")
def cosines_as_logits() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        return F.linear(F.normalize(net.body(x)), F.normalize(net.prototypes.weight))

    x, _ = table(500)
    net = Forward(forward, body=nn.Linear(8, 32), prototypes=nn.Linear(32, 50, bias=False))
    return on(Model(net), (x, torch.arange(500) % 50))


@question("Several labels for each image with CrossEntropyLoss", "LOS011")
def several_labels_in_a_cross_entropy() -> dict[str, Any]:
    x, _ = table()
    return on(Model(nn.Linear(8, 5)), (x, (x[:, :5] > 0).float()))


@question("All targets are ignore_index: the loss is NaN", "NUM001")
def nothing_but_ignored_targets() -> dict[str, Any]:
    ids = torch.randint(1, 20, (64, 6), generator=torch.Generator().manual_seed(0))
    net = Forward(
        lambda net, x: net.head(net.embed(x)).transpose(1, 2), embed=nn.Embedding(20, 8), head=nn.Linear(8, 20)
    )
    return on(Model(net), (ids, torch.full((64, 6), -100)))


@question("The running statistics of my BatchNorm never change", "PLC017")
def a_momentum_of_zero() -> dict[str, Any]:
    return on(
        Model(nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32, momentum=0.0), nn.ReLU(), nn.Linear(32, 3))), table()
    )
