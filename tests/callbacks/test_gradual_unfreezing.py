"""GradualUnfreezing: what trains when, what rests, and that nothing of it outlives the fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from ranks import SaveRank, load_ranks
from recorders import Recorder
from subprocesses import run_script
from tiny import BATCHES, Endless, Net, StatefulLoader, fit, same, trainer, weights
from torch import nn
from torch.utils.data import DataLoader
from unfreezing import GROUPS, Deep, LayerRecorder, modules_of

from lightning_tricks import (
    CosineDecay,
    DiscriminativeLR,
    GradientClipping,
    GradualUnfreezing,
    OneCycle,
    ReduceLROnPlateau,
    cosine_decay,
)

HEAD, UPPER, ALL = ["head"], ["body.1", "head"], ["body.0", "body.1", "head"]


def stages(*callbacks: Any, net: Any = None, **arguments: Any) -> list[list[str]]:
    watch = LayerRecorder()
    fit(*callbacks, watch, net=net or Deep(), **arguments)
    return [modules_of(names) for names in watch.training]


def test_halves_trains_the_head_then_the_upper_half_then_all() -> None:
    unfreezing = GradualUnfreezing(groups=GROUPS)
    assert stages(unfreezing) == [HEAD] * BATCHES + [UPPER] * BATCHES + [ALL] * BATCHES
    assert unfreezing.thawed == [0, 1, 2]


def test_halves_of_five_groups_rounds_the_upper_half_up() -> None:
    class Five(Net):
        def __init__(self) -> None:
            super().__init__()
            layers = [nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)]
            self.body = nn.Sequential(*layers)

    unfreezing = GradualUnfreezing()
    stages = Recorder(on_train_epoch_end=lambda trainer, module: list(unfreezing.thawed))
    fit(unfreezing, stages, net=Five())
    assert stages.seen["on_train_epoch_end"] == [[4], [2, 3, 4], [0, 1, 2, 3, 4]]


def test_one_per_epoch_goes_down_a_group_a_stage() -> None:
    assert stages(GradualUnfreezing("one_per_epoch", groups=GROUPS, every="2st")) == (
        [HEAD] * 2 + [UPPER] * 2 + [ALL] * (3 * BATCHES - 4)
    )


def test_explicit_times_count_from_the_head_downwards() -> None:
    assert stages(GradualUnfreezing([0, "0.5ep", "2ep"], groups=GROUPS)) == ([HEAD] * 3 + [UPPER] * 9 + [ALL] * BATCHES)


def test_shares_of_the_run_and_accumulation_thaw_at_the_first_batch_of_a_step() -> None:
    seen = stages(GradualUnfreezing(groups=GROUPS, every="0.25dur"), accumulate_grad_batches=4, max_epochs=4)
    assert seen == [HEAD] * 2 + [UPPER] * 2 + [ALL] * 4


def test_several_optimizers_under_manual_optimization_thaw_on_their_own_clocks() -> None:
    watch = LayerRecorder()
    fit(GradualUnfreezing([0, "4st", "6st"], groups=GROUPS), watch, net=Net(manual=True))
    body = [modules_of(names) for names in watch.training]
    assert body[:3] == [HEAD] * 3
    assert body[-1] == ALL
    assert [stage for i, stage in enumerate(body) if i == 0 or stage != body[i - 1]] == [HEAD, UPPER, ALL]


def test_what_is_frozen_is_bit_identical_until_it_thaws_without_gradient_and_without_state() -> None:
    watch, net = LayerRecorder(), Deep()
    before = weights(net)
    fit(GradualUnfreezing(groups=GROUPS), watch, net=net)
    assert watch.grads == watch.training
    for step, (now, state) in enumerate(zip(watch.weights, watch.states, strict=True)):
        stage = [HEAD, UPPER, ALL][step // BATCHES]
        frozen = [name for name in before if name.rsplit(".", 1)[0] not in stage]
        assert all(torch.equal(now[name], before[name]) for name in frozen), step
        assert modules_of(state) == (stage if step % BATCHES else [HEAD, HEAD, UPPER][step // BATCHES] if step else [])
    assert not torch.equal(watch.weights[-1]["body.0.weight"], before["body.0.weight"])


def test_batchnorm_and_dropout_of_frozen_groups_stay_in_eval_and_come_back() -> None:
    class Eager(Deep):
        def on_train_epoch_start(self) -> None:
            self.train()

    watch, net = LayerRecorder(), Eager()
    fit(GradualUnfreezing(groups=["body.*", "head.*"]), watch, net=net)
    for step, resting in enumerate(watch.resting):
        assert ("body.1" in resting, "body.2" in resting) == ((True, True) if step < 2 * BATCHES else (False, False))
    assert all(module.training for module in net.modules())


def test_a_batchnorm_that_the_user_put_in_eval_stays_there() -> None:
    net = Deep()
    net.body[1].eval()
    fit(GradualUnfreezing(groups=GROUPS), net=net)
    assert [name for name, module in net.named_modules() if not module.training] == ["body.1"]


def test_what_the_user_froze_stays_frozen_in_and_after_fit() -> None:
    net, watch = Deep(), LayerRecorder()
    net.body[0].bias.requires_grad_(False)
    bias = net.body[0].bias.clone()
    fit(GradualUnfreezing(groups=GROUPS), watch, net=net)
    assert all("body.0.bias" not in names for names in watch.training)
    assert "body.0.weight" in watch.training[-1]
    assert [name for name, value in net.named_parameters() if not value.requires_grad] == ["body.0.bias"]
    assert torch.equal(net.body[0].bias, bias)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_requires_grad_and_modes_are_as_before_however_fit_ended(error: type[BaseException]) -> None:
    class Broken(Deep):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 3:
                raise error
            return super().training_step(batch, batch_idx)

    net = Broken()
    with pytest.raises((error, SystemExit)):
        fit(GradualUnfreezing(groups=GROUPS), net=net)
    assert all(value.requires_grad for value in net.parameters())
    assert all(module.training for module in net.modules())


def test_optimizers_that_filter_by_requires_grad_still_get_every_parameter() -> None:
    class Filtering(Deep):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(filter(lambda p: p.requires_grad, self.parameters()), lr=0.1)

    assert stages(GradualUnfreezing(groups=GROUPS), net=Filtering())[-1] == ALL


@pytest.mark.parametrize("step", [3, 6, 9, 12, 14])
def test_each_stage_survives_a_resume_with_rates_in_closed_form(step: int, tmp_path: Path) -> None:
    def callbacks() -> list[Any]:
        unfreezing = GradualUnfreezing(groups=GROUPS, rewarmup="0.5ep")
        return [DiscriminativeLR(2.0, groups=GROUPS), unfreezing, CosineDecay()]

    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    whole = fit(*callbacks(), keep, net=Deep())
    for s, (_, lrs) in enumerate(whole.trace):
        warmups = [max(0.0, min(1.0, (s / BATCHES - start) / 0.5)) for start in (2, 1)] + [1.0]
        expected = [0.1 * m * w * cosine_decay(3)(s / BATCHES) for m, w in zip((0.25, 0.5, 1), warmups, strict=True)]
        assert lrs == pytest.approx(expected, rel=1e-9, abs=1e-15)
    watch = LayerRecorder()
    rest = fit(*callbacks(), watch, net=Deep(), ckpt_path=tmp_path / f"step={step}.ckpt")
    assert rest.trace == whole.trace[step:]
    assert same(weights(rest), weights(whole))
    assert modules_of(watch.training[0]) == [HEAD, UPPER, ALL][step // BATCHES]


def test_a_changed_time_wins_over_the_checkpoints(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    fit(GradualUnfreezing(groups=GROUPS), keep, net=Deep())
    later = GradualUnfreezing(groups=GROUPS, every="9st")
    assert stages(later, ckpt_path=tmp_path / "step=7.ckpt", max_epochs=4)[:3] == [HEAD, HEAD, UPPER]


def fit_two_ranks(folder: Path, *callbacks: Any, **arguments: Any) -> list[dict[str, Any]]:
    """Unfreeze on two processes; return each rank's weights, rates and what trained at each step."""
    layers, net = LayerRecorder(), Deep(norm=nn.LayerNorm)

    def read(trainer: Any, pl_module: Any) -> dict[str, Any]:
        return {"weights": weights(pl_module), "training": layers.training, "trace": pl_module.trace}

    folder.mkdir()
    # DDP as it is by default: an unused parameter would be an error
    two = {"strategy": "ddp_fork", "devices": 2}
    fit(GradualUnfreezing(groups=GROUPS), layers, SaveRank(folder, read), *callbacks, net=net, **two, **arguments)
    return load_ranks(folder)


