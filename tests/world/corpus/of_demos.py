"""Lightning's own demos: what the tests of this project install anyway."""

from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.demos import Transformer
from lightning.pytorch.demos.boring_classes import (
    BoringModel,
    ManualOptimBoringModel,
    Net,
    RandomDataset,
    RandomIterableDataset,
)  # fmt: skip
from lightning.pytorch.demos.lstm import SequenceSampler, SimpleLSTM
from program import Stepping, Trained, adam, images, loader, momentum, program, tokens
from torch import Tensor
from torch.utils.data import DataLoader

PACKAGE = "lightning.pytorch.demos"


@program(PACKAGE)
def boring() -> Any:
    return BoringModel(), DataLoader(RandomDataset(32, 64), 8, shuffle=True)


@program(PACKAGE)
def boring_stream() -> Any:
    return BoringModel(), DataLoader(RandomIterableDataset(32, 64), 8)


@program(PACKAGE)
def boring_by_hand() -> Any:
    return ManualOptimBoringModel(), DataLoader(RandomDataset(32, 64), 8, shuffle=True)


@program(PACKAGE)
def digits() -> Any:
    return Trained(Net(), F.nll_loss, momentum), loader(*images(28, 1, count=7, rows=512), size=32)


@program(PACKAGE, BEH013="its `src_mask` is made and never passed on: the encoder sees the targets")
def language_model() -> Any:
    def step(parts: Any, batch: Any) -> Tensor:
        return F.nll_loss(parts["net"](batch[0][:, :-1], batch[0][:, :-1]), batch[0][:, 1:].reshape(-1))

    return Stepping(step, adam, net=Transformer(40, ninp=16, nhid=32, nlayers=1)), loader(tokens())


@program(PACKAGE)
def recurrent_with_a_kept_state() -> Any:
    class Continued(Stepping):
        """Keeps the state from batch to batch, detached, and forgets it at the end of an epoch."""

        hidden: Any = None

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            ids = batch[0]
            if self.hidden is None:
                self.hidden = self.net["lstm"].init_hidden(len(ids))
            self.hidden = tuple(part.detach() for part in self.hidden)
            output, self.hidden = self.net["lstm"](ids[:, :-1], self.hidden)
            return F.nll_loss(output, ids[:, 1:].reshape(-1))

        def on_train_epoch_end(self) -> None:
            self.hidden = None

    model = Continued(lambda *_: torch.zeros(()), adam, lstm=SimpleLSTM(40, ninp=16, nhid=16, nlayers=1))
    text = torch.utils.data.TensorDataset(tokens())
    return model, DataLoader(text, batch_sampler=SequenceSampler(text, 16))
