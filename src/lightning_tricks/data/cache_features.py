"""Cache features: run a frozen network once over a dataset, and train on its outputs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from lightning_tricks.core.arguments import check_count, check_flag, check_text, shown_with_type
from lightning_tricks.core.object_snapshot import remember_random_state
from lightning_tricks.data.cache_files import FORMAT, MANIFEST, CacheFiles, Part, read_json
from lightning_tricks.data.cache_writer import (
    CacheWriter,
    discard,
    only_writer,
    replaced_folder,
    size_of,
    unfinished_folder,
)
from lightning_tricks.data.cached_batches import check_loader, read_batches, rows_of, rows_to_cache
from lightning_tricks.data.feature_dataset import FeatureDataset, find_damage
from lightning_tricks.data.fingerprints import digest, fingerprint_code, fingerprint_data, fingerprint_model
from lightning_tricks.data.rank_agreement import on_all_ranks, on_rank_zero, rank_and_world_size
from lightning_tricks.functional.layer_output import find_layer

_SHARD_BYTES = 64_000_000


def cache_features(
    model: nn.Module,
    loader: "DataLoader[Any]",
    dirpath: str | Path,
    *,
    layer: str | None = None,
    copies: int = 1,
    seed: int = 0,
    shard_rows: int | None = None,
    progress: bool = True,
) -> FeatureDataset:
    """Run a loader once through a model and store the outputs on disk; repeating the call opens them.

    *Use when* a backbone is frozen and its inputs do not change from epoch to epoch: an epoch on its features is very
    cheap. The features are computed in eval mode, without a gradient, in the loader's own batches, and are bit for bit
    the outputs of the frozen backbone on the same machine.

    If the weights, the model, the data, the layer or the copies differ, the cache is rebuilt in a temporary folder,
    which replaces the old one when it is complete. If the program is killed, the same call continues after the finished
    shards. Under ``torch.distributed``, each process computes a share of the shards; all must see the same folder.
    Datasets of more than 10,000 rows are identified by 10,000 of their rows, and datasets with random rows only by
    their length and class: if such data have changed, delete the folder.

    Args:
        model: receives the first part of each batch or, for a mapping, the entries that its ``forward`` names (except
            labels). It is put into eval mode during the call, and computes on its own device.
        loader: a ``DataLoader`` over a map-style dataset, in the dataset's order. All other parts of a batch must be
            tensors and are stored unchanged.
        dirpath: the folder of the cache; its parent is created if necessary.
        layer: name of the submodule whose output is stored; ``None``: the model's own output.
        copies: passes through the loader, for a dataset with augmentation; row i of pass k is row ``k * N + i``.
        seed: seed of the augmentation.
        shard_rows: maximum number of rows that are lost if the program is killed, rounded up to whole batches;
            ``None``: about 64 MB.
        progress: show a progress bar with the completed rows, the disk space and the reason for building.

    Returns:
        The rows, each ``(features, *other parts)``.

    Raises:
        TypeError: an argument has the wrong type, the model needs labels or several inputs, or parts are not tensors.
        ValueError: the loader is shuffled, the layer does not exist, features change shape or are not finite, or the
            folder contains something else.
        OSError: there is not enough disk space; nothing is left behind.
        RuntimeError: another program is building this cache, or another process of the run has failed.

    Example:
        >>> import tempfile, torch
        >>> from torch.utils.data import TensorDataset
        >>> data = TensorDataset(torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 0]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     features = cache_features(nn.Flatten(), DataLoader(data, batch_size=2), f"{folder}/a", progress=False)
        ...     len(features), features[1]
        (3, (tensor([2., 3.]), tensor(1)))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module, got {shown_with_type(model)}.")
    check_loader(loader)
    if isinstance(dirpath, str):
        check_text("dirpath", dirpath)
    find_layer(model, layer)
    check_flag("progress", progress)
    if shard_rows is not None:
        check_count("shard_rows", shard_rows, 1)
    plan: dict[str, Any] = {"layer": layer, "copies": check_count("copies", copies, 1)}
    plan["seed"] = check_count("seed", seed, 0)
    folder = Path(dirpath).absolute()
    with _eval_mode(model):
        plan["fingerprints"] = on_rank_zero(lambda: _fingerprints(model, loader))
        reason = on_rank_zero(lambda: _reason_to_build(folder, plan))
        if reason is not None:
            with contextlib.ExitStack() as stack:
                on_rank_zero(lambda: stack.enter_context(only_writer(folder)))
                _Build(model, loader, folder, plan, shard_rows).run(reason, progress)
        else:
            on_rank_zero(lambda: discard(replaced_folder(folder)))
    return FeatureDataset(folder, verify=False)  # an existing cache has been verified


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode, and restore its modes and the global generators afterwards."""
    restore = remember_random_state()
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        restore()


def _fingerprints(model: nn.Module, loader: "DataLoader[Any]") -> dict[str, str]:
    data = [fingerprint_data(loader.dataset), fingerprint_code(loader.collate_fn), rows_of(loader)]
    return {**fingerprint_model(model), "data": digest(data)}


def _reason_to_build(folder: Path, plan: dict[str, Any]) -> str | None:
    """Return why the cache in a folder is not the requested one; ``None`` if it is.

    Raises:
        ValueError: the folder contains something else.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"`dirpath` must be a new folder or a feature cache, got {folder}, which is neither.")
        return "new"
    if manifest.get("format") != FORMAT:
        return f"it has format {manifest.get('format')}, not {FORMAT}"
    known = manifest["fingerprints"]
    changed = [f"the {name}" for name, value in plan["fingerprints"].items() if known.get(name) != value]
    changed += [f"`{name}`" for name in ("layer", "copies", "seed") if manifest.get(name) != plan[name]]
    if changed:
        return f"{' and '.join(changed)} changed"
    damage = find_damage(CacheFiles.from_manifest(folder, manifest), manifest["checksums"])
    return f"it is damaged: {damage}" if damage else None


