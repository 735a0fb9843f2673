"""Options that are not our callbacks (Lightning's callbacks, strategies, losses): each key exists and is explained."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, get_object, instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from tiny import Net, trainer

import lightning_tricks
from hydra import compose, initialize_config_dir
from lightning_tricks import instantiate_callbacks

CONF = Path(lightning_tricks.__file__).parent / "conf"
DEMO = Path(__file__).parents[2] / "conf"
THEIRS = [
    path for path in sorted((CONF / "tricks").glob("*.yaml")) if "_target_: lightning_tricks." not in path.read_text()
]
STRATEGIES = sorted((CONF / "lt_strategy").glob("*.yaml"))
LOSSES = sorted((CONF / "lt_loss").glob("*.yaml"))
OPTIMIZERS = [*sorted((DEMO / "optimizer").glob("*.yaml")), *sorted((DEMO / "scheduler").glob("*.yaml"))]


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", [*THEIRS, *STRATEGIES, *LOSSES, *OPTIMIZERS], ids=name_of)
def test_every_key_is_explained(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert any(line.startswith("# ") and len(line) > 30 for line in lines)
    for line in lines:
        if re.search(r"\w: \S", line) and not re.search(r"_target_:|_partial_:|^ *#", line):
            assert re.search(r"\S # \S", line), f"{path.name}: {line}"
        assert len(line) <= 120, f"{path.name}: {line}"


@pytest.mark.parametrize("path", THEIRS, ids=name_of)
def test_lightnings_callbacks_are_built_with_their_own_keys(path: Path) -> None:
    node = OmegaConf.load(path)[path.stem]
    known = inspect.signature(get_class(node["_target_"]).__init__).parameters
    assert set(node) - {"_target_"} <= set(known)
    (callback,) = instantiate_callbacks({path.stem: node})
    assert type(callback) is get_class(node["_target_"])


def test_they_train_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")
    left_out = ("lr_monitor", "device_stats", "ema")  # two need a logger; swa averages already
    names = [path.stem for path in THEIRS if path.stem not in left_out]
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        cfg = compose(
            "app", overrides=[f"+tricks=[{','.join(names)},gradient_clipping]", "tricks.swa.annealing_epochs=1"]
        )
    callbacks = instantiate_callbacks(cfg.tricks)
    assert len(callbacks) == len(names) + 1
    runner = trainer(*callbacks, enable_progress_bar=True, enable_model_summary=True)
    runner.fit(Net())
    assert runner.state.finished
    assert set(map(id, callbacks)) <= set(map(id, runner.callbacks))
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize("path", STRATEGIES, ids=name_of)
def test_a_strategy_lands_in_the_trainer_and_has_only_keys_that_lightning_knows(path: Path, tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("trainer: {devices: 2, strategy: auto}\npl: {trainer: {devices: 3}}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        here = compose("app", overrides=[f"+lt_strategy={path.stem}"])
        there = compose("app", overrides=[f"+lt_strategy@pl.trainer={path.stem}"])
    assert "strategy" in here.trainer
    assert "strategy" in there.pl.trainer
    if path.stem == "auto":
        assert here.trainer.strategy == "auto"
        return
    kind = get_class(here.trainer.strategy["_target_"])
    known = set(inspect.signature(kind.__init__).parameters)
    if {"ddp", "fsdp"} & set(path.stem.split("_")):  # what torch's own wrapper takes
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.nn.parallel import DistributedDataParallel

        wrapper = FullyShardedDataParallel if path.stem == "fsdp" else DistributedDataParallel
        known |= set(inspect.signature(wrapper.__init__).parameters)
    assert set(here.trainer.strategy) - {"_target_"} <= known
    if path.stem == "fsdp2":
        assert (here.trainer.strategy.data_parallel_size, there.pl.trainer.strategy.data_parallel_size) == (2, 3)
    if path.stem.startswith("deepspeed"):  # not installed where this runs: Lightning's own words
        with pytest.raises(Exception, match="DeepSpeed"):
            instantiate(here.trainer.strategy)
    else:
        assert type(instantiate(here.trainer.strategy)) is kind


@pytest.mark.parametrize("name", ["ddp_fork", "ddp_find_unused"])
def test_a_strategy_of_an_option_trains(name: str) -> None:
    node = OmegaConf.load(CONF / "lt_strategy" / f"{name}.yaml").strategy
    node.start_method = "fork"
    runner = trainer(strategy=instantiate(node), devices=2, max_epochs=1)
    runner.fit(Net())
    assert "val_loss" in runner.callback_metrics


def test_a_trick_twice_is_one_in_a_list_of_options_and_refused_under_two_keys(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("lr: 0.1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        cfg = compose("app", overrides=["+tricks=[cosine_decay,cosine_decay]"])
    assert len(instantiate_callbacks(cfg.tricks)) == 1
    node = cfg.tricks.cosine_decay
    with pytest.raises(MisconfigurationException, match=r"Two `CosineDecay`.*Give one another `name`"):
        instantiate_callbacks({"a": node, "b": node})
    assert len(instantiate_callbacks({"a": node, "b": {**node, "name": "other"}})) == 2


def test_a_strategy_that_a_trick_cannot_serve_is_refused_before_training() -> None:
    from strategy_matrix import DeepSpeedStrategy

    net = Net()
    with pytest.raises(MisconfigurationException, match="`LRFinder` cannot act under DeepSpeed"):
        trainer(
            *instantiate_callbacks({"f": {"_target_": "lightning_tricks.LRFinder"}}), strategy=DeepSpeedStrategy("cpu")
        ).fit(net)
    assert not net.trace


@pytest.mark.parametrize("path", OPTIMIZERS, ids=name_of)
def test_the_demos_optimizers_and_schedulers_are_built_for_its_model(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DEMO.parent / "examples"))
    with initialize_config_dir(str(DEMO), version_base="1.3"):
        cfg = compose("train", overrides=["experiment=plain", f"{path.parent.name}={path.stem}"])
    made = instantiate(cfg.model).configure_optimizers()
    chosen = cfg[path.parent.name]
    if path.parent.name == "optimizer":
        assert type(made) is get_class(chosen["_target_"])
        assert made.param_groups[0]["lr"] == chosen.lr
    elif path.stem != "none":
        assert type(made["lr_scheduler"]["scheduler"]) is get_class(chosen.scheduler["_target_"])
        assert made["lr_scheduler"]["interval"] == "epoch"
    else:
        assert made.param_groups[0]["lr"] == cfg.model.lr


def with_numbers(path: Path) -> Any:
    """The option's node, with 5 wherever it needs a number of its user."""
    node = OmegaConf.load(path)
    for name in node:
        for key in [key for key in node[name] if OmegaConf.is_missing(node[name], key)]:
            node[name][key] = 5
    return node


