"""Questions about optimizers: weights that do not move, or move too far."""

from typing import Any

import torch.nn.functional as F
from question import Model, mlp, numbers, on, question, table
from torch import Tensor, nn
from torch.optim import SGD, Adam, lr_scheduler


@question("The loss jumps up and down and never falls", "OPT001")
def adam_at_one() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda params: Adam(params, 1.0)), table())


@question("The loss falls in the fifth decimal only", "OPT001")
def sgd_at_a_millionth() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda params: SGD(params, 1e-6)), table())


@question("The layers that I keep in a list do not train", "OPT009")
def layers_in_a_list() -> dict[str, Any]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.hidden, self.last = (
                nn.Linear(8, 16),
                [nn.Linear(16, 16) for _ in range(2)],
                nn.Linear(16, 3),
            )

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            for layer in self.hidden:
                x = layer(x).relu()
            return self.last(x)

    return on(Model(Net()), table())


@question("I replaced the head and the accuracy stays at chance", "OPT004")
def an_optimizer_of_the_old_head() -> dict[str, Any]:
    class Replaced(Model):
        def __init__(self) -> None:
            super().__init__(mlp(8, 10))
            self.optimizer = Adam(self.parameters(), 1e-3)
            self.net[2] = nn.Linear(32, 3)

        def configure_optimizers(self) -> Any:
            return self.optimizer

    return on(Replaced(), table())


@question("Do I have to call zero_grad? The loss grows", "OPT010")
def gradients_that_pile_up() -> dict[str, Any]:
    class Manual(Model):
        def __init__(self) -> None:
            super().__init__(mlp())
            self.automatic_optimization = False

        def training_step(self, batch: Any, index: int) -> None:
            self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
            self.optimizers().step()

    return on(Manual(), table(), fit={"max_epochs": 1})


@question("Nothing learns although the loss is computed", "LOS010", "DOC001", "OPT004")
def everything_frozen() -> dict[str, Any]:
    class Frozen(Model):
        def configure_optimizers(self) -> Any:
            return SGD(self.parameters(), 0.05)

    return on(Frozen(mlp().requires_grad_(False)), table())


@question("Training stops improving after the first epoch", "OPT012")
def a_schedule_in_epochs_stepped_in_steps() -> dict[str, Any]:
    def tune(params: list[nn.Parameter]) -> Any:
        adam = Adam(params, 1e-3)
        return [adam], [{"scheduler": lr_scheduler.StepLR(adam, 1, 0.1), "interval": "step"}]

    return on(Model(mlp(), tune=tune), table(), fit={"max_epochs": 3})


@question("With warm-up my model learns nothing in three epochs", "OPT012")
def a_warm_up_of_ten_thousand_steps() -> dict[str, Any]:
    def tune(params: list[nn.Parameter]) -> Any:
        adam = Adam(params, 1e-3)
        schedule = lr_scheduler.LambdaLR(adam, lambda step: min(1.0, (step + 1) / 10_000))
        return [adam], [{"scheduler": schedule, "interval": "step"}]

    return on(Model(mlp(), tune=tune), table(), fit={"max_epochs": 3})


@question("All weights go to zero", "OPT003", "OPT014")
def a_weight_decay_of_one() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda params: SGD(params, 0.05, weight_decay=1.0)), table())


@question("Gradient clipping made training very slow", "OPT013")
def a_limit_of_a_millionth() -> dict[str, Any]:
    model = Model(mlp(), tune=lambda params: SGD(params, 0.05))
    return on(model, table(), fit={"max_epochs": 2, "gradient_clip_val": 1e-6, "log_every_n_steps": 1})


@question("Adam with eps=1 does not move", "OPT007")
def an_epsilon_of_one() -> dict[str, Any]:
    return on(Model(mlp(8, 1, 32, nn.Flatten(0)), F.mse_loss, lambda params: Adam(params, 1e-3, eps=1.0)), numbers())