class _Build:
    """Write a cache; each process writes its share of the shards."""

    def __init__(
        self, model: nn.Module, loader: "DataLoader[Any]", folder: Path, plan: dict[str, Any], shard_rows: int | None
    ) -> None:
        self.model, self.loader, self.folder, self.layer = model, loader, folder, plan["layer"]
        rows, batch_size = rows_of(loader), loader.batch_size or 1
        first = rows_to_cache(model, self.layer, next(read_batches(loader, list(range(min(batch_size, rows))), 0)))
        parts = [Part.of(name, tensor) for name, tensor in first.items()]
        row_bytes = max(1, sum(part.row_bytes for part in parts))
        wanted = min(rows, max(1, _SHARD_BYTES // row_bytes) if shard_rows is None else shard_rows)
        whole_batches = -(-wanted // batch_size) * batch_size
        self.files = CacheFiles(unfinished_folder(folder), parts, rows, plan["copies"], whole_batches)
        self.seed = plan["seed"]
        self.writer = CacheWriter(folder, plan | {"batch_size": batch_size}, self.files)

    def run(self, reason: str, progress: bool) -> None:
        """Write the missing shards and move the cache to its folder; after an error, nothing is left behind."""
        rank, _ = rank_and_world_size()
        on_rank_zero(self.writer.prepare)
        missing = on_rank_zero(self.writer.missing_shards)
        try:
            on_all_ranks(lambda: self._write(missing, reason, progress and rank == 0))
            on_rank_zero(lambda: self.writer.publish(reason))
        except Exception:
            if rank == 0:
                discard(self.files.folder)
            raise

    def _write(self, missing: list[int], reason: str, progress: bool) -> None:
        rank, world_size = rank_and_world_size()
        total = sum(len(self.files.shard(shard)) for shard in missing)
        title = f"cache_features: {size_of(self.files.num_bytes)} in {self.folder.name} ({reason})"
        # tqdm is not used without a bar: its lock is shared with forked processes and stays locked if one is killed
        with tqdm(total=total, desc=title, unit="row") if progress else contextlib.nullcontext() as bar:
            for shard in missing[rank::world_size]:
                for row, tensors in self._rows(shard):
                    self.writer.write(row, tensors)
                    if bar is not None:
                        bar.update(min(len(tensors[0]) * world_size, total - bar.n))
                self.writer.finish_shard(shard)

    def _rows(self, shard: int) -> Iterator[tuple[int, list[Tensor]]]:
        """Compute the rows of a shard batch by batch, as the number of the first row and its parts."""
        rows = self.files.shard(shard)
        row = rows.start
        of_data = [number % self.files.rows_per_copy for number in rows]
        for batch in read_batches(self.loader, of_data, (self.seed * 1_000_003 + shard) % 2**63):
            found = rows_to_cache(self.model, self.layer, batch)
            for part, (name, tensor) in zip(self.files.parts, found.items(), strict=True):
                if Part.of(name, tensor) != part:
                    raise ValueError(
                        f"Part `{name}` changes its shape: {part.dtype} {part.shape} per row at first, but "
                        f"{Part.of(name, tensor)[1:]} from row {row} on; crop or pad the inputs, or name a layer "
                        "after pooling."
                    )
            yield row, list(found.values())
            row += len(found["features"])
        if row != rows.stop:
            raise ValueError(
                f"The loader returned {row - rows.start} rows for {len(rows)} rows of the dataset; check its "
                f"`collate_fn`."
            )
