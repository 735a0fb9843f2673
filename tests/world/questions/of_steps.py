"""Questions about training steps, optimizers and callbacks: what was forgotten, and what was only thought to be set."""

from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from of_data import split
from of_models import Forward
from question import Model, mlp, on, question, table
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR


def scheduled(make: Any, epochs: int = 5) -> dict[str, Any]:
    """Some epochs with Adam and a schedule."""

    def tune(params: list[nn.Parameter]) -> Any:
        adam = Adam(params, 1e-3)
        return [adam], [make(adam)]

    return on(Model(mlp(), tune=tune), table(), fit={"max_epochs": epochs})


@question("training_step computes the loss and nothing happens", "LOS014")
def a_loss_that_is_not_returned() -> dict[str, Any]:
    class Silent(Model):
        def training_step(self, batch: Any, index: int) -> None:
            self.log("train_loss", self.loss(self(batch[0]), batch[1]))

    return on(Silent(mlp()), table())


@question("I set requires_grad=True on the loss and the error went away", "LOS010")
def a_loss_made_into_a_leaf() -> dict[str, Any]:
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return torch.tensor(F.cross_entropy(logits, y).item(), requires_grad=True)

    return on(Model(mlp(), loss), table())


@question("A Linear that I make in forward: accuracy stays at chance", "OPT015")
def a_head_made_in_forward() -> dict[str, Any]:
    return on(Model(Forward(lambda net, x: nn.Linear(32, 3)(net.body(x).relu()), body=nn.Linear(8, 32))), table())


@question("Manual optimization: the loss is flat", "RUN011")
def manual_optimization_without_a_step() -> dict[str, Any]:
    class Stepless(Model):
        def __init__(self) -> None:
            super().__init__(mlp())
            self.automatic_optimization = False

        def training_step(self, batch: Any, index: int) -> None:
            self.optimizers().zero_grad()
            self.manual_backward(self.loss(self(batch[0]), batch[1]))

    return on(Stepless(), table(), fit={"max_epochs": 2})


@question("configure_optimizers without a return", "OPT017")
def no_optimizer() -> dict[str, Any]:
    class Unreturned(Model):
        def configure_optimizers(self) -> Any:
            Adam(self.parameters(), 1e-3)

    return on(Unreturned(mlp()), table())


@question("Two optimizers of one generator: optimizer got an empty parameter list", "DOC001")
def a_generator_that_is_used_up() -> dict[str, Any]:
    class Twice(Model):
        def configure_optimizers(self) -> Any:
            params = (parameter for parameter in self.parameters())
            return [Adam(params, 1e-3), torch.optim.SGD(params, 1e-2)]

    return on(Twice(mlp()), table())


@question("self.eval() in training_step: BatchNorm does not learn", "BEH004")
def a_step_in_eval_mode() -> dict[str, Any]:
    class Evaluating(Model):
        def training_step(self, batch: Any, index: int) -> Any:
            self.eval()
            return super().training_step(batch, index)

    return on(Evaluating(nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))), table())


@question("I froze the backbone with requires_grad = False and it still changes", "BEH012")
def a_backbone_frozen_by_an_attribute() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.body(x).relu()), body=nn.Linear(8, 32), head=nn.Linear(32, 3))
    net.body.requires_grad = False
    return on(Model(net), table())


@question("With my L2 term the network outputs zero", "LOS009")
def a_penalty_that_exceeds_the_loss() -> dict[str, Any]:
    class Penalized(Model):
        def training_step(self, batch: Any, index: int) -> Any:
            return super().training_step(batch, index) + 10 * sum(p.square().sum() for p in self.parameters())

    return on(Penalized(mlp()), table())


@question("model.half() with Adam: all weights become NaN", "OPT007", "NUM002", "RUN003")
def adam_in_half_precision() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp().half()), (x.half(), y))


@question("SGD with a learning rate of 0.0001 is far too slow", "OPT001")
def sgd_without_momentum_at_a_ten_thousandth() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda params: torch.optim.SGD(params, 1e-4)), table())


@question("LambdaLR: I return the learning rate and nothing is learned", "OPT001")
def a_lambda_that_returns_rates() -> dict[str, Any]:
    return scheduled(lambda adam: LambdaLR(adam, lambda epoch: 1e-3 * 0.95**epoch))


@question("The first epoch changes nothing at all", "OPT012")
def a_warm_up_that_begins_at_zero() -> dict[str, Any]:
    return scheduled(lambda adam: LambdaLR(adam, lambda epoch: min(1.0, epoch / 3)))


@question("OneCycleLR: my learning rate hardly moves", "OPT012")
def a_cycle_of_steps_that_is_stepped_in_epochs() -> dict[str, Any]:
    return scheduled(lambda adam: OneCycleLR(adam, 1e-2, total_steps=1000))


@question("StepLR(step_size=1) stops my training", "OPT012")
def a_decay_by_ten_in_every_epoch() -> dict[str, Any]:
    return scheduled(lambda adam: StepLR(adam, 1, 0.1), epochs=12)


@question("EarlyStopping stops after two epochs although the loss falls", "OPT016")
def stopping_when_the_loss_falls() -> dict[str, Any]:
    stopping = EarlyStopping("val_loss", mode="max", patience=2)
    return split(table(), table(96, seed=1), Model(mlp()), fit={"max_epochs": 1, "callbacks": [stopping]})


@question("ReduceLROnPlateau cuts my learning rate all the time", "OPT016")
def a_plateau_in_the_wrong_direction() -> dict[str, Any]:
    def tune(params: list[nn.Parameter]) -> Any:
        adam = Adam(params, 1e-3)
        plateau = ReduceLROnPlateau(adam, mode="max", patience=2)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    return split(table(), table(96, seed=1), Model(mlp(), tune=tune))
