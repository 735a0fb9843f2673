"""Run watch: what a sick run shows, the numbers that tell it, and that no restart and no second rank changes them."""

import math
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from doctor_inputs import lit, loader, net
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy
from ranks import SaveRank, load_ranks
from tiny import Net, trainer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import Doctor, LRFinder
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.judging.project import Checks
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.rule import Rule, Symptom
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.engine.checkup.loss_watch import join_losses
from lightning_tricks.engine.checkup.run_watch import reading_distance
from lightning_tricks.engine.checkup.step_watch import WatchedStep, sample


class Fit(L.LightningModule):
    """A net, rows, a loss and an optimizer."""

    def __init__(self, net: nn.Module, tuning: Any, loss: Any = F.cross_entropy, rows: int = 64, noise: bool = False):
        super().__init__()
        self.net, self.tuning, self.loss = net, tuning, loss
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(rows + 64, 8, generator=generator)
        self.y = torch.randint(3, (rows + 64,), generator=generator) if noise else self.x[:, :3].argmax(1)
        self.rows, self.share = rows, 1.0

    def training_step(self, batch: Any, index: int) -> Any:
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.share * self.loss(self.net(batch[0]), batch[1]))

    def train_dataloader(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        return DataLoader(
            TensorDataset(self.x[: self.rows], self.y[: self.rows]), 16, shuffle=True, generator=generator
        )

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[self.rows :], self.y[self.rows :]), 64)

    def configure_optimizers(self) -> Any:
        return self.tuning(self.parameters())


def sgd(lr: float) -> Any:
    return lambda params: torch.optim.SGD(params, lr)


def adam(lr: float) -> Any:
    return lambda params: torch.optim.Adam(params, lr)


class Restless(torch.optim.SGD):
    """Draws all weights anew at each step."""

    def step(self, closure: Any = None) -> Any:
        loss = closure()
        for parameter in self.param_groups[0]["params"]:
            parameter.data.normal_()
        return loss


