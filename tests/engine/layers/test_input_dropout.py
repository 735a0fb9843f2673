"""Input dropout: a layer's inputs are dropped by masks of its own, or by the dropout layer that feeds it."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_tricks.engine.layers.input_dropout import InputDropout


class Seen(nn.Linear):
    """Keeps its inputs."""

    seen: Tensor

    def forward(self, values: Tensor) -> Tensor:
        self.seen = values
        return super().forward(values)


def hooked(*layers: nn.Module, p: float = 0.5) -> tuple[nn.Sequential, Seen, InputDropout]:
    head = Seen(64, 2)
    model = nn.Sequential(*layers, head)
    drop = InputDropout(head, layers, "mark")
    drop.set_rate(p)
    return model, head, drop


def test_the_inputs_are_dropped_in_training_mode_alone_and_no_global_generator_moves() -> None:
    model, head, _ = hooked()
    ones, before = torch.ones(50, 64), torch.get_rng_state()
    model(ones)
    assert torch.equal(before, torch.get_rng_state())
    assert sorted(head.seen.unique().tolist()) == [0, 2]
    assert head.seen.mean() == pytest.approx(1, abs=0.05)
    model.eval()(ones)
    assert head.seen is ones
    assert "mark" not in str(model.state_dict())


def test_masks_differ_from_pass_to_pass_and_continue_from_a_count() -> None:
    model, head, drop = hooked()
    masks = [model(torch.ones(4, 64)) is None or head.seen for _ in range(3)]
    assert not torch.equal(masks[0], masks[1])
    other, other_head, other_drop = hooked()
    other_drop.num_masks = 2
    other(torch.ones(4, 64))
    assert torch.equal(other_head.seen, masks[2])
    assert drop.num_masks == 3


@pytest.mark.parametrize("between", [(), (nn.Flatten(),)])
def test_a_dropout_layer_that_feeds_the_layer_is_set_instead_from_the_first_pass_on(between: tuple[nn.Module]) -> None:
    dropout = nn.Dropout(0.1)
    model, head, drop = hooked(dropout, *between, p=0.5)
    shape = (50, 4, 16) if between else (50, 64)
    model(torch.ones(shape))
    assert sorted(head.seen.unique().tolist()) == [0, 2]
    assert dropout.p == 0.5
    drop.set_rate(0.75)
    model(torch.ones(shape))
    assert sorted(head.seen.unique().tolist()) == [0, 4]
    drop.remove()
    assert dropout.p == 0.1
    assert not dropout._forward_hooks
    assert not head._forward_pre_hooks


def test_a_dropout_layer_elsewhere_is_left_alone() -> None:
    dropout = nn.Dropout(0.1)
    model, _, drop = hooked(dropout, nn.ReLU())
    model(torch.ones(50, 64))
    assert dropout.p == 0.1
    assert drop.feeder is None


def test_activation_checkpointing_meets_the_same_mask_again() -> None:
    gradients = []
    for repeated in (False, True):
        torch.manual_seed(0)
        model, _, drop = hooked(nn.Linear(64, 64))
        x = torch.ones(4, 64, requires_grad=True)
        output = checkpoint(model, x, use_reentrant=False) if repeated else model(x)
        output.square().sum().backward()
        gradients.append(x.grad)
        assert drop.num_masks == 1
    torch.testing.assert_close(*gradients)


def test_a_copied_module_drops_for_itself() -> None:
    model, _, drop = hooked()
    other = copy.deepcopy(model)
    other(torch.ones(4, 64))
    assert sorted(other[-1].seen.unique().tolist()) == [0, 2]
    assert drop.num_masks == 0
