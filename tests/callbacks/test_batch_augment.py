"""Batch augmentation: any callable on training batches, with draws that are resumed and no trace in the generators."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import Net, fit, same, weights
from torch import Tensor, nn

from lightning_tricks import BatchAugment


class Watching(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Any]] = {}

    def loss(self, batch: Any) -> Tensor:
        self.seen.setdefault(self.trainer.state.stage.value, []).append(batch)
        return super().loss(batch)


def noise(x: Tensor) -> Tensor:
    """Draws from all three global generators."""
    return x + torch.randn_like(x) + random.random() + float(np.random.rand())


def test_training_batches_are_transformed_and_validation_is_not() -> None:
    bare, net = fit(net=Watching()), fit(BatchAugment(lambda x: x + 100), net=Watching())
    for (x, y), (plain_x, plain_y) in zip(net.seen["train"], bare.seen["train"], strict=True):
        assert torch.equal(x, plain_x + 100)
        assert torch.equal(y, plain_y)
    for stage in ("sanity_check", "validate"):
        assert same(net.seen[stage], bare.seen[stage])


def test_the_global_generators_are_as_they_were_and_each_batch_draws_anew() -> None:
    augment = BatchAugment(noise)
    states = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    drawn = [augment.apply((torch.zeros(2, 2),))[0] for _ in range(3)]
    assert same(states, (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()))
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(BatchAugment(noise).apply((torch.zeros(2, 2),))[0], drawn[0])
    assert not torch.equal(BatchAugment(noise, seed=1).apply((torch.zeros(2, 2),))[0], drawn[0])


def test_a_run_resumed_inside_an_epoch_draws_on_exactly(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    whole = fit(BatchAugment(noise), saver)
    resumed = fit(BatchAugment(noise), ckpt_path=tmp_path / "step=8.ckpt")
    assert same(weights(whole), weights(resumed))


def test_two_transforms_with_names_act_in_the_order_of_the_list() -> None:
    def seen(*callbacks: BatchAugment) -> Any:
        return fit(*callbacks, net=Watching()).seen["train"][0][0]

    double, shift = (lambda x: 2 * x), (lambda x: x + 1)
    plain = seen()
    assert torch.equal(seen(BatchAugment(double, name="a"), BatchAugment(shift, name="b")), 2 * plain + 1)
    assert torch.equal(seen(BatchAugment(shift, name="b"), BatchAugment(double, name="a")), 2 * (plain + 1))


def test_a_module_is_moved_to_the_device_of_the_inputs_and_needs_no_gradient() -> None:
    layer = nn.Linear(4, 4).double()
    x = BatchAugment(layer).apply((torch.ones(2, 4, dtype=torch.float64),))[0]
    assert not x.requires_grad
    x = BatchAugment(layer).apply((torch.ones(2, 4, dtype=torch.float64, device="meta"),))[0]
    assert (x.device.type, layer.weight.device.type) == ("meta", "meta")


def test_the_whole_batch_is_handed_over_if_asked_for() -> None:
    batch = {"image": torch.ones(2, 3), "mask": torch.zeros(2, 3)}
    flipped = BatchAugment(lambda b: {name: 1 - value for name, value in b.items()}, whole_batch=True).apply(batch)
    assert torch.equal(flipped["mask"], torch.ones(2, 3))
    assert torch.equal(BatchAugment(torch.neg, key="mask").apply(batch)["image"], batch["image"])


def test_an_error_of_the_transform_leaves_the_generators_alone() -> None:
    def broken(x: Tensor) -> Tensor:
        torch.randn(3)
        raise ZeroDivisionError

    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        BatchAugment(broken).apply((torch.ones(2),))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("transform", "batch", "error", "message"),
    [
        (3, None, TypeError, r"`transform` must be callable, got 3 \(int\)"),
        (
            lambda x: [x],
            (torch.ones(2),),
            ValueError,
            r"must return a tensor, got a list of \(2,\) float32",
        ),
        (torch.neg, (torch.tensor([1]),), ValueError, "no floating-point tensor"),
    ],
)
def test_what_cannot_be_augmented_is_refused(transform: Any, batch: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BatchAugment(transform).apply(batch)
