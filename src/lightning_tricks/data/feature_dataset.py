"""Feature dataset: the rows of a feature cache, read from memory-mapped files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from lightning_tricks.core.arguments import check_flag
from lightning_tricks.data.cache_files import FORMAT, MANIFEST, CacheFiles, read_json


class FeatureDataset(Dataset[tuple[Tensor, ...]]):
    """The rows that :func:`cache_features` wrote: features, and the other parts of each batch.

    Rows are read from disk on access, so a cache may be larger than memory. Worker processes
    share the file cache of the operating system.

    Args:
        dirpath: the folder of the cache.
        verify: compare the files with their checksums once at construction, which reads all of them. Worker processes
            do not repeat this.

    Raises:
        FileNotFoundError: there is no cache.
        RuntimeError: it was written by another version, or its files are damaged.

    Attributes:
        manifest: the description of the cache: ``fingerprints``, ``layer``, ``copies``, ``parts``, ``num_rows``,
            ``checksums``, and ``reason``, the reason for building it.

    Example::

        features = FeatureDataset("features/train")
        loader = DataLoader(features, batch_size=64, shuffle=True)
    """

    def __init__(self, dirpath: str | Path, *, verify: bool = True) -> None:
        self.dirpath = Path(dirpath)
        check_flag("verify", verify)
        manifest = read_json(self.dirpath / MANIFEST)
        if manifest is None:
            raise FileNotFoundError(f"There is no feature cache in {self.dirpath}; `cache_features` writes one.")
        if manifest.get("format") != FORMAT:
            raise RuntimeError(
                f"The feature cache in {self.dirpath} has format {manifest.get('format')}, but this version reads "
                f"{FORMAT}; call `cache_features` to rebuild it, or use the version that wrote it."
            )
        self.manifest: dict[str, Any] = manifest
        self._files = CacheFiles.from_manifest(self.dirpath, manifest)
        damage = find_damage(self._files, manifest["checksums"] if verify else None)
        if damage:
            raise RuntimeError(
                f"The feature cache in {self.dirpath} is damaged: {damage}; call `cache_features` to rebuild it."
            )
        self._parts = self._files.map()

    def __len__(self) -> int:
        return self._files.num_rows

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows on disk."""
        return self._files.num_bytes

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} rows, got index {index}.")
        return tuple(part[index].clone() for part in self._parts)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """Return several rows at once, which is faster than one by one; called by a ``DataLoader``."""
        return list(zip(*(part[list(indices)].unbind() for part in self._parts), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Omit the mapped files, because another process maps them itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_parts"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._parts = self._files.map()


def find_damage(files: CacheFiles, checksums: Sequence[Sequence[int]] | None) -> str | None:
    """Describe what is wrong with the files of a cache; without checksums, only their sizes are checked."""
    for i, part in enumerate(files.parts):
        expected = files.num_rows * part.row_bytes
        actual = files.path(i).stat().st_size if files.path(i).is_file() else None
        if actual != expected:
            return f"{files.path(i).name} has {actual} bytes, not {expected}"
    for shard, known in enumerate(checksums or ()):
        rows = files.shard(shard)
        if files.checksums(rows) != list(known):
            return f"rows {rows.start} to {rows.stop - 1} differ from their checksum"
    return None
