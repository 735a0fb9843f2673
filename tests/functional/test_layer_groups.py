"""Layer groups: every parameter in exactly one group, from input to head, in layouts as people write them."""

from collections import OrderedDict
from typing import Any

import architectures
import pytest
import torch
from architectures import ARCHITECTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule
from tiny import trainer
from torch import nn

from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing, cosine_decay
from lightning_tricks.functional.layer_groups import (
    describe_groups,
    group_by_depth,
    group_by_modules,
    group_by_patterns,
    group_by_registration,
    group_layers,
    layer_multipliers,
    spread_multipliers,
)


def names_of(groups: Any) -> list[str]:
    return [name for group in groups for name in group.names]


def patterns_of(model: nn.Module) -> list[tuple[str, ...]]:
    return [group.patterns for group in group_by_registration(model)]


def layer(kind: int) -> nn.Module:
    return [nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Embedding(3, 2), nn.LayerNorm(2)][kind]


trees = st.recursive(
    st.integers(0, 4).map(layer),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda layers: nn.Sequential(*layers)),
        st.lists(inner, min_size=1, max_size=4).map(
            lambda layers: nn.Sequential(OrderedDict((f"part{i}", layer) for i, layer in enumerate(layers)))
        ),
        st.lists(inner, min_size=1, max_size=3).map(nn.ModuleList),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(trees, st.integers(1, 3), st.booleans())
def test_no_parameter_is_dropped_or_doubled_and_three_groups_are_found_where_there_are(
    model: nn.Module, depth: int, tied: bool
) -> None:
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if tied and len(linears) > 1:
        linears[-1].weight = linears[0].weight
    everything = sorted(name for name, _ in model.named_parameters())
    groups = group_by_registration(model)
    for found in (groups, group_by_depth(model, depth)):
        assert sorted(names_of(found)) == everything
        assert all(group.names for group in found)
        assert sum(group.num_parameters for group in found) == sum(value.numel() for value in model.parameters())
    assert names_of(groups) == [name for name, _ in model.named_parameters()]  # in registration order
    own = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    seen: set[int] = set()
    layers = 0
    for module in own:
        ids = {id(value) for value in module.parameters(recurse=False)}
        layers += bool(ids - seen)
        seen |= ids
    assert len(groups) >= min(3, layers)


def test_a_resnet_is_its_stem_its_blocks_and_its_head() -> None:
    def block() -> nn.Module:
        return nn.ModuleDict({"conv1": nn.Conv2d(2, 2, 1), "bn1": nn.BatchNorm2d(2)})

    layers = {f"layer{i}": nn.Sequential(block(), block()) for i in (1, 2)}
    resnet = nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 1), "bn1": nn.BatchNorm2d(2), **layers, "fc": nn.Linear(2, 1)})
    assert patterns_of(resnet) == [
        ("conv1.*", "bn1.*"), ("layer1.0.*",), ("layer1.1.*",), ("layer2.0.*",), ("layer2.1.*",), ("fc.*",)
    ]  # fmt: skip


def test_a_backbone_and_a_head_in_a_sequential_are_taken_apart_further() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    assert patterns_of(nn.Sequential(backbone, nn.Linear(4, 2))) == [("0.0.*", "0.1.*"), ("0.2.*", "0.3.*"), ("1.*",)]


def test_layers_without_numbers_are_groups_by_themselves() -> None:
    lenet = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("conv_a", "conv_b", "fc_a", "fc_b")})
    assert patterns_of(lenet) == [("conv_a.*",), ("conv_b.*",), ("fc_a.*",), ("fc_b.*",)]


def test_a_name_with_glob_letters_or_a_compiled_wrapper_is_matched_as_it_is() -> None:
    odd = nn.ModuleDict({"a[0]": nn.Linear(2, 2), "a0": nn.Linear(2, 2), "b*": nn.Linear(2, 2)})
    assert [len(group.names) for group in group_by_registration(odd)] == [2, 2, 2]
    model = nn.ModuleDict({"net": torch.compile(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))), "head": layer(0)})
    assert [group.names[0] for group in group_layers(model, ["net.0.*", "net.1.*", "head.*"])] == [
        "net._orig_mod.0.weight", "net._orig_mod.1.weight", "head.weight"
    ]  # fmt: skip


