"""Questions about models: outputs that are all alike, layers that do not train, training unlike evaluation."""

from typing import Any

import torch
import torch.nn.functional as F
from question import Model, images, loader, mlp, numbers, on, question, table
from torch import Tensor, nn


class Forward(nn.Module):
    """Parts, and a function of them."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self, *inputs)


def sequences(rows: int = 64) -> tuple[Tensor, Tensor]:
    x = torch.randn(rows, 10, 8, generator=torch.Generator().manual_seed(0))
    return x, x[:, :, 0].mean(1).gt(0).long()


@question("The encoder's gradient is None", "BEH008")
def detached_features() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.body(x).relu().detach()), body=nn.Linear(8, 32), head=nn.Linear(32, 3))
    return on(Model(net), table())


@question("I convert to numpy inside forward and the model does not train", "BEH008", "LOS010", "BEH006")
def through_numpy() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        return net.head(torch.tensor(net.body(x).relu().detach().numpy()))

    return on(Model(Forward(forward, body=nn.Linear(8, 32), head=nn.Linear(32, 3))), table())


@question("find_unused_parameters: some parameters get no gradient", "BEH006")
def a_layer_that_is_never_called() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.body(x).relu()), body=nn.Linear(8, 32), norm=nn.LayerNorm(32),
                  head=nn.Linear(32, 3))  # fmt: skip
    return on(Model(net), table())


@question("Most of my ReLU units are always zero", "ACT003")
def biases_far_below_zero() -> dict[str, Any]:
    net = mlp()
    nn.init.constant_(net[0].bias, -10.0)
    return on(Model(net), table())


@question("Ten sigmoid layers do not learn", "ACT001")
def a_deep_net_of_sigmoids() -> dict[str, Any]:
    layers = [part for _ in range(8) for part in (nn.Linear(8, 8), nn.Sigmoid())]
    return on(Model(nn.Sequential(*layers, nn.Linear(8, 3))), table())


@question("I initialized with zeros and all units stay equal", "INI001")
def weights_of_zero() -> dict[str, Any]:
    net = mlp()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return on(Model(net), table())


@question("normal_(0, 1) for the weights: the loss starts at 60", "INI003", "INI005")
def weights_drawn_too_large() -> dict[str, Any]:
    net = mlp(8, 3, 256)
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0, 1)
    return on(Model(net), table())


@question("Predictions differ on every call after model.eval()", "PLC009")
def functional_dropout() -> dict[str, Any]:
    net = Forward(
        lambda net, x: net.head(F.dropout(net.body(x).relu(), 0.5)), body=nn.Linear(8, 32), head=nn.Linear(32, 3)
    )
    return on(Model(net), table())


@question("Dropout of 0.9 and it does not fit even the training set", "PLC005")
def nine_units_of_ten_dropped() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 3))
    return on(Model(net), table())


@question("Should dropout come after the last layer?", "PLC008")
def dropout_on_the_logits() -> dict[str, Any]:
    return on(Model(mlp(8, 3, 32, nn.Dropout(0.3))), table())


@question("Good in training, random in eval, with a batch size of 2", "PLC011")
def batch_norm_over_two_rows() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    return {"model": Model(net), "train_dataloaders": loader(*table(), batch_size=2)}


@question("Eval is far worse than training with BatchNorm", "PLC017")
def a_momentum_taken_from_keras() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32, momentum=0.99), nn.ReLU(), nn.Linear(32, 3))
    return on(Model(net), table())


@question("Dropout has no effect while training", "BEH004")
def a_part_left_in_eval_mode() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 3))
    model = Model(net)
    net.eval()
    return on(model, table())


@question("Five linear layers are no better than one", "PLC013")
def no_activation_between_layers() -> dict[str, Any]:
    return on(Model(nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 3))), table())


@question("My LSTM classifier does not learn", "BEH002")
def an_lstm_without_batch_first() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.rnn(x)[0][:, -1]), rnn=nn.LSTM(8, 16), head=nn.Linear(16, 2))
    return on(Model(net), sequences())


@question("Transformer: nn.MultiheadAttention does not learn anything", "BEH002")
def attention_over_the_batch() -> dict[str, Any]:
    net = Forward(
        lambda net, x: net.head(net.mha(x, x, x)[0].mean(1)), mha=nn.MultiheadAttention(8, 2), head=nn.Linear(8, 2)
    )
    return on(Model(net), sequences())


@question("view or permute to swap dimensions?", "BEH002")
def a_view_that_mixes_rows() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        return net.head(net.conv(x.transpose(0, 1).reshape(len(x), 8, 10)).mean(2))

    return on(Model(Forward(forward, conv=nn.Conv1d(8, 16, 3), head=nn.Linear(16, 2))), sequences())


@question("The model outputs the same for every input", "BEH001")
def an_input_overwritten() -> dict[str, Any]:
    net = Forward(
        lambda net, x: net.head(net.body(torch.zeros_like(x)).relu()), body=nn.Linear(8, 32), head=nn.Linear(32, 3)
    )
    return on(Model(net), table())


@question("Attention mask seems to have no effect", "BEH009")
def a_mask_that_is_not_read() -> dict[str, Any]:
    def forward(net: Any, ids: Tensor, mask: Tensor) -> Tensor:
        return net.head(net.embed(ids).mean(1))

    ids, mask = torch.randint(1, 20, (64, 6)), torch.ones(64, 6, dtype=torch.int64)
    mask[::2, 4:] = 0
    return on(
        Model(Forward(forward, embed=nn.Embedding(20, 8), head=nn.Linear(8, 2))), (ids, mask, torch.arange(64) % 2)
    )


@question("The same BatchNorm for two layers: eval is wrong", "PLC016")
def one_norm_for_two_layers() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        x = net.norm(net.first(x)).relu()
        return net.head(net.norm(10 * net.second(x) + 5).relu())

    parts = {
        "norm": nn.BatchNorm1d(32),
        "first": nn.Linear(8, 32),
        "second": nn.Linear(32, 32),
        "head": nn.Linear(32, 3),
    }
    return on(Model(Forward(forward, **parts)), table())


@question("LayerNorm before the last output makes it constant", "PLC015")
def a_norm_of_one_number() -> dict[str, Any]:
    return on(Model(mlp(8, 1, 32, nn.LayerNorm(1), nn.Flatten(0)), F.mse_loss), numbers())


@question("mat1 and mat2 shapes cannot be multiplied", "DOC001")
def a_head_of_the_wrong_width() -> dict[str, Any]:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, 2))
    return on(Model(net), images())


@question("Trying to backward through the graph a second time", "BEH011", "DOC001")
def a_hidden_state_kept_between_batches() -> dict[str, Any]:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head, self.state = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 2), None

        def forward(self, x: Tensor) -> Tensor:
            out, self.state = self.rnn(x, self.state)
            return self.head(out[:, -1])

    return on(Model(Stateful()), sequences())


@question("Memory grows with every step", "BEH011")
def losses_kept_with_their_graphs() -> dict[str, Any]:
    class Collecting(Model):
        def __init__(self) -> None:
            super().__init__(mlp())
            self.losses: list[Tensor] = []

        def training_step(self, batch: Any, index: int) -> Tensor:
            loss = F.cross_entropy(self(batch[0]), batch[1])
            self.losses.append(loss)
            return loss

    return on(Collecting(), table())
