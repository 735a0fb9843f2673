"""Steps that are left out: as if they had not been, with every kind of optimizer, on one rank and on two."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import SaveRank, load_ranks
from scaled_grad_net import GOOD, OPTIMIZERS, Loaders, ScaledGradNet, batches, run
from simulated_device import DEVICE, simulated
from tiny import same, trainer, weights

from lightning_tricks import AdaptiveGradientClipping, AutoClip, GradientClipping, ZClip
from lightning_tricks.engine.clip.step_guard import DeferredFlag

NAN, INF = math.nan, math.inf
FACTORS = [NAN, GOOD, GOOD, INF, NAN, GOOD, -INF, GOOD, GOOD, NAN]
CLIPPERS = {
    "norm": lambda **more: GradientClipping(0.5, **more),
    "value": lambda **more: GradientClipping(clip_value=0.01, **more),
    "AGC": lambda **more: AdaptiveGradientClipping(0.1, exclude=["head.*"], **more),
    "AutoClip": lambda **more: AutoClip(50, window=4, **more),
    "ZClip": lambda **more: ZClip(1.0, warmup=2, **more),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", CLIPPERS)
def test_a_run_with_bad_steps_ends_as_one_without_the_bad_steps(kind: str, optimizer: str) -> None:
    clipper, other = CLIPPERS[kind](), CLIPPERS[kind]()
    skipping = run(clipper, FACTORS, optimizer)
    clean = run(other, FACTORS, optimizer, keep_bad=False)
    assert same(weights(skipping), weights(clean))
    assert clipper.num_skipped == 5
    assert other.num_skipped == 0
    rules = [cb.state_dict()["optimizers"][0]["rules"] for cb in (clipper, other)]
    assert same(*rules)


def test_zero_gradients_would_not_do() -> None:
    """What the guard must not do: the momentum of SGD continues with zeros."""
    torch.manual_seed(0)
    param = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([param], lr=0.1, momentum=0.9)
    for grad in (1.0, 0.0):
        param.grad = torch.tensor([grad])
        optimizer.step()
    assert param.item() != pytest.approx(0.9)


@pytest.mark.parametrize("optimizer", ["SGD", "foreach AdamW", "fused AdamW"])
def test_two_ranks_leave_out_the_same_steps_where_one_alone_has_them(optimizer: str, tmp_path: Path) -> None:
    ended = {}
    for keep_bad in (True, False):
        folder = tmp_path / str(keep_bad)
        folder.mkdir()
        clipper = GradientClipping(0.5)

        def read(trainer: Any, pl_module: Any, clipper: Any = clipper) -> dict[str, Any]:
            return {"weights": pl_module.state_dict(), "skipped": clipper.num_skipped}

        two = {"strategy": "ddp_fork", "devices": 2, "use_distributed_sampler": False}
        fit = trainer(clipper, SaveRank(folder, read), max_epochs=1, **two)
        fit.fit(ScaledGradNet(optimizer), datamodule=Loaders(FACTORS, keep_bad, bad_rank=1))
        ended[keep_bad] = load_ranks(folder)
    assert [rank["skipped"] for rank in ended[True]] == [5, 5]
    assert same(ended[True][0]["weights"], ended[True][1]["weights"])
    assert same(ended[True][0]["weights"], ended[False][0]["weights"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["norm", "AGC"])
def test_max_skips_bears_so_many_in_a_row_then_names_the_parameters_and_keeps_the_weights(
    kind: str, optimizer: str
) -> None:
    clipper = CLIPPERS[kind](max_skips=2)
    run(clipper, [GOOD, NAN, NAN, GOOD, INF, INF, GOOD, NAN, NAN], optimizer)
    assert clipper.num_skipped == 6

    module = ScaledGradNet(optimizer)
    fit = trainer(CLIPPERS[kind](max_skips=2), max_epochs=1)
    with pytest.raises(RuntimeError, match=r"3 consecutive steps .* `max_skips=2`.*: body.weight, body.bias\. "):
        fit.fit(module, batches([GOOD, GOOD, NAN, INF, NAN, GOOD, GOOD]))
    assert same(weights(module), weights(run(CLIPPERS[kind](), [GOOD, GOOD], optimizer)))


@pytest.mark.parametrize("optimizer", ["AdamW", "fused AdamW"])
def test_the_very_last_step_of_a_run_may_be_the_one_too_many(optimizer: str) -> None:
    with pytest.raises(RuntimeError, match="1 consecutive steps"):
        run(GradientClipping(max_skips=0), [GOOD, NAN], optimizer)


@pytest.mark.parametrize("optimizer", ["AdamW", "fused AdamW"])
def test_bad_steps_in_a_row_are_counted_across_a_resume(optimizer: str, tmp_path: Path) -> None:
    path = tmp_path / "after.ckpt"
    module, clipper = ScaledGradNet(optimizer), GradientClipping(max_skips=2)
    first = trainer(clipper, max_epochs=1)
    first.fit(module, batches([GOOD, NAN, NAN]))
    first.save_checkpoint(path)
    again = trainer(GradientClipping(max_skips=2), max_epochs=2)
    with pytest.raises(RuntimeError, match="3 consecutive steps"):
        again.fit(ScaledGradNet(optimizer), batches([NAN, GOOD, GOOD]), ckpt_path=path)
    tolerant = GradientClipping(max_skips=3)
    trainer(tolerant, max_epochs=2).fit(ScaledGradNet(optimizer), batches([NAN, GOOD, NAN]), ckpt_path=path)
    assert tolerant.num_skipped == 4


def test_without_skipping_a_bad_step_is_taken() -> None:
    clipper = GradientClipping(skip_nonfinite=False)
    module = run(clipper, [GOOD, NAN])
    assert module.body.weight.isnan().all()
    assert clipper.num_skipped == 0


@pytest.mark.parametrize("value_first", [True, False])
@pytest.mark.parametrize("optimizer", ["SGD", "fused AdamW"])
def test_two_clippers_leave_out_a_step_that_one_of_them_would_hide(value_first: bool, optimizer: str) -> None:
    """Clipping by value turns an infinity into a finite number before the other one looks."""
    module, clean = ScaledGradNet(optimizer), ScaledGradNet(optimizer)
    module.head.bias.register_hook(lambda grad: grad * INF if module.global_step == 1 else grad)
    for net, data in ((module, batches([GOOD] * 4)), (clean, batches([GOOD, NAN, GOOD, GOOD], keep_bad=False))):
        both = [GradientClipping(clip_value=0.1), AdaptiveGradientClipping(0.1)]
        trainer(*(both if value_first else both[::-1]), max_epochs=1).fit(net, data)
    assert same(weights(module), weights(clean))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_without_bad_steps_is_not_touched_by_the_guard(optimizer: str) -> None:
    bare = ScaledGradNet(optimizer)
    trainer(max_epochs=1).fit(bare, batches([GOOD] * 5))
    assert same(weights(run(GradientClipping(1e6, max_skips=0), [GOOD] * 5, optimizer)), weights(bare))


def test_a_fused_sgd_with_dampening_skips_its_first_step_too() -> None:
    factors = [NAN, GOOD, NAN, GOOD]
    OPTIMIZERS["dampened"] = lambda params: torch.optim.SGD(params, 0.1, momentum=0.9, dampening=0.5, fused=True)
    try:
        skipping = run(GradientClipping(1e6), factors, "dampened")
        clean = ScaledGradNet("dampened")
        trainer(max_epochs=1).fit(clean, batches(factors, keep_bad=False))
    finally:
        del OPTIMIZERS["dampened"]
    assert same(weights(skipping), weights(clean))


@pytest.mark.parametrize("breaks", [False, True])
def test_a_fused_optimizer_is_left_as_it_was_found(breaks: bool) -> None:
    module = ScaledGradNet("fused AdamW")
    fit = trainer(GradientClipping(max_skips=0 if breaks else None), max_epochs=1)
    optimizers = []
    module.on_train_start = lambda: optimizers.append(module.optimizers().optimizer)
    if breaks:
        with pytest.raises(RuntimeError, match="consecutive"):
            fit.fit(module, batches([GOOD, NAN, GOOD]))
    else:
        fit.fit(module, batches([GOOD, NAN, GOOD]))
    assert not hasattr(optimizers[0], "found_inf")
    assert not optimizers[0]._optimizer_step_post_hooks


def test_a_flag_from_a_device_without_events_is_not_read_before_it_has_arrived() -> None:
    """As on MPS and XPU: a copy that does not block may arrive after it has been read."""
    with simulated() as device:
        flag = DeferredFlag(DEVICE)
        flag.send(torch.ones((), dtype=torch.bool, device=DEVICE))
        assert flag.read() is True
        assert device.waits == ["copy_"]