def mean_of_two_ranks(net: Deep) -> Deep:
    """Train one process with the mean of the gradients that two ranks would have, by hand."""
    optimizer = net.configure_optimizers()
    for epoch in range(3):
        for name, value in net.named_parameters():
            value.requires_grad_(name.rsplit(".", 1)[0] in [HEAD, UPPER, ALL][epoch])
        loaders = [StatefulLoader(seed=rank) for rank in (0, 1)]
        for loader in loaders:
            loader.set_epoch(epoch)
        for batches in zip(*loaders, strict=True):
            optimizer.zero_grad()
            for batch in batches:
                (net.loss(batch) / 2).backward()
            optimizer.step()
    return net


def test_two_ranks_reduce_just_what_trains_and_thawed_parameters_stay_equal(tmp_path: Path) -> None:
    first, second = fit_two_ranks(tmp_path / "ranks")
    assert same(first["weights"], second["weights"])
    assert [modules_of(names) for names in first["training"]] == [HEAD] * 6 + [UPPER] * 6 + [ALL] * 6
    assert first["training"] == second["training"]
    expected = weights(mean_of_two_ranks(Deep(norm=nn.LayerNorm)))
    for name, value in first["weights"].items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def test_two_ranks_resume_in_the_middle_of_the_thaw(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    _, whole = fit_two_ranks(tmp_path / "whole", keep)
    _, rest = fit_two_ranks(tmp_path / "rest", ckpt_path=tmp_path / "step=8.ckpt")
    assert rest["training"] == whole["training"][8:]
    assert same(rest["weights"], whole["weights"])


def test_sharded_ranks_thaw_and_resume_in_each_stage(tmp_path: Path) -> None:
    done = run_script("unfreezing_ranks", tmp_path, ranks=2)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert seen["training"] == [HEAD] * 4 + [UPPER] * 4 + [ALL] * 4
        assert seen["grads"] == seen["training"]
        assert seen["after"]
        assert seen["resumed"] == {step: [True, True] for step in ("2", "5", "9")}


def test_strategies_that_cannot_bear_it_are_refused_with_the_reason() -> None:
    for name, reason in (("DeepSpeedStrategy", "exclude_frozen_parameters"), ("FSDPStrategy", "fully_shard")):
        runner = trainer(GradualUnfreezing(groups=GROUPS))
        runner.strategy.__class__ = type(name, (type(runner.strategy),), {})
        with pytest.raises(MisconfigurationException, match=f"cannot work under {name}.*{reason}"):
            runner.fit(Deep())
    runner = trainer(GradualUnfreezing(groups=GROUPS))
    runner.strategy._ddp_comm_state = object()  # a real DDP would leave its process group to tests that fork
    with pytest.raises(MisconfigurationException, match="a communication hook with a state"):
        runner.fit(Deep())


def test_a_thaw_after_the_runs_end_is_refused_with_all_times() -> None:
    times = r"group 0 at 8ep, group 1 at 4ep, group 2 at 0ep"
    with pytest.raises(MisconfigurationException, match=rf"unfreezes its last group at 8ep.*ends at 3ep: {times}"):
        fit(GradualUnfreezing(groups=GROUPS, every=4), net=Deep())
    with pytest.raises(MisconfigurationException, match=r"at 40st, but the run ends at 18st"):
        fit(GradualUnfreezing(groups=GROUPS, every="20st"), net=Deep())
    with pytest.warns(UserWarning, match=r"at 2ep, but the run ends at 2ep"):
        fit(GradualUnfreezing(groups=GROUPS), net=Deep(), max_epochs=2)


def test_a_loader_without_length_thaws_at_epochs_and_refuses_parts_of_them() -> None:
    def run(every: Any) -> list[list[str]]:
        watch, runner = (
            LayerRecorder(),
            trainer(unfreezing := GradualUnfreezing(groups=GROUPS, every=every), max_epochs=3),
        )
        runner.callbacks.append(watch)
        runner.fit(Deep(), DataLoader(Endless(), batch_size=4))
        assert unfreezing.thawed == [0, 1, 2]
        return [modules_of(names) for names in watch.training]

    assert run("1ep") == [HEAD] * 6 + [UPPER] * 6 + [ALL] * 6
    with pytest.raises(
        MisconfigurationException, match="unfreezes a group inside an epoch, but the training loader has no length"
    ):
        run("0.5ep")


def test_a_modules_own_scheduler_is_borne_without_a_rewarmup_and_refused_with_one() -> None:
    class Scheduled(Deep):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    net = fit(GradualUnfreezing(groups=GROUPS), net=Scheduled())
    assert [lrs[0] for _, lrs in net.trace][::BATCHES] == pytest.approx([0.1, 0.01, 0.001])
    with pytest.raises(MisconfigurationException, match="StepLR"):
        fit(GradualUnfreezing(groups=GROUPS, rewarmup="0.5ep"), net=Scheduled())


def test_what_is_frozen_can_be_asked() -> None:
    unfreezing = GradualUnfreezing(groups=GROUPS)
    texts = Recorder(on_train_epoch_end=lambda trainer, module: unfreezing.describe())
    fit(unfreezing, texts, net=Deep())
    assert [line.split()[-1] for line in texts.seen["on_train_epoch_end"][1].splitlines()] == [
        "state",
        "frozen",
        "trains",
        "trains",
    ]
    assert unfreezing.describe(Deep()).count("\n") == 3


def test_an_optimizer_over_a_subset_and_a_list_of_another_length_are_refused() -> None:
    class Subset(Deep):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.head.parameters(), lr=0.1)

    with pytest.raises(MisconfigurationException, match=r"No optimizer contains body\.0\.weight"):
        fit(GradualUnfreezing(groups=GROUPS), net=Subset())
    with pytest.raises(ValueError, match=r"`schedule` needs one time per group, .* it has 2 for 3 groups"):
        fit(GradualUnfreezing([0, 1], groups=GROUPS), net=Deep())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "thirds"}, ValueError, "`schedule` must be one of 'halves', 'one_per_epoch', got 'thirds'"),
        ({"schedule": 3}, TypeError, "`schedule` must be a list, got 3"),
        ({"schedule": []}, ValueError, r"`schedule` must begin with 0, the time of the head, got \[\]"),
        ({"schedule": [1, 2]}, ValueError, r"must begin with 0, the time of the head, got \[1, 2\]"),
        ({"every": 0}, ValueError, "`every` must be a duration > 0, got 0"),
        ({"every": "2 weeks"}, ValueError, "`every` must be a duration"),
        ({"rewarmup": -1}, ValueError, "`rewarmup` must be a duration >= 0, got -1"),
        ({"groups": {}}, TypeError, "`groups` must be a list"),
    ],
)
def test_wrong_arguments_raise_at_construction(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GradualUnfreezing(**arguments)


def test_a_group_may_never_thaw() -> None:
    unfreezing, net = GradualUnfreezing([0, "1ep", None], groups=GROUPS, rewarmup="0.5ep"), Deep()
    assert stages(unfreezing, net=net) == [HEAD] * BATCHES + [UPPER] * 2 * BATCHES
    assert all(value.requires_grad for value in net.parameters())


@pytest.mark.parametrize("turn", range(5))
def test_it_composes_with_rates_cuts_schedules_and_clipping_in_any_order(turn: int) -> None:
    def company() -> list[Any]:
        return [
            GradualUnfreezing(groups=GROUPS, every="4st", rewarmup="2st"),
            DiscriminativeLR(2.0, groups=GROUPS),
            OneCycle(),
            ReduceLROnPlateau(patience=1, min_delta=9.0, stop_at_min=False),
            GradientClipping(0.5, per_group=True),
        ]

    turned = company()[turn:] + company()[:turn]
    expected, found = fit(*company(), net=Deep()), fit(*turned, net=Deep())
    assert found.trace == expected.trace
    assert same(weights(found), weights(expected))


def test_a_module_that_toggles_its_optimizers_keeps_what_is_frozen_frozen() -> None:
    class Toggling(Net):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            for optimizer in self.optimizers():
                self.toggle_optimizer(optimizer)
                optimizer.zero_grad()
                loss = self.loss(batch)
                if loss.requires_grad:
                    self.manual_backward(loss)
                optimizer.step()
                self.untoggle_optimizer(optimizer)

    watch, net = LayerRecorder(), Toggling(manual=True)
    before = weights(net)
    fit(GradualUnfreezing(groups=GROUPS, every="4st"), watch, net=net)
    assert all(torch.equal(now["body.0.weight"], before["body.0.weight"]) for now in watch.weights[:16])
    assert not torch.equal(watch.weights[-1]["body.0.weight"], before["body.0.weight"])
    assert all(value.requires_grad for value in net.parameters())


def test_an_optimizer_that_would_idle_under_a_grad_scaler_is_refused_with_the_reason() -> None:
    runner = trainer(GradualUnfreezing(groups=GROUPS, every="2st"))
    runner.precision_plugin.scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(MisconfigurationException, match=r"freezes all parameters of optimizer 0 \(groups \[0, 1\]\)"):
        runner.fit(Net(manual=True))