def test_a_tied_weight_belongs_to_the_group_nearest_the_input() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 2), "block": nn.Linear(2, 2), "head": nn.Linear(2, 5)})
    model["head"].weight = model["embed"].weight
    groups = group_by_patterns(model, ["embed.*", "block.*", "head.*"])
    assert [group.names for group in groups] == [
        ("embed.weight",), ("block.weight", "block.bias"), ("head.bias",)
    ]  # fmt: skip
    # even where the head is registered first
    turned = nn.ModuleDict({"head": model["head"], "block": model["block"], "embed": model["embed"]})
    assert group_by_patterns(turned, ["embed.*", "block.*", "head.*"])[0].names == ("head.weight",)
    model["head"].register_parameter("bias", None)
    with pytest.raises(ValueError, match=r"'head\.\*' matches no remaining parameter .*tied"):
        group_by_patterns(model, ["embed.*", "block.*", "head.*"])


def test_the_first_match_counts_and_what_is_frozen_may_be_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    assert [group.names for group in group_by_patterns(model, [["0.weight", "*.bias"], "1.*"])] == [
        ("0.weight", "0.bias", "1.bias", "2.bias"), ("1.weight",)
    ]  # fmt: skip


def test_modules_make_groups_and_must_be_the_models_once_and_all() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))
    assert [group.names[0] for group in group_by_modules(model, [model[0], [model[1], model[2]]])] == [
        "0.weight", "1.0.weight"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="a Linear that is not part of Sequential"):
        group_by_modules(model, [nn.Linear(1, 1)])
    with pytest.raises(ValueError, match=r"'1\.0' and '1' contain the same parameters"):
        group_by_modules(model, [model[0], model[1], [model[1][0], model[2]]])
    with pytest.raises(ValueError, match=r"2\.weight, 2\.bias are in no group"):
        group_by_modules(model, [model[0], model[1]])
    with pytest.raises(ValueError, match="`depth` must be at least 1, got 0"):
        group_by_depth(model, 0)


def test_multipliers_fall_by_the_decay_or_spread_in_equal_ratios() -> None:
    assert layer_multipliers(4, 2.6) == pytest.approx([2.6**-3, 2.6**-2, 2.6**-1, 1])
    assert layer_multipliers(3, 1.0) == [1.0, 1.0, 1.0]
    assert spread_multipliers(4, 0.001, 1.0) == pytest.approx([0.001, 0.01, 0.1, 1.0])
    assert spread_multipliers(1, 0.001, 0.5) == [0.5]


def test_the_table_says_group_patterns_parameters_multiplier_and_state() -> None:
    groups = group_layers(nn.Sequential(nn.Linear(40, 50), nn.Linear(50, 2)), ["0.*", "1.*"])
    assert describe_groups(groups, [0.125, 1.0], thawed=[1]).splitlines() == [
        "group  patterns  parameters  multiplier  state",
        "    0  0.*            2,050       0.125  frozen",
        "    1  1.*              102           1  trains",
    ]


class FineTuned(LightningModule):
    """A pretrained model with AdamW as people build it: no decay for biases and norms, in two groups."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = architectures.build(name)
        self.trace: list[dict[str, float]] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return sum(value.square().sum() for value in self.model.parameters() if value.requires_grad)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        names = {id(value): name for name, value in self.named_parameters()}
        self.trace.append({names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        named = list(self.named_parameters())
        spared = [value for name, value in named if "bias" in name or "norm" in name.lower()]
        decayed = [value for name, value in named if not ("bias" in name or "norm" in name.lower())]
        return torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.01}, {"params": spared, "weight_decay": 0.0}], lr=1e-3
        )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_transformers_fine_tune_with_rates_in_closed_form_and_thaw(name: str) -> None:
    net = FineTuned(name)
    layerwise, unfreezing = DiscriminativeLR(2.0), GradualUnfreezing(every="1st")
    runner = trainer(layerwise, unfreezing, CosineDecay(), max_epochs=1)
    runner.fit(net, torch.utils.data.DataLoader(torch.zeros(4, 1)))
    groups = layerwise.layer_groups
    assert sorted(names_of(groups)) == sorted(name for name, _ in net.named_parameters())
    assert ARCHITECTURES[name][2] <= len(groups) <= ARCHITECTURES[name][2] + 3
    assert any("embed" in pattern or "shared" in pattern or "wte" in pattern for pattern in groups[0].patterns)
    for step, rates in enumerate(net.trace):
        for i, group in enumerate(groups):
            expected = 1e-3 * 2.0 ** (i - len(groups) + 1) * cosine_decay(4)(step)
            assert [rates[name] for name in group.names] == pytest.approx([expected] * len(group.names), rel=1e-12)
    assert {group["weight_decay"] for group in runner.optimizers[0].param_groups} == {0.0, 0.01}
    assert unfreezing.thawed == list(range(len(groups)))
