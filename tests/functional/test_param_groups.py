"""Param groups: a split keeps every option, and spares what custom spares from weight decay."""

import pytest
import torch
from torch import nn

from lightning_tricks.functional.param_groups import find_undecayed, foreign_shapes, missing_from, split_param_groups_


def test_names_tensors_and_lists_are_split_with_their_group_and_never_shared() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.named_parameters(), lr=torch.tensor(0.1), weight_decay=0.2)
    optimizer.param_groups[0]["notes"] = ["mine"]
    assert split_param_groups_(optimizer, lambda value: value.ndim, lambda kind: {"kind": kind}) == [0, 0]
    first, second = optimizer.param_groups
    assert (first["params"][0] is model.bias, second["params"][0] is model.weight) == (True, True)
    assert (first["param_names"], second["param_names"]) == (["bias"], ["weight"])
    assert (first["kind"], second["kind"]) == (1, 2)
    assert first["lr"] is not second["lr"]
    assert first["notes"] == second["notes"]
    assert first["notes"] is not second["notes"]


def test_a_group_of_one_kind_stays_the_very_dict_and_an_empty_one_stays() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": [model.weight]}, {"params": [model.bias]}], lr=0.1)
    optimizer.param_groups[0]["params"] = []
    before = list(optimizer.param_groups)
    assert split_param_groups_(optimizer, id) == [0, 1]
    assert all(now is then for now, then in zip(optimizer.param_groups, before, strict=True))


def test_a_split_optimizer_goes_on_where_it_was() -> None:
    torch.manual_seed(0)
    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [torch.optim.AdamW(model.parameters(), lr=0.1) for model in models]
    for step in range(4):
        if step == 2:
            split_param_groups_(optimizers[1], lambda value: value.ndim)
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
    assert torch.equal(models[0].weight, models[1].weight)


def test_missing_and_foreign_parameters_are_found() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    optimizer = torch.optim.SGD([model[0].weight, nn.Parameter(torch.zeros(3))], lr=0.1)
    assert missing_from([optimizer], model) == ["0.bias"]
    assert foreign_shapes([optimizer], model) == [torch.Size([3])]


@pytest.mark.parametrize("norm", [nn.LayerNorm([2, 2]), nn.GroupNorm(1, 2), nn.BatchNorm2d(2), nn.RMSNorm(2)])
def test_norms_of_any_kind_are_spared_and_embeddings_are_not(norm: nn.Module) -> None:
    model = nn.ModuleList([norm, nn.Embedding(2, 2)])
    assert find_undecayed(model) == {id(value) for value in norm.parameters()}
