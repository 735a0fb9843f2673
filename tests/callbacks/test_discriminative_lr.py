"""DiscriminativeLR: base × multiplier × schedule, in closed form, however the optimizer is built."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tiny import BATCHES, Net, fit, logged, same, trainer, weights

from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing, LRSchedule, cosine_decay

GROUPS: Any = ["body.0.*", "body.1.*", "head.*"]


class Plain(Net):
    """One group, as people write it."""

    def __init__(self, schedule: Any = None, **options: Any) -> None:
        super().__init__()
        self.schedule, self.options = schedule, options

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.1, **self.options)
        return optimizer if self.schedule is None else [[optimizer], [self.schedule(optimizer)]]


def rates(net: Net) -> list[list[float]]:
    return [lrs for _, lrs in net.trace]


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("last", [True, False])
def test_every_rate_is_base_times_multiplier_times_schedule(last: bool, accumulation: int) -> None:
    callbacks = [DiscriminativeLR(2.6, groups=GROUPS), CosineDecay(end_factor=0.1)]
    net = fit(*(callbacks if last else callbacks[::-1]), net=Plain(), accumulate_grad_batches=accumulation)
    steps = 3 * BATCHES // accumulation
    expected = [[0.1 * 2.6**-depth * m for depth in (2, 1, 0)] for m in cosine_decay(steps, 0.1).values(range(steps))]
    assert len(net.trace) == steps
    assert rates(net) == [pytest.approx(row, rel=1e-12) for row in expected]


def test_a_users_groups_keep_their_rates_and_every_option() -> None:
    class Own(Net):
        def configure_optimizers(self) -> Any:
            wild = [self.body[0].weight, self.head.weight]
            rest = [p for p in self.parameters() if all(p is not other for other in wild)]
            groups = [{"params": wild, "lr": 0.3, "momentum": 0.5, "name": "wild"}, {"params": rest, "mark": [1]}]
            return torch.optim.SGD(groups, lr=0.1, weight_decay=0.01)

    net = Own()
    runner = trainer(DiscriminativeLR(2.0, groups=GROUPS), max_epochs=1)
    runner.fit(net)
    groups = runner.optimizers[0].param_groups
    assert [len(group["params"]) for group in groups] == [1, 1, 1, 2, 1]
    assert rates(net)[0] == pytest.approx([0.3 / 4, 0.3, 0.1 / 4, 0.1 / 2, 0.1])
    assert [group["momentum"] for group in groups] == [0.5, 0.5, 0, 0, 0]
    assert [group.get("name") for group in groups] == ["wild", "wild/1", None, None, None]
    assert [group.get("mark") for group in groups] == [None, None, [1], [1], [1]]
    assert {group["weight_decay"] for group in groups} == {0.01}


def test_several_optimizers_under_manual_optimization_share_the_groups() -> None:
    net = fit(
        DiscriminativeLR(groups=GROUPS, multipliers=[0.1, 0.5, 1.0]),
        LRSchedule(cosine_decay(100), unit="st"),
        net=Net(manual=True),
    )
    own = {index: [lrs for i, lrs in net.trace if i == index] for index in (0, 1)}
    assert len(own[0]) == 2 * len(own[1]) == 3 * BATCHES
    for index, (lr, multipliers) in enumerate([(0.01, [0.1, 0.5]), (0.1, [1.0])]):
        for step, seen in enumerate(own[index]):
            assert seen == pytest.approx([lr * m * cosine_decay(100)(step) for m in multipliers], rel=1e-12)


def test_no_decay_spares_norms_and_biases_alone() -> None:
    net = Plain(weight_decay=0.05)
    runner = trainer(DiscriminativeLR(groups=["body.*", "head.*"], no_decay=True), max_epochs=1)
    runner.fit(net)
    names = {id(value): name for name, value in net.named_parameters()}
    decays = {names[id(p)]: g["weight_decay"] for g in runner.optimizers[0].param_groups for p in g["params"]}
    assert {name for name, decay in decays.items() if decay} == {"body.0.weight", "head.weight"}
    assert set(decays.values()) == {0.0, 0.05}


def test_a_decay_of_one_changes_nothing() -> None:
    bare, ours = fit(net=Plain()), fit(DiscriminativeLR(1.0), net=Plain())
    assert same(weights(bare), weights(ours))


def test_a_mapping_makes_the_groups_and_low_high_spreads_them() -> None:
    net = fit(DiscriminativeLR(multipliers={"body.*": 0.2, "head.*": 1.0}), net=Plain(), max_epochs=1)
    assert rates(net)[0] == pytest.approx([0.02, 0.1])
    net = fit(DiscriminativeLR(groups=GROUPS, low_high=[0.01, 1.0]), net=Plain(), max_epochs=1)
    assert rates(net)[0] == pytest.approx([0.001, 0.01, 0.1])


SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 3),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 0.7**epoch),
    "plateau": lambda o: {
        "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=9.0, min_lr=0.03),
        "monitor": "val_loss",
    },
    "one cycle": lambda o: {
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=18),
        "interval": "step",
    },
    "cyclic": lambda o: {
        "scheduler": torch.optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, 4, cycle_momentum=False),
        "interval": "step",
    },
    "sequential": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=1), torch.optim.lr_scheduler.ExponentialLR(o, 0.5)],
        [1],
    ),
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_modules_own_scheduler_keeps_the_ratios_in_a_resumed_run_too(kind: str, tmp_path: Path) -> None:
    alone = rates(fit(net=Plain(SCHEDULERS[kind])))
    assert len({lrs[0] for lrs in alone}) > 1
    multipliers = [0.25, 0.5, 1.0]
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    whole = fit(DiscriminativeLR(2.0, groups=GROUPS), keep, net=Plain(SCHEDULERS[kind]))
    assert rates(whole) == [pytest.approx([lr * m for m in multipliers]) for (lr,) in alone]
    rest = fit(DiscriminativeLR(2.0, groups=GROUPS), net=Plain(SCHEDULERS[kind]), ckpt_path=tmp_path / "step=7.ckpt")
    assert rest.trace == whole.trace[7:]
    assert same(weights(rest), weights(whole))
    other = fit(DiscriminativeLR(4.0, groups=GROUPS), net=Plain(SCHEDULERS[kind]), ckpt_path=tmp_path / "step=7.ckpt")
    if kind != "plateau":  # its cut never depends on the rate, its floor does
        assert rates(other) == [pytest.approx([lr / 16, lr / 4, lr]) for (lr,) in alone[7:]]


def test_a_floor_that_a_scheduler_has_for_all_groups_is_warned_about() -> None:
    net = Plain(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 3, eta_min=0.01))
    with pytest.warns(UserWarning, match=r"CosineAnnealingLR\(eta_min=0\.01\) has a single rate for all"):
        fit(DiscriminativeLR(groups=GROUPS), net=net)


def test_a_changed_decay_wins_over_the_checkpoints(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    fit(DiscriminativeLR(2.0, groups=GROUPS), keep, net=Plain())
    resumed = fit(DiscriminativeLR(4.0, groups=GROUPS), net=Plain(), ckpt_path=tmp_path / "step=7.ckpt")
    assert rates(resumed)[0] == pytest.approx([0.1 / 16, 0.1 / 4, 0.1])


def test_a_monitor_shows_each_groups_rate(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    callbacks = [LearningRateMonitor("step"), DiscriminativeLR(2.0, groups=GROUPS)]
    net = fit(*callbacks, net=Plain(), logger=logger, log_every_n_steps=1, max_epochs=1)
    assert [value for _, value in logged(logger, "lr-AdamW/pg1")] == [lrs[0] for lrs in rates(net)]


def test_a_learning_rate_that_is_a_tensor_is_not_shared_by_the_parts() -> None:
    class Tensorial(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=torch.tensor(0.1), foreach=False)

    assert rates(fit(DiscriminativeLR(2.0, groups=GROUPS), net=Tensorial()))[0] == pytest.approx([0.025, 0.05, 0.1])


def test_a_group_that_is_added_in_the_run_gets_its_layers_multiplier() -> None:
    class Late(Net):
        def configure_optimizers(self) -> Any:
            self.extra.requires_grad_(False)
            return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)

        def __init__(self) -> None:
            super().__init__()
            self.extra = torch.nn.Parameter(torch.zeros(1))

        def on_train_epoch_start(self) -> None:
            if self.trainer.current_epoch == 1:
                self.trainer.optimizers[0].add_param_group({"params": [self.extra.requires_grad_()], "lr": 0.1})

    net = fit(DiscriminativeLR(groups=["extra", "body.*", "head.*"], multipliers=[0.5, 0.1, 1]), net=Late())
    assert rates(net)[-1] == pytest.approx([0.01, 0.1, 0.05])


def test_the_table_names_groups_and_multipliers_before_and_after_fit_starts() -> None:
    callback = DiscriminativeLR(2.0, groups=GROUPS)
    table = callback.describe(Plain())
    fit(callback, net=Plain(), max_epochs=1)
    assert callback.describe() == table
    assert table.splitlines()[1].split() == ["0", "body.0.*", "40", "0.25"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"decay": 0}, ValueError, r"`decay` must be finite and > 0, got 0\."),
        ({"groups": "head.*"}, TypeError, "`groups` must be a list, got 'head"),
        ({"groups": []}, ValueError, "`groups` must not be empty"),
        ({"groups": ["a", ["a", "b"]]}, ValueError, "`groups` contains 'a' twice"),
        ({"groups": [3]}, TypeError, "`groups` must be a list, got 3"),
        ({"groups": [["a", 3]]}, TypeError, "glob patterns or lists of glob patterns, got 3"),
        ({"groups": ["a"], "multipliers": [1, 2]}, ValueError, "`multipliers` has 2 entries for 1 `groups`"),
        ({"multipliers": [1, -2]}, ValueError, "`multipliers` must be finite and >= 0, got -2"),
        ({"multipliers": {"a": 1}, "groups": ["a"]}, ValueError, "is a mapping whose patterns define the groups"),
        ({"multipliers": [1], "low_high": [0.1, 1]}, ValueError, "both give the multipliers"),
        ({"low_high": [0.1]}, ValueError, r"`low_high` must hold two numbers, got \[0\.1\]"),
        ({"no_decay": "false"}, TypeError, "`no_decay` must be True or False"),
    ],
)
def test_wrong_arguments_raise_at_construction(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DiscriminativeLR(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["boody.*", "*"]}, r"'boody\.\*' matches no remaining parameter.*Parameters: body\.0\.weight"),
        ({"groups": ["*", "head.*"]}, r"'head\.\*' matches no remaining parameter"),
        (
            {"groups": ["body.0.*", "head.*"]},
            r"body\.1\.weight, body\.1\.bias are in no group\. Patterns.*\* \| head",
        ),
        ({"multipliers": [1.0, 2.0]}, "`multipliers` has 2 entries, but the model has 3 groups"),
    ],
)
def test_groups_that_do_not_fit_the_model_are_refused_with_what_there_is(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(DiscriminativeLR(**arguments), net=Plain())


def test_optimizers_over_a_subset_or_over_strangers_are_refused_with_the_table() -> None:
    class Subset(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.head.parameters(), lr=0.1)

    class Strange(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD([*self.parameters(), torch.nn.Parameter(torch.zeros(7))], lr=0.1)

    class Lbfgs(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.LBFGS(self.parameters())

    with pytest.raises(MisconfigurationException, match=r"No optimizer contains body\.0\.weight(?s:.*)body\.0\.\*"):
        fit(DiscriminativeLR(groups=GROUPS), net=Subset())
    with pytest.raises(MisconfigurationException, match=r"of shape \(7,\)\) that do not belong to the module"):
        fit(DiscriminativeLR(groups=GROUPS), net=Strange())
    with pytest.raises(MisconfigurationException, match="LBFGS supports only one"):
        fit(DiscriminativeLR(groups=GROUPS), net=Lbfgs())


def test_a_module_without_optimizers_is_left_alone() -> None:
    class Bare(Net):
        def configure_optimizers(self) -> None: ...

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(batch)

    thawing = GradualUnfreezing(groups=GROUPS)
    fit(DiscriminativeLR(groups=GROUPS), thawing, net=Bare())
    assert thawing.thawed == [0, 1, 2]
