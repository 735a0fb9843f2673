"""Questions from forums: losses and masks that hide a part of the data, steps that do less than they seem to."""

from typing import Any

import torch
import torch.nn.functional as F
from of_models import Forward, sequences
from question import Model, images, mlp, on, question, table
from torch import Tensor, nn


def rare() -> tuple[Tensor, Tensor]:
    """Features, and a label (N,) that is 1 in about one of twenty rows."""
    x, _ = table(1024)
    return x, (x[:, 0] > 1.65).float()


@question("My classifier with pos_weight never predicts the rare class", "LOS017")
def positive_weight_upside_down() -> dict[str, Any]:
    x, y = rare()
    loss = nn.BCEWithLogitsLoss(pos_weight=y.mean() / (1 - y.mean()))
    return on(Model(mlp(outputs=1), lambda out, y: loss(out[:, 0], y)), (x, y))


@question("Class weights: one class is never predicted", "LOS016")
def a_class_weight_of_zero() -> dict[str, Any]:
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 1.0]))
    return on(Model(mlp(), loss), table())


@question("My segmentation never predicts class 0, and the loss is fine", "LOS016")
def ignore_index_is_a_class() -> dict[str, Any]:
    return on(Model(mlp(), nn.CrossEntropyLoss(ignore_index=0)), table())


@question("The KL divergence is negative", "LOS003")
def probabilities_into_kl_div() -> dict[str, Any]:
    def loss(out: Tensor, y: Tensor) -> Tensor:
        return F.kl_div(out.softmax(1), F.one_hot(y, 3).float() * 0.8 + 0.2 / 3, reduction="batchmean")

    return on(Model(mlp(), loss), table())


@question("Triplet loss is stuck at the margin", "LOS018")
def triplets_of_one_embedding() -> dict[str, Any]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.triplet_margin_loss(z, z, z)

    return on(Model(mlp(outputs=16), loss), table())


@question("My dice loss does not decrease", "LOS010", "BEH008")
def dice_of_the_argmax() -> dict[str, Any]:
    def dice(out: Tensor, y: Tensor) -> Tensor:
        prediction = out.argmax(1).float().requires_grad_()
        return 1 - 2 * (prediction * y).sum() / (prediction.sum() + y.sum() + 1)

    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    x, _ = images()
    return on(Model(net, dice), (x, (x[:, 0] > 0.5).float()))


@question("My LSTM is no better than a guess on long sequences", "BEH009")
def the_first_time_step() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.lstm(x)[0][:, 0]), lstm=nn.LSTM(8, 16, batch_first=True),
                  head=nn.Linear(16, 2))  # fmt: skip
    return on(Model(net), sequences())


@question("The output is constant in training and fine in eval: F.dropout(x, self.training)", "PLC005")
def training_flag_as_probability() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(F.dropout(net.body(x).relu(), net.training)), body=nn.Linear(8, 32),
                  head=nn.Linear(32, 3))  # fmt: skip
    return on(Model(net), table())


class WarmUpByHand(Model):
    """A model whose ``optimizer_step`` sets the rate and forgets to step."""

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (self.trainer.global_step + 1) / 10)
        optimizer_closure()


@question("I override optimizer_step for a warm-up and the loss is flat", "RUN008")
def optimizer_step_without_a_step() -> dict[str, Any]:
    return on(WarmUpByHand(mlp()), table(), fit={"max_epochs": 3})


@question("With label smoothing the loss does not fall below 1", "LOS019")
def too_much_label_smoothing() -> dict[str, Any]:
    return on(Model(mlp(), nn.CrossEntropyLoss(label_smoothing=0.95)), table())


@question("I normalize with 127.5 and the network sees no difference between images", "DAT001")
def normalized_for_another_range() -> dict[str, Any]:
    x, y = images()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    return on(Model(net), ((x - 127.5) / 127.5, y))


@question("Sequence labels with CrossEntropyLoss: the loss does not fall", "LOS020")
def classes_in_the_wrong_dimension() -> dict[str, Any]:
    x = torch.randn(128, 6, 8, generator=torch.Generator().manual_seed(0))
    net = Forward(lambda net, x: net.head(net.body(x).relu()), body=nn.Linear(8, 32), head=nn.Linear(32, 6))
    return on(Model(net), (x, x[..., :6].argmax(2)))


@question("Expected input batch_size (64) to match target batch_size (32)", "DOC001")
def a_view_that_moves_samples() -> dict[str, Any]:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Unflatten(1, (2, 4)), nn.Flatten(0, 1), nn.Flatten(),
                        nn.Linear(256, 2))  # fmt: skip
    return on(Model(net), images())


@question("Two heads, but only one of them learns", "BEH006", "BEH008")
def the_last_loss_overwrites() -> dict[str, Any]:
    def loss(outs: list[Tensor], y: Tensor) -> Tensor:
        for out in outs:
            total = F.cross_entropy(out, y)
        return total

    net = Forward(lambda net, x: [net.a(h := net.body(x).relu()), net.b(h)], body=nn.Linear(8, 32), a=nn.Linear(32, 3),
                  b=nn.Linear(32, 3))  # fmt: skip
    return on(Model(net, loss), table())


class Words(nn.Module):
    """A small transformer over ids, with or without a causal mask."""

    def __init__(self, causal: bool, words: int = 40, outputs: int = 40) -> None:
        super().__init__()
        self.causal, self.embed, self.place = causal, nn.Embedding(words, 32), nn.Embedding(16, 32)
        layer = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(32, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length) if self.causal else None
        return self.head(self.body(self.embed(ids) + self.place.weight[:length], mask=mask))


def text(length: int = 13) -> Tensor:
    return torch.randint(40, (128, length), generator=torch.Generator().manual_seed(0))


@question("My GPT has a loss near 0 and generates nonsense", "BEH013")
def a_missing_causal_mask() -> dict[str, Any]:
    words = text()
    return on(Model(Words(causal=False), lambda out, y: F.cross_entropy(out.transpose(1, 2), y)),
              (words[:, :-1], words[:, 1:]))  # fmt: skip


@question("key_padding_mask: the output does not depend on my words", "BEH014")
def an_inverted_padding_mask() -> dict[str, Any]:
    def forward(net: Any, ids: Tensor, valid: Tensor) -> Tensor:
        x = net.words(ids)
        out = net.attention(x, x, x, key_padding_mask=valid)[0]
        return net.head((out * valid[..., None]).sum(1) / valid.sum(1, keepdim=True))

    net = Forward(forward, words=nn.Embedding(50, 16, padding_idx=0), head=nn.Linear(16, 3),
                  attention=nn.MultiheadAttention(16, 2, batch_first=True))  # fmt: skip
    ids = torch.randint(1, 50, (64, 10), generator=torch.Generator().manual_seed(0))
    lengths = torch.randint(3, 10, (64, 1), generator=torch.Generator().manual_seed(1))
    valid = torch.arange(10) < lengths
    return on(Model(net), (ids * valid, valid, ids[:, 0] % 3))


@question("Four blocks, but the parameter count says one", "PLC019")
def one_block_four_times() -> dict[str, Any]:
    block = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
    return on(Model(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *[block] * 4, nn.Linear(32, 3))), table())
