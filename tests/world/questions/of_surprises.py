"""Questions about steps, parameters and samplers that do something else than they seem to."""

from typing import Any

import torch
import torch.nn.functional as F
from of_models import Forward
from question import Model, loader, mlp, numbers, on, question, table
from torch import Tensor, nn
from torch.utils.data import WeightedRandomSampler


@question("Manual optimization with backward and step, and the weights do not move", "OPT019")
def gradients_cleared_before_the_step() -> dict[str, Any]:
    class Manual(Model):
        automatic_optimization = False

        def training_step(self, batch: Any, index: int) -> None:
            optimizer = self.optimizers()
            loss = self.loss(self(batch[0]), batch[1])
            self.manual_backward(loss)
            optimizer.zero_grad()
            optimizer.step()

    return on(Manual(mlp()), table())


@question("With accumulate_grad_batches the loss hardly moves", "OPT018")
def more_batches_accumulated_than_there_are() -> dict[str, Any]:
    return on(Model(mlp()), table(), fit={"max_epochs": 4, "accumulate_grad_batches": 64})


@question("WeightedRandomSampler: the training loss is 0 and validation is at chance", "DAT020")
def a_sampler_of_class_weights() -> dict[str, Any]:
    x, y = table(600)
    weights = 1 / y.bincount().double()
    sampler = WeightedRandomSampler(weights, len(y))
    train = loader(x[:500], y[:500], shuffle=False, sampler=sampler)
    return {
        "model": Model(mlp()),
        "train_dataloaders": train,
        "val_dataloaders": loader(x[500:], y[500:], shuffle=False),
    }


@question("GAN: the generator's loss does not change", "OPT004")
def the_generators_optimizer_has_the_discriminator() -> dict[str, Any]:
    class Gan(Model):
        automatic_optimization = False

        def __init__(self) -> None:
            super().__init__(nn.ModuleDict({"g": mlp(4, 8), "d": mlp(8, 1)}))

        def training_step(self, batch: Any, index: int) -> None:
            x = batch[0]
            of_g, of_d = self.optimizers()
            fake = self.net.g(torch.randn(len(x), 4))
            loss = F.softplus(self.net.d(fake.detach())).mean() + F.softplus(-self.net.d(x)).mean()
            of_d.zero_grad()
            self.manual_backward(loss)
            of_d.step()
            of_g.zero_grad()
            self.manual_backward(F.softplus(-self.net.d(fake)).mean())
            of_g.step()

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.net.d.parameters(), 1e-3), torch.optim.Adam(self.net.d.parameters(), 1e-3)

    return on(Gan(), numbers())


@question("My VAE draws the mean image for every input", "LOS009")
def a_divergence_that_is_summed() -> dict[str, Any]:
    class Vae(Model):
        def training_step(self, batch: Any, index: int) -> Tensor:
            x = batch[0]
            mean, log_variance = self.net.encoder(x).chunk(2, 1)
            z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
            return F.mse_loss(self.net.decoder(z), x) + divergence

    drawn = [torch.randn(*shape, generator=torch.Generator().manual_seed(0)) for shape in ((512, 3), (3, 64))]
    x = drawn[0] @ drawn[1]
    net = nn.ModuleDict({"encoder": mlp(64, 32, 64), "decoder": mlp(16, 64, 64)})
    train = loader(x / x.std(0), batch_size=128)
    return {"model": Vae(net), "train_dataloaders": train}


@question("Two tasks: the second head does not improve", "BEH006")
def a_second_loss_taken_by_item() -> dict[str, Any]:
    def loss(outs: Any, y: Tensor) -> Tensor:
        return F.cross_entropy(outs[0], y) + 0.5 * F.mse_loss(outs[1][:, 0], y.float()).item()

    net = Forward(lambda net, x: (net.a(h := net.body(x).relu()), net.b(h)), body=nn.Linear(8, 32), a=nn.Linear(32, 3),
                  b=nn.Linear(32, 1))  # fmt: skip
    return on(Model(net, loss), table())
