"""The feature cache: bit-equal rows, reasons to build anew, kills, errors that leave nothing behind."""

import errno
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import load_ranks
from subprocesses import run_script
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lightning_tricks import FeatureDataset, cache_features
from lightning_tricks.data.cache_files import CacheFiles


class Backbone(nn.Module):
    """A small network with everything that eval mode changes, and a count of its calls."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.head = nn.Linear(16, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.head(self.drop(self.norm(self.conv(x)).relu()).flatten(1))


def data(rows: int = 22, seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(
        torch.randn(rows, 1, 4, 4, generator=generator), torch.arange(rows), torch.rand(rows, 2, generator=generator)
    )


def build(folder: Path, model: nn.Module | None = None, dataset: Any = None, **arguments: Any) -> FeatureDataset:
    loader = DataLoader(data() if dataset is None else dataset, batch_size=4)
    return cache_features(model or Backbone(), loader, folder / "cache", progress=False, **arguments)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize("layer", [None, "conv", "norm"])
@pytest.mark.parametrize("shard_rows", [None, 1, 9])
def test_rows_are_those_of_the_uncached_backbone_to_the_last_bit(
    tmp_path: Path, layer: str | None, shard_rows: int | None
) -> None:
    model, dataset = Backbone(), data()
    features = build(tmp_path, model, dataset, layer=layer, shard_rows=shard_rows)
    model.eval()
    expected = []
    for x, *_ in DataLoader(dataset, batch_size=4):
        with torch.no_grad():
            expected.append(model.norm(model.conv(x)) if layer == "norm" else model.conv(x) if layer else model(x))
    for i, row in enumerate(torch.cat(expected)):
        found = features[i]
        assert torch.equal(found[0], row)
        assert all(torch.equal(a, b) for a, b in zip(found[1:], dataset[i][1:], strict=True))
    assert len(features) == 22
    assert torch.equal(features[-1][0], features[21][0])


def test_an_epoch_on_the_cache_equals_one_through_the_backbone(tmp_path: Path) -> None:
    features = build(tmp_path)
    batches = list(DataLoader(features, batch_size=5))
    assert [len(batch[0]) for batch in batches] == [5, 5, 5, 5, 2]
    for workers in (0, 1):
        again = list(DataLoader(features, batch_size=5, num_workers=workers))
        assert all(
            torch.equal(a, b) for one, two in zip(batches, again, strict=True) for a, b in zip(one, two, strict=True)
        )
    assert torch.equal(torch.cat([batch[0] for batch in batches]), torch.stack([features[i][0] for i in range(22)]))


def test_the_model_the_generators_and_the_rows_are_left_as_they_were(tmp_path: Path) -> None:
    model = Backbone()
    model.norm.eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.random.get_rng_state(), random.getstate()
    features = build(tmp_path, model)
    assert (model.training, model.norm.training, model.drop.training) == (True, False, True)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    features[3][0].zero_()
    assert features[3][0].abs().sum() > 0


def test_the_same_call_again_reads_and_runs_no_model(tmp_path: Path) -> None:
    build(tmp_path)
    model = Backbone()
    assert len(build(tmp_path, model)) == 22
    assert model.calls == 0
    assert build(tmp_path).manifest["reason"] == "new"
    assert leftovers(tmp_path) == {"cache"}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"manifest.json", "0.bin", "1.bin", "2.bin"}


class Renamed(Backbone):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("model", "dataset", "arguments", "reason"),
    [
        (Backbone(1), data(), {}, "the weights changed"),
        (Renamed(), data(), {}, "the model changed"),
        (Backbone(), data(seed=1), {}, "the data changed"),
        (Backbone(), data(21), {}, "the data changed"),
        (Backbone(), data(), {"layer": "conv"}, "`layer` changed"),
        (Backbone(), data(), {"copies": 2}, "`copies` changed"),
    ],
)
def test_another_model_data_or_layer_is_built_anew_with_the_reason(
    tmp_path: Path, model: nn.Module, dataset: Any, arguments: dict[str, Any], reason: str
) -> None:
    before = build(tmp_path)[0][0].clone()
    features = build(tmp_path, model, dataset, **arguments)
    assert features.manifest["reason"] == reason
    assert torch.equal(features[0][0], before) == (len(features) != 22)  # less or more of the same rows
    assert leftovers(tmp_path) == {"cache"}


def test_one_changed_number_in_a_row_is_another_dataset(tmp_path: Path) -> None:
    rows = [(x, y) for x, y, _ in data()]
    build(tmp_path, dataset=rows)
    rows[13] = (rows[13][0] + torch.eye(4), rows[13][1])
    assert build(tmp_path, dataset=rows).manifest["reason"] == "the data changed"


class Noisy(Dataset[Tensor]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> Tensor:
        return torch.full((1,), float(row)) + torch.rand(1) / 2


@pytest.mark.parametrize("workers", [0, 1])
def test_copies_take_augmented_rows_anew_and_are_recognized(tmp_path: Path, workers: int) -> None:
    loader = DataLoader(Noisy(), batch_size=2, num_workers=workers)
    features = cache_features(nn.Flatten(), loader, tmp_path / "cache", copies=3, progress=False)
    assert len(features) == 18
    values = torch.stack([features[i][0] for i in range(18)]).view(3, 6)
    assert values.floor().tolist() == [list(range(6))] * 3
    assert len(values.unique()) == 18
    again = cache_features(nn.Flatten(), loader, tmp_path / "cache", copies=3, progress=False)
    assert again.manifest["reason"] == "new"
    other = cache_features(nn.Flatten(), loader, tmp_path / "cache", copies=3, seed=1, progress=False)
    assert other.manifest["reason"] == "`seed` changed"


class Text(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        assert labels is None
        return input_ids.float() * attention_mask


def test_of_a_mapping_the_model_gets_what_its_forward_names_and_the_rest_is_stored(tmp_path: Path) -> None:
    rows = [{"input_ids": torch.tensor([i, 2]), "labels": i, "attention_mask": torch.tensor([1, 0]), "index": 10 * i}
            for i in range(5)]  # fmt: skip
    features = build(tmp_path, Text(), rows)
    assert [part["name"] for part in features.manifest["parts"]] == ["features", "labels", "index"]
    assert [value.tolist() for value in features[3]] == [[3.0, 0.0], 3, 30]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_features_keep_their_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    rows = [torch.tensor([i, 0]).to(dtype) for i in range(5)]
    features = build(tmp_path, nn.Identity(), rows)
    assert torch.equal(features[3][0], rows[3])
    assert torch.equal(pickle.loads(pickle.dumps(features))[4][0], rows[4])


def in_a_child(work: Callable[[], object]) -> int:
    """Work in a fork of this process, which does not return; return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def test_a_killed_writer_leaves_a_whole_cache_or_none_and_is_continued(tmp_path: Path) -> None:
    """A hundred kills at random moments; between two kills a reader looks at what is there."""
    drawn, whole, dataset = random.Random(0), 0, data(48)
    expected = {seed: build(tmp_path / f"e{seed}", Backbone(seed), dataset) for seed in (0, 1)}

    def rows_of(features: FeatureDataset) -> list[Tensor]:
        return [torch.stack(part) for part in zip(*features.__getitems__(range(48)), strict=True)]

    start = time.perf_counter()
    os.waitpid(in_a_child(lambda: build(tmp_path / "first", Backbone(0), dataset, shard_rows=12)), 0)
    needed = time.perf_counter() - start
    for kill in range(100):
        seed = kill // 8 % 2  # weights that change now and then, so that a cache is replaced
        child = in_a_child(lambda seed=seed: build(tmp_path, Backbone(seed), dataset, shard_rows=12))
        time.sleep(drawn.uniform(0, needed))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (tmp_path / "cache" / "manifest.json").exists():
            found = FeatureDataset(tmp_path / "cache")
            assert len(found) == 48
            weights = found.manifest["fingerprints"]["weights"]
            (source,) = [built for built in expected.values() if built.manifest["fingerprints"]["weights"] == weights]
            assert all(map(torch.equal, rows_of(found), rows_of(source)))
            whole += 1
    for seed in (0, 1):  # whichever of the two was being written is finished
        features = build(tmp_path, Backbone(seed), dataset, shard_rows=12)
    assert all(torch.equal(features[i][0], expected[1][i][0]) for i in range(48))
    assert leftovers(tmp_path) == {"cache", "e0", "e1", "first"}
    assert whole > 0


