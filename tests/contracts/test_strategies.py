"""docs/strategies.md says of every public callback and every strategy what a run shows."""

import re

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch import strategies
from strategy_matrix import PAGE, READ, REMARKS, RUN, DeepSpeedStrategy, markdown, refusal
from tiny import Net, fit, weights
from tricks import public_callbacks

import lightning_tricks as lt

STRATEGY = {"fsdp": "FSDPStrategy", "deepspeed": "DeepSpeed"}
WAYS_OUT = {
    "ModelParallelStrategy": strategies,
    "configure_optimizers": L.LightningModule,
    "find_lr": lt,
    "initialize_": lt,
    "Trainer": L,
}


def test_the_page_is_what_the_callbacks_do() -> None:
    """Whether a callback works under the strategies of a CPU is run in test_ranks.py."""
    refused = {(name, strategy): refusal(name, strategy) for name in public_callbacks() for strategy in READ}
    page = markdown({case: reason for case, reason in refused.items() if reason})
    assert PAGE.read_text() == page, "run `python tests/support/scripts/strategy_matrix.py --page`"


def test_a_remark_is_about_a_callback_and_a_strategy_that_exist() -> None:
    assert {name for name, _ in REMARKS} <= set(public_callbacks())
    assert {strategy for _, strategy in REMARKS} <= {*RUN, *READ}


def test_rates_reach_an_engines_flat_groups_as_they_reach_an_optimizers() -> None:
    """DeepSpeed's wrapper is no torch optimizer; what it steps with are the rates of its groups."""
    traces = []
    for more in ({}, {"strategy": DeepSpeedStrategy("cpu")}):
        net = Net()
        fit(lt.CosineDecay(end_factor=0.1, warmup="2st"), lt.LiveControl(), net=net, max_epochs=2, **more)
        traces.append((net.trace, weights(net)))
    assert traces[0][0] == traces[1][0]
    assert len({rate for _, rates in traces[0][0] for rate in rates}) > 10
    for name, weight in traces[0][1].items():
        torch.testing.assert_close(traces[1][1][name], weight)


def test_a_gradual_watch_of_manual_steps_bears_an_optimizer_without_hooks() -> None:
    doctor = lt.Doctor()
    fit(doctor, net=Net(manual=True), strategy=DeepSpeedStrategy("cpu"), max_epochs=2)
    assert doctor.report is not None
    assert not [note for note in doctor.report.notes if "watch the gradients" in note]


@pytest.mark.parametrize("strategy", READ)
def test_a_refusal_names_the_callback_the_strategy_and_a_way_out(strategy: str) -> None:
    refused = {name: reason for name in public_callbacks() if (reason := refusal(name, strategy))}
    assert refused
    for name, reason in refused.items():
        assert reason.startswith(f"`{name}` cannot")
        assert STRATEGY[strategy] in reason
        advice = re.search(r"\. (?:Use|Build|Find) (.*)", reason)
        assert advice, reason
        named = set(re.findall(r"`(\w+)", advice[1]))
        assert named & WAYS_OUT.keys(), reason


def test_each_way_out_exists() -> None:
    assert all(hasattr(home, name) for name, home in WAYS_OUT.items())
