"""Each row of the page on timm: both sides are built from its text and do the same."""

import functools
from typing import Any

import pytest
import torch
from peer_rows import Check, Row, build, our_rates, read_rows
from torch import nn

import lightning_tricks as lt

timm = pytest.importorskip("timm", reason="timm is not installed")
from timm import data, optim, scheduler, utils  # noqa: E402

LR, EPOCHS = 0.1, 9


def rates_of(theirs: Any) -> list[float]:
    rates = []
    for epoch in range(EPOCHS):
        theirs.step(epoch)
        rates.append(theirs.optimizer.param_groups[0]["lr"])
    return rates


def same_rates(theirs: Any, ours: Any) -> None:
    assert our_rates(ours, EPOCHS, lr=LR) == pytest.approx(rates_of(theirs), abs=1e-9)


def cosine(theirs: Any, ours: Any) -> None:
    rates, own = rates_of(theirs), our_rates(ours, EPOCHS, lr=LR)
    if getattr(ours, "warmup", 0):  # timm's ramp replaces the decay until it ends
        assert rates[0] == pytest.approx(own[0])
        assert rates[3:] == pytest.approx(own[3:])
        assert own[1] < rates[1]
    else:
        assert own == pytest.approx(rates)


def boundaries_one_epoch_later(theirs: Any, ours: Any) -> None:
    assert our_rates(ours, EPOCHS, lr=LR)[1:] == pytest.approx(rates_of(theirs)[:-1])


def same_clipping(theirs: Any, ours: Any) -> None:
    own = parameters()
    lt.adaptive_clip_(own, ours.clip_factor)
    expected = parameters()
    theirs(expected)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in zip(own, expected, strict=True))


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.randn(4, 3, generator=generator)), nn.Parameter(torch.randn(4, generator=generator))]
    for parameter in made:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made


def same_multipliers(theirs: Any, ours: Any) -> None:
    scales = [group["lr_scale"] for group in theirs]
    assert lt.functional.layer_groups.layer_multipliers(len(scales), ours.decay) == pytest.approx(sorted(scales))


def the_mirrored_row(theirs: Any, ours: Any) -> None:
    theirs.mixup_prob, x = 1.0, torch.arange(4.0).view(4, 1, 1, 1)
    mixed, _ = theirs(x.clone(), torch.arange(4))
    weight = float(mixed[0]) / 3  # of row 3, the mirrored place of row 0
    assert float(mixed[1]) == pytest.approx((1 - weight) * 1 + weight * 2, abs=1e-5)
    assert ours.alpha == theirs.mixup_alpha


CHECKS: dict[str, Check] = {
    "CosineLRScheduler": cosine,
    "MultiStepLRScheduler": boundaries_one_epoch_later,
    "adaptive_clip_grad": same_clipping,
    "param_groups_layer_decay": same_multipliers,
    "Mixup": the_mirrored_row,
}


class Blocks(nn.Module):
    """Three layers, with timm's description of their order."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Linear(4, 4, False), nn.Linear(4, 4, False), nn.Linear(4, 2, False)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        return {"stem": r"^stem", "blocks": r"^body", "head": r"^head"}


def names() -> dict[str, Any]:
    """What the cells of the first column are built from."""
    kinds = ("CosineLRScheduler", "StepLRScheduler", "MultiStepLRScheduler", "PolyLRScheduler")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=LR)
    made = {name: functools.partial(getattr(scheduler, name), optimizer) for name in kinds}
    return made | {
        "adaptive_clip_grad": lambda _, factor: functools.partial(utils.adaptive_clip_grad, clip_factor=factor),
        "parameters": None,
        "param_groups_layer_decay": optim.param_groups_layer_decay,
        "model": Blocks(),
        "Mixup": functools.partial(data.Mixup, num_classes=4),
        "lr": LR,
    }


@pytest.mark.parametrize("row", read_rows("timm"), ids=lambda row: row.theirs)
def test_both_sides_of_a_row_agree(row: Row) -> None:
    CHECKS.get(row.theirs.partition("(")[0], same_rates)(build(row.theirs, **names()), build(row.ours))