def test_finished_shards_are_kept_and_damaged_ones_are_written_again(tmp_path: Path) -> None:
    class Interrupted(Backbone):
        def forward(self, x: Tensor) -> Tensor:
            if self.calls == 4:  # the first batch runs twice: it tells the shapes
                raise KeyboardInterrupt
            return super().forward(x)

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, Interrupted(), shard_rows=4)
    unfinished = tmp_path / ".cache.unfinished"
    assert len(list(unfinished.glob("shard-*.json"))) == 3
    with pytest.raises(FileNotFoundError, match="no feature cache in"):
        FeatureDataset(tmp_path / "cache")
    with (unfinished / "0.bin").open("r+b") as file:  # the disk lost a byte of shard 1
        file.seek(4 * 12 + 5)
        file.write(b"\xff")
    model = Interrupted()
    model.calls = -100
    features = build(tmp_path, model, shard_rows=4)
    assert model.calls + 100 == 1 + 6 - 2
    expected = build(tmp_path / "other", Interrupted.__base__())
    assert all(torch.equal(features[i][0], expected[i][0]) for i in range(22))


def test_two_processes_share_the_shards(tmp_path: Path) -> None:
    finished = run_script("cache_ranks", tmp_path)
    assert finished.returncode == 0, finished.stderr
    first, second = load_ranks(tmp_path)
    assert torch.equal(first["features"], second["features"])
    assert first["calls"] == second["calls"] == 1 + 3
    assert "Another process failed: rank 1: no more rows" in first["error"]
    assert second["error"] == "no more rows"
    assert leftovers(tmp_path) == {"cache", "rank0.pt", "rank1.pt"}


