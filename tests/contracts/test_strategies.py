"""docs/strategies.md says of every public callback and every strategy what a run shows."""

import re

import lightning.pytorch as L
import pytest
from lightning.pytorch import strategies
from strategy_matrix import PAGE, READ, REMARKS, RUN, markdown, refusal
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
