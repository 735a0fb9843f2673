"""Two and three processes with different data: one decision, one set of best weights."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from ranks import SaveRank, load_ranks
from scripted import Scripted, endless
from subprocesses import run_script
from tiny import Net, same, trainer, weights

from lightning_tricks import EarlyStopping, ReduceLROnPlateau


def fit_forked(net: Net, *callbacks: Any, devices: int = 2, **arguments: Any) -> Any:
    few = {"max_epochs": 60, "limit_val_batches": 1, "limit_train_batches": 1}
    runner = trainer(*callbacks, strategy="ddp_fork", devices=devices, **{**few, **arguments})
    ckpt_path = few.pop("ckpt_path", None)
    runner.fit(net, ckpt_path=ckpt_path)
    return runner


class Parted(Scripted):
    """Rank 0 gets better all the time, rank 1 twice as fast worse."""

    def score(self) -> float:
        return -1.0 * self.checks if self.trainer.global_rank == 0 else 2.0 * self.checks


@pytest.mark.parametrize(
    ("where", "log"),
    [
        *itertools.product(["validation_step", "on_train_epoch_end"], [{}, {"sync_dist": True}]),
        ("torchmetrics", {}),
    ],
    ids=str,
)
def test_ranks_that_see_different_scores_decide_alike(where: str, log: Any, tmp_path: Path) -> None:
    rules = EarlyStopping("score", patience=5), ReduceLROnPlateau("score", patience=2)
    fit_forked(Parted([0.0], where=where, **log), *rules, SaveRank(tmp_path))
    first, second = load_ranks(tmp_path)
    assert first["trace"] == second["trace"]
    assert same(first["states"], second["states"])
    stop = first["states"][rules[0].state_key]
    assert stop["plateau"]["best_score"] == 0.0
    assert stop["record"]["stop_reason"] == "no better score in 5 checks"
    assert [rates[1] for _, rates in first["trace"]] == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]


def test_a_score_that_rank_zero_alone_logs_counts_on_all() -> None:
    class Zero(Scripted):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if self.trainer.global_rank == 0:
                self.log("score", float(self.checks), rank_zero_only=True)

    rule = EarlyStopping("score", patience=3)
    runner = fit_forked(Zero([0.0]), rule)
    assert runner.callback_metrics[f"{rule.state_key}/stopped_epoch"] == 3


def test_a_score_that_all_ranks_share_keeps_its_last_bit() -> None:
    score = torch.tensor(0.1).item()
    rule = EarlyStopping("score", patience=1)
    runner = fit_forked(Scripted([score]), rule, devices=3)
    assert runner.callback_metrics[f"{rule.state_key}/best_score"] == score


@pytest.mark.parametrize("averages", [False, True])
def test_validate_after_a_forked_fit_equals_the_best_score(averages: bool, tmp_path: Path) -> None:
    class Odd(Net):
        """Tensors that a backend may refuse to broadcast."""

        def __init__(self) -> None:
            super().__init__(lr=2.0)
            self.register_buffer("flag", torch.tensor(True))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
            self.register_buffer("rank", torch.zeros(2, 3).t(), persistent=False)

        def on_train_batch_end(self, *_: Any) -> None:
            self.count += 1
            self.rank.fill_(self.trainer.global_rank)

    class Leave(Callback):
        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            kept = {**weights(pl_module), "rank": pl_module.rank}
            torch.save(kept, tmp_path / f"rank{trainer.global_rank}.pt")

    rule, net = EarlyStopping(patience=9), Odd()
    averaging = [EMAWeightAveraging(decay=0.5)] if averages else []
    runner = fit_forked(
        net, rule, *averaging, Leave(), max_epochs=5, limit_val_batches=2, limit_train_batches=6, val_check_interval=2
    )
    first, second = load_ranks(tmp_path)
    assert same(first, second)
    again = trainer(strategy="ddp_fork", devices=2).validate(net, verbose=False)[0]["val_loss"]
    assert again == runner.callback_metrics[f"{rule.state_key}/best_score"]


def test_a_forked_run_saves_rank_zeros_copy_and_resumes_with_it(tmp_path: Path) -> None:
    def keep(name: str) -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path / name, filename="{epoch}", save_top_k=-1)

    def rules() -> list[Any]:
        return [
            EarlyStopping("score", patience=6),
            ReduceLROnPlateau("score", patience=2, restore_best=True),
        ]

    whole, all_batches = Scripted(endless(3.0, 1.0), by_rank=1.0), {"limit_train_batches": 6}
    fit_forked(whole, *rules(), keep("whole"), **all_batches)
    checkpoint = tmp_path / "whole" / "epoch=3.ckpt"
    entries = torch.load(checkpoint, weights_only=True)["callbacks"]
    for rule in rules():
        assert "head.weight" in entries[rule.state_key]["weights"]["tensors"]
    rest = Scripted([9.0], by_rank=1.0)
    runner = trainer(*rules(), keep("rest"), strategy="ddp_fork", devices=2, max_epochs=60, limit_val_batches=1)
    runner.fit(rest, ckpt_path=str(checkpoint))
    assert same(weights(rest), weights(whole))
    files = [sorted((tmp_path / name).glob("*.ckpt"))[-1] for name in ("whole", "rest")]
    assert files[0].name == files[1].name
    states = [torch.load(file, weights_only=True)["callbacks"] for file in files]
    for rule in rules():
        assert same(states[0][rule.state_key], states[1][rule.state_key])


def test_sharded_ranks_put_their_own_shards_back_and_save_none(tmp_path: Path) -> None:
    run = run_script("watch_ranks", tmp_path, ranks=2)
    assert run.returncode == 0, run.stdout + run.stderr
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert sum(whole["share"] for whole, _ in ranks) == 8
    for whole, rest in ranks:
        assert whole["best"] == 1.5
        assert whole["reason"] == "no better score in 4 checks"
        # the second check was the best; after the cut at the fourth those weights are there again
        assert 1 in whole["back"]
        assert (whole["checks"], whole["cuts"], whole["saved"], whole["warned"]) == (6, 2, [{}, {}], 0)
        assert (rest["warned"], rest["best"]) == (2 * (rest["rank"] == 0), 1.5)
        assert 1 in rest["back"]
        assert 0 not in rest["back"]