class Fails(Dataset[Tensor]):
    """Rows of which one is of another length, or not finite."""

    def __init__(self, bad: Tensor) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 12

    def __getitem__(self, row: int) -> Tensor:
        return self.bad if row >= 8 else torch.zeros(2)


class NeedsLabels(nn.Module):
    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return x


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(3))


ROWS = DataLoader(data(), batch_size=4)


@pytest.mark.parametrize(
    ("model", "loader", "arguments", "error", "message"),
    [
        (Backbone(), [1, 2], {}, TypeError, r"`loader` must be a DataLoader, got \[1, 2\]"),
        (Backbone(), DataLoader(Stream()), {}, TypeError, "map-style dataset, got an iterable-style one"),
        (Backbone(), DataLoader(data(), 4, shuffle=True), {}, ValueError, "dataset's order.*has a RandomSampler"),
        (Backbone(), DataLoader(data(), None), {}, ValueError, "batches of `batch_size` rows"),
        (Backbone(), DataLoader(data(3), 4, drop_last=True), {}, ValueError, "at least one batch, got none of 3"),
        (Backbone(), ROWS, {"layer": "con"}, ValueError, "got 'con'; for instance 'conv'"),
        (Backbone(), ROWS, {"copies": 0}, ValueError, "`copies` must be at least 1"),
        (Backbone(), ROWS, {"shard_rows": 0}, ValueError, "`shard_rows` must be at least 1"),
        (len, ROWS, {}, TypeError, "`model` must be a module"),
        (NeedsLabels(), ROWS, {}, TypeError, "needs x, labels, but receives only the first part.*without labels"),
        (NeedsLabels(), DataLoader([{"x": 1.0, "labels": 2}]), {}, TypeError, "NeedsLabels needs labels"),
        (nn.Identity(), DataLoader([{"x": 1.0, "y": 2}]), {}, TypeError, "needs input, but the batch has x, y"),
        (nn.Identity(), DataLoader(Fails(torch.zeros(3)), 4), {}, ValueError, r"changes its shape.*from row 8 on"),
        (nn.Identity(), DataLoader(Fails(torch.tensor([1.0, float("nan")])), 4), {}, ValueError, "must be finite"),
        (nn.LSTM(2, 2), DataLoader(torch.zeros(4, 3, 2)), {}, TypeError, "must be a tensor, got tuple.*`layer`"),
        (
            nn.Flatten(0),
            DataLoader(torch.zeros(4, 2), 2),
            {},
            ValueError,
            r"one row per row of the batch, 2, got.*\(4,\)",
        ),
        (
            nn.Identity(),
            DataLoader([(1.0, "a")]),
            {},
            TypeError,
            "Part `1` of a batch must be a tensor, got (tuple|list)",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused_and_nothing_is_written(
    tmp_path: Path, model: Any, loader: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cache_features(model, loader, tmp_path / "cache", progress=False, **arguments)
    assert leftovers(tmp_path) == set()


def test_a_folder_with_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="`dirpath` must be a new folder or a feature cache"):
        build(tmp_path)
    assert (tmp_path / "cache" / "thesis.txt").read_text() == "precious"


def test_a_disk_that_is_too_small_is_noticed_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    old = build(tmp_path)[0][0]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(OSError, match=r"needs 616 B for .*cache, but only 100 B are free; choose another disk"):
        build(tmp_path, Backbone(1))
    assert leftovers(tmp_path) == {"cache"}
    assert torch.equal(FeatureDataset(tmp_path / "cache")[0][0], old)


def test_a_disk_that_becomes_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: CacheFiles, first_row: int, tensors: list[Tensor]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(CacheFiles, "write", full)
    with pytest.raises(OSError, match="No space left"):
        build(tmp_path)
    assert leftovers(tmp_path) == set()


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_damage_is_refused_by_the_reader_and_mended_by_the_writer(tmp_path: Path, damage: str) -> None:
    expected = [row[0].clone() for row in build(tmp_path)]
    file = tmp_path / "cache" / "0.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(RuntimeError, match=r"is damaged: .*call `cache_features` to rebuild it"):
        FeatureDataset(tmp_path / "cache")
    features = build(tmp_path)
    assert features.manifest["reason"].startswith("it is damaged")
    assert all(torch.equal(row[0], known) for row, known in zip(features, expected, strict=True))


def test_a_cache_of_another_version_is_refused_and_built_anew(tmp_path: Path) -> None:
    build(tmp_path)
    manifest = tmp_path / "cache" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(RuntimeError, match="has format 99, but this version reads 1"):
        FeatureDataset(tmp_path / "cache")
    assert build(tmp_path).manifest["reason"] == "it has format 99, not 1"


def test_two_programs_do_not_build_one_cache_at_once(tmp_path: Path) -> None:
    class Nested(Backbone):
        def forward(self, x: Tensor) -> Tensor:
            with pytest.raises(RuntimeError, match="Another program is building the feature cache"):
                build(tmp_path, Backbone(1))
            return super().forward(x)

    assert len(build(tmp_path, Nested(), data(4))) == 4


def test_the_bar_names_the_disk_space_and_the_reason(tmp_path: Path, capfd: Any) -> None:
    cache_features(Backbone(), ROWS, tmp_path / "cache")
    assert "cache_features: 616 B in cache (new)" in capfd.readouterr().err
    cache_features(Backbone(1), ROWS, tmp_path / "cache")
    assert "(the weights changed)" in capfd.readouterr().err