@pytest.mark.parametrize("path", LOSSES, ids=name_of)
def test_a_loss_lands_in_the_model_has_only_known_keys_and_gives_a_gradient(path: Path, tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("model: {lr: 0.1}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert "lr" in compose("app", overrides=[f"+lt_loss={path.stem}"]).model
        assert set(compose("app", overrides=[f"+lt_loss@net={path.stem}"]).net) == set(OmegaConf.load(path))
    node = with_numbers(path)
    for name in node:
        known = inspect.signature(get_object(node[name]["_target_"])).parameters
        assert set(node[name]) - {"_target_", "_partial_"} <= set(known)
    made = instantiate(node)
    rows = torch.randn(10, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    classes = torch.arange(10) % 5
    inputs: tuple[Any, ...] = {
        "balanced": ({"main": rows.square().mean(), "auxiliary": rows.abs().mean()},),
        "binary_focal": (rows, (rows.detach() > 0.5).float()),
        "contrastive": (rows, rows.detach().flip(0), classes > 2),
    }.get(path.stem, (rows, classes))
    if "miner" in made:
        inputs = (*inputs, made.miner(*inputs))
    loss = made.get("loss", made.get("center_loss"))(*inputs)
    loss.backward()
    assert loss.shape == ()
    assert rows.grad is not None
    assert 0 < rows.grad.norm() < float("inf")


def test_a_mined_loss_of_an_option_trains_embeddings() -> None:
    class Embedding(Net):
        def __init__(self, criterion: Any, miner: Any) -> None:
            super().__init__()
            self.criterion, self.miner = criterion, miner
            self.head = torch.nn.Linear(8, 3)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            embeddings, target = self.head(self.body(batch[0])), (batch[0].sum(1) > 0).long()
            return self.criterion(embeddings, target, self.miner(embeddings, target))

        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    made = instantiate(OmegaConf.load(CONF / "lt_loss" / "triplet.yaml"))
    net = Embedding(made.loss, made.miner)
    before = net.head.weight.detach().clone()
    trainer(max_epochs=2).fit(net)
    assert net.head.weight.isfinite().all()
    assert not torch.equal(net.head.weight, before)