def dense(*widths: int, act: Any = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in zip((8, *widths), (*widths, 3), strict=True):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def squared(preds: Any, target: Any) -> Any:
    return (preds[:, 0] - target).square().mean()


def found(model: Any, **arguments: Any) -> dict[str, Finding]:
    doctor = Doctor(select=["RUN"])
    trainer(doctor, **{"max_epochs": 60, "log_every_n_steps": 10} | arguments).fit(model)
    assert doctor.report is not None
    return {finding.code: finding for finding in doctor.report.findings}


def test_a_rate_that_is_far_too_small() -> None:
    seen = found(Fit(dense(16), sgd(1e-9)))
    assert seen["RUN004"].severity == "warning"
    assert "over the last third of 240 batches" in seen["RUN004"].message
    assert "at a learning rate of 1e-09" in seen["RUN004"].message
    assert seen["RUN007"].severity == "info"


def test_a_deep_stack_of_sigmoids() -> None:
    seen = found(Fit(dense(*[16] * 8, act=nn.Sigmoid), sgd(0.1)))
    assert (seen["RUN001"].where, seen["RUN001"].severity) == ("net.0", "warning")


def test_a_rate_at_which_a_linear_model_diverges() -> None:
    seen = found(Fit(nn.Linear(8, 1), sgd(1.2), loss=squared), max_epochs=30)
    assert seen["RUN002"].severity == "error"


def test_an_optimizer_that_replaces_the_weights_at_every_step() -> None:
    seen = found(Fit(dense(16), lambda params: Restless(params, 0.1)), max_epochs=20)
    assert seen["RUN007"].severity == "warning"


def test_few_rows_of_noise_that_are_learnt_by_heart_are_not_said_to_need_another_rate() -> None:
    seen = found(Fit(dense(128, 128), adam(3e-3), rows=32, noise=True), max_epochs=120)
    assert seen["RUN006"].severity == "warning"
    assert seen["RUN009"].severity == "warning"
    assert "RUN004" not in seen


def test_a_validation_loss_of_another_kind() -> None:
    model = Fit(dense(16), adam(1e-3))
    model.share = 0.1
    assert found(model, max_epochs=15)["RUN010"].severity == "info"


def test_steps_that_jump_over_the_minimum() -> None:
    assert found(Fit(dense(16, 16), sgd(20.0)), max_epochs=40)["RUN005"].severity == "info"


class StaysInTraining(Net):
    def on_validation_start(self) -> None:
        self.train()


def test_a_module_that_is_put_in_training_mode_for_validation() -> None:
    seen = found_with(StaysInTraining(), max_epochs=1, num_sanity_val_steps=0)
    assert (seen["BEH005"].where, seen["BEH005"].severity) == ("body.1", "error")
    assert "BEH005" not in found_with(Net(), max_epochs=2)


# -- what is measured ------------------------------------------------------------------------------------------------


def watched(model: Any, **arguments: Any) -> RunFacts:
    doctor = Doctor()
    trainer(doctor, **{"max_epochs": 3, "log_every_n_steps": 4} | arguments).fit(model)
    return doctor._watch.facts


class KeepsLosses(Net):
    """Notes what a step should be known for."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.changes: list[float] = []
        self.before: Any = None

    def training_step(self, batch: Any, index: int) -> Any:
        loss = super().training_step(batch, index)
        if not isinstance(vars(self)["_trainer"], TrainerStandIn):
            self.losses.append(float(loss.detach()))
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        super().on_before_optimizer_step(optimizer)
        grads = torch.cat([parameter.grad.flatten() for parameter in self.parameters()])
        self.norms.append(float(grads.norm()))
        self.before = self.head.weight.detach().clone()

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        if self.before is not None:
            change = (self.head.weight.detach() - self.before).norm() / self.before.norm()
            self.changes.append(float(change))
            self.before = None


@pytest.mark.parametrize("accumulate", [1, 2])
def test_losses_norms_and_updates_are_those_of_the_steps(accumulate: int) -> None:
    model = KeepsLosses()
    facts = watched(model, accumulate_grad_batches=accumulate)
    assert list(facts.losses.first) == pytest.approx(model.losses)
    assert facts.losses.steps == 18
    assert [step.step for step in facts.steps] == list(range(0, 18 // accumulate, 4))
    assert [step.norm for step in facts.steps] == pytest.approx(model.norms[::4])
    assert [step.weights["head.weight"][1] for step in facts.steps] == pytest.approx(model.changes[::4])
    assert set(facts.steps[0].weights) == {"body.0.weight", "head.weight"}
    assert [evaluation.epoch for evaluation in facts.evaluations] == [0, 1, 2]
    assert facts.evaluations[1].train == pytest.approx(sum(model.losses[6:12]) / 6)


def test_several_optimizers_are_not_held_to_one_loss() -> None:
    facts = watched(Net(manual=True))
    assert facts.losses == RunFacts().losses
    assert facts.steps == ()
    assert facts.evaluations == ()


def test_a_scaled_step_that_is_left_out_is_no_explosion() -> None:
    class Overflows(Net):
        def loss(self, batch: Any) -> Any:
            return super().loss(batch) * (1e30 if self.trainer.global_step == 8 else 1.0)

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=256.0))
    facts = watched(Overflows(), plugins=[plugin], log_every_n_steps=2)
    assert [step.step for step in facts.steps] == [0, 2, 4, 6, 10, 12, 14, 16]
    assert all(math.isfinite(step.norm) for step in facts.steps)


def test_large_weights_are_sampled_wherever_their_elements_lie() -> None:
    for weight in (torch.randn(300, 100), torch.randn(64, 100, 3, 3).to(memory_format=torch.channels_last)):
        assert 512 < len(sample(weight)) <= 1024
        assert sample(weight).data_ptr() == weight.data_ptr()
    assert torch.equal(sample(torch.arange(6.0).view(2, 3).T), torch.tensor([0.0, 3.0, 1.0, 4.0, 2.0, 5.0]))


# -- the life of a run -----------------------------------------------------------------------------------------------


def test_a_resumed_run_remembers_how_it_started(tmp_path: Any) -> None:
    keep = ModelCheckpoint(tmp_path, filename="half", save_top_k=-1, every_n_epochs=30)
    assert "RUN004" not in found_with(keep, Fit(dense(16), sgd(1e-9)), max_epochs=30)
    seen = found_with(Fit(dense(16), sgd(1e-9)), ckpt_path=str(tmp_path / "half.ckpt"), max_epochs=51)
    assert "of 204 batches" in seen["RUN004"].message


def found_with(*parts: Any, ckpt_path: str | None = None, **arguments: Any) -> dict[str, Finding]:
    *callbacks, model = parts
    doctor = Doctor(select=["RUN", "BEH005"])
    trainer(doctor, *callbacks, log_every_n_steps=10, **arguments).fit(model, ckpt_path=ckpt_path)
    assert doctor.report is not None
    return {finding.code: finding for finding in doctor.report.findings}


def test_what_was_not_read_yet_survives_even_where_it_is_no_number() -> None:
    doctor, other = Doctor(), Doctor()
    trainer(doctor, max_epochs=1).fit(Fit(dense(16), sgd(0.1)))
    runner: Any = SimpleNamespace(accumulate_grad_batches=1, lightning_module=Net(), world_size=1, strategy=HereAlone())
    for loss in (1.0, math.nan, math.inf):
        doctor._watch._losses.add(7, torch.tensor(loss))
    doctor._watch._steps._closed.append(WatchedStep(7, [0.1], {"weight": 2.0}, torch.tensor([math.inf, math.nan, 0.5])))
    other.load_state_dict(doctor.state_dict())
    assert other.state_dict() == doctor.state_dict()
    assert join_losses(runner, other._watch._losses.take(runner)).first_bad_step == 7


class HereAlone:
    root_device = torch.device("cpu")


def test_a_run_whose_start_nobody_saw_is_not_held_to_it(tmp_path: Any) -> None:
    keep = ModelCheckpoint(tmp_path, filename="all", save_top_k=-1)
    trainer(keep, max_epochs=2).fit(Fit(dense(16), sgd(1e-9)))
    seen = found_with(Fit(dense(16), sgd(1e-9)), ckpt_path=str(tmp_path / "all.ckpt"), max_epochs=60)
    assert seen["RUN004"].severity == "info"
    assert "RUN007" not in seen


def test_the_trial_steps_of_a_finder_are_not_watched() -> None:
    doctor = Doctor()
    trainer(LRFinder(num_steps=20), doctor, max_epochs=2).fit(Fit(dense(16), sgd(0.1)))
    assert doctor._watch.facts.losses.steps == 8
    assert [step.step for step in doctor._watch.facts.steps] == [0]


class Unequal(Fit):
    """Another level of the loss on each process; on one alone it is below where it started."""

    def training_step(self, batch: Any, index: int) -> Any:
        return super().training_step(batch, index) * (1 + self.trainer.global_rank)


def test_two_ranks_see_and_say_the_same(tmp_path: Any) -> None:
    doctor = Doctor(select=["RUN"])
    state = SaveRank(tmp_path, lambda trainer, module: doctor.state_dict(), hook="on_fit_end")
    strategy = DDPStrategy(start_method="fork")
    arguments = {"strategy": strategy, "devices": 2, "max_epochs": 101, "log_every_n_steps": 10}
    trainer(doctor, state, **arguments).fit(Unequal(dense(16), sgd(1e-9)))
    first, second = load_ranks(tmp_path)
    assert first["run"] == second["run"]
    assert first["report"] == second["report"]
    assert "RUN004" in first["report"]


class Unevenly(Net):
    """A module whose second process validates on nothing, or takes no step for its first batch."""

    def __init__(self, what: str) -> None:
        super().__init__(manual=what == "steps")
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())  # DDP sends buffers around, also in a validation
        self.allow_zero_length_dataloader_with_multiple_devices = what == "rows"
        self.what = what

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.what == "rows":
            return super().training_step(batch, batch_idx)
        optimizer = self.optimizers()[0]
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        if self.global_rank == 0 or batch_idx > 0:
            optimizer.step()
        return None

    def val_dataloader(self) -> Any:
        rows = 0 if self.what == "rows" and self.global_rank else 8
        return DataLoader(TensorDataset(torch.ones(rows, 4), torch.ones(rows, 1)), 4)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))


@pytest.mark.parametrize("what", ["rows", "steps"])
def test_a_process_that_has_less_to_do_is_not_waited_for(what: str) -> None:
    quick = DDPStrategy(process_group_backend="gloo", start_method="fork", timeout=timedelta(seconds=60))
    every = {"log_every_n_steps": 1, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    runner = trainer(Doctor(), strategy=quick, devices=2, max_epochs=2, **every)
    runner.fit(Unevenly(what))
    assert runner.state.finished


def test_no_more_than_a_thousand_losses_wait_to_be_read() -> None:
    assert reading_distance(SimpleNamespace(log_every_n_steps=10**6)) == 1000  # type: ignore[arg-type]
    assert reading_distance(SimpleNamespace(log_every_n_steps=0)) == 50  # type: ignore[arg-type]


def test_a_finding_is_said_again_when_it_has_become_worse_and_not_when_it_has_become_milder() -> None:
    doctor = Doctor()
    trainer(doctor, max_epochs=1).fit(lit(net()), loader())
    model: Any = None
    said = []
    for severity in ("info", "warning", "info"):
        doctor._late_checks = Checks((_telling(severity),), {}, ())
        doctor._judge_run(model)
        assert doctor.report is not None
        said.append([finding.severity for finding in doctor.report.findings if finding.code == "RUN004"])
    assert said == [["info"], ["warning"], ["warning"]]


def _telling(severity: Any) -> Any:
    symptom = Symptom("loss", "…", "…", severity)
    return Rule("RUN004", "loss-not-decreasing", "warning", "R", ("run",), False, (), lambda evidence, **_: [symptom])
