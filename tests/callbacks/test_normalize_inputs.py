"""Input normalization: statistics of the training rows of all ranks, applied in every stage, saved and resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from ranks import SaveRank, load_ranks
from stateful_net import LOADERS, end_state, fit_stateful
from tiny import Net, same, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_tricks import InputNormalizer, LRFinder, NormalizeInputs

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 0.1, 100.0]) + 7
Y = torch.randn(30, 1, generator=torch.Generator().manual_seed(1))


def loader(x: Tensor = X, batch_size: int = 8, shuffle: bool = True) -> DataLoader:
    return DataLoader(TensorDataset(x, Y[: len(x)]), batch_size, shuffle=shuffle)


class Watching(Net):
    """Keeps the inputs that each stage saw."""

    def __init__(self, normalizer: nn.Module | None = None) -> None:
        super().__init__()
        self.seen: dict[str, list[Tensor]] = {}
        self.normalizer = normalizer

    def loss(self, batch: Any) -> Tensor:
        x, y = batch if isinstance(batch, (tuple, list)) else (batch["x"], batch["y"])
        self.seen.setdefault(self.trainer.state.stage.value, []).append(x)
        if self.normalizer is not None:
            x = self.normalizer(x)
        return super().loss((x.reshape(len(x), -1)[:, :4], y))

    test_step = Net.validation_step

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(batch)

    def watched(self, stage: str) -> Tensor:
        return torch.cat(self.seen[stage])


def fit(*callbacks: Any, train: Any = None, val: Any = None, net: Any = None, **arguments: Any) -> Any:
    net = Watching() if net is None else net
    runner = trainer(*callbacks, **{"max_epochs": 1, **arguments})
    runner.fit(net, loader() if train is None else train, loader(shuffle=False) if val is None else val)
    return net


def expected(x: Tensor = X) -> Tensor:
    return torch.from_numpy((x.double().numpy() - x.double().numpy().mean(0)) / x.double().numpy().std(0)).float()


def test_every_stage_sees_inputs_normalized_as_numpy_would() -> None:
    normalizer = NormalizeInputs()
    net = fit(normalizer)
    found = normalizer.statistics
    assert found is not None
    np.testing.assert_allclose(found.mean, X.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, X.double().numpy().std(0), rtol=1e-10)
    runner = net.trainer
    runner.test(net, loader(shuffle=False), verbose=False)
    runner.predict(net, loader(shuffle=False))
    for stage in ("sanity_check", "validate", "test", "predict"):
        torch.testing.assert_close(net.watched(stage)[:16], expected()[:16], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.watched("train").sort(0).values, expected().sort(0).values, rtol=1e-5, atol=1e-5)
    assert "on_after_batch_transfer" not in vars(net)


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_checkpoint_brings_its_statistics_to_a_new_trainer(stage: str, tmp_path: Path) -> None:
    fit(NormalizeInputs(), ModelCheckpoint(tmp_path, save_last=True))
    net, other = Watching(), NormalizeInputs()
    runner = trainer(other)
    getattr(runner, stage)(net, loader(shuffle=False), ckpt_path=str(tmp_path / "last.ckpt"))
    torch.testing.assert_close(net.watched(stage), expected(), rtol=1e-5, atol=1e-5)


def test_a_resumed_run_does_not_measure_again(tmp_path: Path) -> None:
    fit(NormalizeInputs(), ModelCheckpoint(tmp_path, save_last=True))
    net, other = Watching(), NormalizeInputs()
    trainer(other, max_epochs=2).fit(net, loader(X + 1000), ckpt_path=str(tmp_path / "last.ckpt"))
    assert other.statistics is not None
    assert other.statistics.mean[0] < 10
    assert net.watched("train")[:, 0].mean() > 500


def test_without_statistics_evaluation_warns_and_changes_nothing() -> None:
    net = Watching()
    with pytest.warns(UserWarning, match="has no statistics"):
        trainer(NormalizeInputs()).validate(net, loader(shuffle=False), verbose=False)
    assert torch.equal(net.watched("validate"), X)


class Measuring(NormalizeInputs):
    """Measures and changes nothing."""

    def apply(self, batch: Any) -> Any:
        return batch


@pytest.mark.parametrize("kind", sorted(LOADERS))
def test_training_goes_on_as_if_the_pass_had_not_been(kind: str) -> None:
    assert same(end_state(*fit_stateful(Measuring(), kind)), end_state(*fit_stateful(None, kind)))


@pytest.mark.parametrize("key", [None, "few.0"])
def test_of_several_loaders_batches_the_named_input_is_normalized_while_it_lasts(key: str | None) -> None:
    class Both(Watching):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen.setdefault("many", []).append(batch["many"][0])
            return super().training_step(batch["many"] if batch["few"] is None else batch["few"], batch_idx)

    both = CombinedLoader({"few": loader(X[:10], shuffle=False), "many": loader(X * 2, shuffle=False)}, "max_size")
    net = fit(NormalizeInputs(key=key), net=Both(), train=both, limit_val_batches=0)
    torch.testing.assert_close(net.watched("train")[:10], expected(X[:10]), rtol=1e-5, atol=1e-5)
    assert torch.equal(net.watched("many"), X * 2)


@pytest.mark.parametrize("padded", [False, True])
def test_two_ranks_have_the_statistics_of_the_whole_set(padded: bool, tmp_path: Path) -> None:
    rows = X[:29] if padded else X
    normalizer = NormalizeInputs()
    arguments = {"strategy": "ddp_fork", "devices": 2}
    fit(normalizer, SaveRank(tmp_path, lambda *_: normalizer.state_dict()), train=loader(rows, 4), **arguments)
    first, second = load_ranks(tmp_path)
    assert same(first, second)
    found = first["statistics"]
    assert found["count"] == len(rows)
    np.testing.assert_allclose(found["mean"], rows.double().numpy().mean(0), rtol=1e-6)
    np.testing.assert_allclose((found["m2"] / found["count"]).sqrt(), rows.double().numpy().std(0), rtol=1e-6)


def test_a_module_that_holds_a_normalizer_has_it_fitted_and_its_batches_left_alone(tmp_path: Path) -> None:
    net = fit(NormalizeInputs(), ModelCheckpoint(tmp_path, save_last=True), net=Watching(InputNormalizer(4)))
    assert torch.equal(net.watched("validate"), X)
    assert torch.equal(net.watched("sanity_check"), X[:16])
    np.testing.assert_allclose(net.normalizer.mean, X.double().numpy().mean(0), rtol=1e-6)
    alone = Watching(InputNormalizer(4))
    alone.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"])
    assert torch.equal(alone.normalizer(X), net.normalizer(X))


def test_two_normalizers_in_a_module_are_refused() -> None:
    net = Watching(nn.Sequential(InputNormalizer(4), InputNormalizer(4)))
    with pytest.raises(MisconfigurationException, match=r"contains normalizer.0, normalizer.1. Fit each with `fit_"):
        fit(NormalizeInputs(), net=net)


@pytest.mark.parametrize("keys", [(0, None), (None, 0)])
def test_two_for_the_same_entry_are_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match=r"would normalize the entry 0\. Remove one of them"):
        fit(*[NormalizeInputs(key=key) for key in keys])


def test_two_for_the_same_key_are_refused_whatever_their_names() -> None:
    with pytest.raises(MisconfigurationException, match="Two `NormalizeInputs`"):
        fit(NormalizeInputs(key=0, name="a"), NormalizeInputs(key=0, name="b"))


def test_two_for_two_entries_normalize_both() -> None:
    net = fit(NormalizeInputs(key=0), NormalizeInputs(key=1))
    torch.testing.assert_close(net.watched("validate"), expected(), rtol=1e-5, atol=1e-5)


def test_integer_images_become_floating_if_they_are_named() -> None:
    images = torch.randint(0, 256, (30, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batches = loader(images)
    net = fit(NormalizeInputs(key=0), train=batches, val=batches)
    seen = net.watched("train")
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"no floating-point tensor: it is .*uint8.* Name the input with `key`"):
        trainer(NormalizeInputs()).fit(Net(), DataLoader(TensorDataset(images, torch.arange(30)), 4))


class Dicts(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        valid = torch.arange(5) < 1 + i % 5
        return {"y": Y[i].double(), "x": torch.where(valid[:, None], X[i, :4].expand(5, 4), -1.0), "valid": valid}


def test_padding_is_neither_measured_nor_changed() -> None:
    normalizer = NormalizeInputs(key="x", dim=-1, mask="valid")
    net = fit(normalizer, train=DataLoader(Dicts(), 5), val=DataLoader(Dicts(), 5))
    assert normalizer.statistics is not None
    assert normalizer.statistics.count == sum(1 + i % 5 for i in range(12))
    seen, valid = net.watched("validate"), torch.stack([Dicts()[i]["valid"] for i in range(12)])
    assert (seen[~valid] == -1).all()
    assert seen[valid].mean(0).abs().max() < 1e-5


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize("limit", [None, 2])
def test_a_loader_without_length_is_read_to_its_end_or_its_limit(limit: int | None) -> None:
    normalizer = NormalizeInputs(limit_batches=limit)
    net = fit(normalizer, train=DataLoader(Stream(), 8))
    assert normalizer.statistics is not None
    assert normalizer.statistics.count == (30 if limit is None else 16)
    assert len(net.watched("train")) == 30


class Batches:
    """A loader of given batches."""

    def __init__(self, *inputs: Tensor) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Any:
        return iter([(x, Y[: len(x)]) for x in self.inputs])


class Empty(IterableDataset):
    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            Batches(torch.tensor([[1.0, torch.nan, 2.0, torch.inf]])),
            "must be finite, got NaN or infinity in features 1, 3",
        ),
        (Batches(torch.eye(4).to_sparse()), "sparse input"),
        (Batches(torch.ones(2, 4), torch.ones(2, 5)), "changes between batches: 4, then 5"),
        (DataLoader(Empty(), 8), "the training loader is empty"),
    ],
    ids=["nan", "sparse", "sizes", "empty"],
)
def test_inputs_that_cannot_be_measured_are_refused_before_training(train: Any, message: str) -> None:
    net = Watching()
    with pytest.raises(ValueError, match=message):
        trainer(NormalizeInputs(), num_sanity_val_steps=0).fit(net, train)
    assert net.seen == {}
    assert "on_after_batch_transfer" not in vars(net)


def test_a_batch_of_another_width_in_validation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"measured 4 features in dimension 1, but .* shape \(8, 5\)"):
        fit(NormalizeInputs(), val=loader(torch.ones(30, 5)))


@pytest.mark.parametrize("first", [False, True])
def test_the_finder_sees_normalized_batches_wherever_it_stands(first: bool) -> None:
    def losses(*callbacks: Any, scale: Tensor) -> list[float]:
        finder = LRFinder(num_steps=10, apply=False)
        order = [finder, *callbacks] if first else [*callbacks, finder]
        torch.manual_seed(0)
        fit(*order, train=loader(scale, shuffle=False), num_sanity_val_steps=0)
        assert finder.result is not None
        return finder.result.losses

    assert losses(NormalizeInputs(), scale=X) == pytest.approx(losses(scale=expected()), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"dim": 0}, ValueError, "`dim` must be the dimension of the features, not 0"),
        ({"dim": 1.0}, TypeError, "`dim` must be a whole number"),
        ({"eps": 0}, ValueError, "`eps` must be finite and > 0"),
        ({"key": 1.5}, TypeError, "`key` must be a name, an index or None"),
        ({"mask": ""}, ValueError, "`mask` must not be empty"),
        ({"limit_batches": 0}, ValueError, "`limit_batches` must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        NormalizeInputs(**arguments)


def test_a_loader_that_can_be_read_only_once_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match=r"can be read only once .* Return a DataLoader or a list"):
        fit(NormalizeInputs(), train=((x[None], y[None]) for x, y in zip(X, Y, strict=True)))
