"""The best weights, kept in host memory while training continues, come back bit for bit."""

from typing import Any

import pytest
import torch
from gpu_device import DEVICE, trainer_settings
from recorders import Recorder, weights_now
from tiny import Net, same, trainer, weights

from lightning_tricks import EarlyStopping, ReduceLROnPlateau
from lightning_tricks.core.weight_snapshot import WeightSnapshot


class Scored(Net):
    """Scores that are best in the second epoch."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", torch.tensor([3.0, 1.0, 2.0, 2.5, 4.0][self.trainer.current_epoch], device=self.device))


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_the_best_weights_come_back_bit_for_bit(kind: Any, precision: str) -> None:
    seen = Recorder(on_validation_end=weights_now)
    net = Scored()
    settings = trainer_settings(max_epochs=5, num_sanity_val_steps=0, precision=precision)
    runner = trainer(kind(patience=9, restore_best=True), seen, **settings)
    runner.fit(net)
    best = {name: value.to("cpu") for name, value in seen.seen["on_validation_end"][1].items()}
    assert same({name: value.to("cpu") for name, value in weights(net).items()}, best)


def test_a_copy_is_of_the_moment_at_which_it_was_taken_though_training_continues_at_once() -> None:
    model = torch.nn.Linear(2048, 2048).to(DEVICE)
    expected = model.weight.detach().clone()
    snapshot = WeightSnapshot()
    for _ in range(3):  # the second and third copies overwrite the memory of the first
        snapshot.take(model)
        torch.nn.init.normal_(model.weight)
        expected, before = model.weight.detach().clone(), expected
        assert torch.equal(snapshot.named_copies()["weight"].to(DEVICE), before)
    snapshot.take(model)
    torch.nn.init.zeros_(model.weight)
    assert snapshot.restore_(model).written
    assert torch.equal(model.weight, expected)
