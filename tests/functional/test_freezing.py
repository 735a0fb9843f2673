"""Freezing: what rests with frozen parameters, and what does not."""

import torch
from torch import nn

from lightning_tricks.functional.freezing import find_frozen_modules, set_trainable_


def resting(model: nn.Module, *frozen: str) -> list[str]:
    names = [name for name, _ in model.named_parameters()]
    held = [name for name in names if name.startswith(frozen)]
    found = {id(module) for module in find_frozen_modules(model, held, [name for name in names if name not in held])}
    return [name for name, module in model.named_modules() if id(module) in found]


def test_a_dropout_belongs_to_what_it_follows_in_a_sequential() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2), nn.Dropout())
    assert resting(model, "0.") == ["0", "1"]


def test_a_dropout_before_a_head_belongs_to_the_head_elsewhere() -> None:
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "dropout": nn.Dropout(), "head": nn.Linear(2, 2)})
    assert resting(model, "body.") == ["body"]
    last = nn.ModuleDict({"head": nn.Linear(2, 2), "body": nn.Linear(2, 2), "dropout": nn.Dropout()})
    assert resting(last, "body.") == ["body", "dropout"]


def test_a_dropout_that_is_used_in_a_thawed_place_too_does_not_rest() -> None:
    shared = nn.Dropout()
    body, head = nn.Sequential(nn.Linear(2, 2), shared), nn.Sequential(nn.Linear(2, 2), shared)
    assert resting(nn.ModuleDict({"body": body, "head": head}), "body.") == ["body", "body.0"]


def test_everything_inside_a_frozen_block_rests_and_augmentation_does_not() -> None:
    block = nn.TransformerEncoderLayer(4, 2, 8)
    model = nn.ModuleDict({"augment": nn.Identity(), "block": block, "head": nn.Linear(4, 1)})
    found = resting(model, "block.")
    assert "augment" not in found
    assert {"block", "block.self_attn", "block.dropout", "block.norm1"} <= set(found)


def test_freezing_drops_gradients_and_leaves_other_parameters_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1).requires_grad_(False))
    model(torch.ones(1, 2)).sum().backward()
    kept = model[1].weight.grad
    set_trainable_([model[0].weight, model[0].bias, model[1].bias], False)
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["1.weight"]
    assert [name for name, value in model.named_parameters() if value.grad is not None] == ["1.weight"]
    assert model[1].weight.grad is kept
    set_trainable_([model[0].bias], True)
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["0.bias", "1.weight"]
