"""Cache writer: build a feature cache shard by shard in a temporary folder, and rename it when it is complete.

Each finished shard has its own file with its checksums; if the program is killed, the next writer with the same
fingerprints keeps these shards and writes the others. A reader sees a complete cache or none.
"""

import contextlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_tricks.data.cache_files import MANIFEST, CacheFiles, read_json, write_json

_PLAN = "plan.json"


class CacheWriter:
    """Write the shards of a cache.

    Args:
        dirpath: the folder of the cache.
        plan: the contents of the cache; an unfinished cache with the same plan is continued.
        files: the files of the rows before the rename.
    """

    def __init__(self, dirpath: Path, plan: dict[str, Any], files: CacheFiles) -> None:
        self.dirpath, self.plan, self.files = dirpath, plan, files

    def prepare(self) -> None:
        """Reserve the disk space, unless an unfinished cache with the same plan exists.

        Raises:
            OSError: there is not enough disk space.
        """
        folder = self.files.folder
        described = self.plan | self.files.describe()
        if read_json(folder / _PLAN) == described:
            return
        discard(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if self.files.num_bytes > free:
            raise OSError(
                f"`cache_features` needs {size_of(self.files.num_bytes)} for {self.dirpath}, but only {size_of(free)} "
                f"are free; choose another disk, a smaller layer, or fewer `copies`."
            )
        folder.mkdir()
        try:
            self.files.reserve()
            write_json(folder / _PLAN, described)
        except OSError:
            discard(folder)
            raise

    def missing_shards(self) -> list[int]:
        """Return the shards that are not yet written, or whose rows differ from their checksums."""
        return [shard for shard in range(self.files.num_shards) if self._recorded(shard) is None]

    def _recorded(self, shard: int) -> list[int] | None:
        record = read_json(self._record(shard))
        if record is None or record.get("checksums") != self.files.checksums(self.files.shard(shard)):
            return None
        return list(record["checksums"])

    def _record(self, shard: int) -> Path:
        return self.files.folder / f"shard-{shard}.json"

    def write(self, first_row: int, tensors: list[Tensor]) -> None:
        """Write the rows of a batch."""
        self.files.write(first_row, tensors)

    def finish_shard(self, shard: int) -> None:
        """Record that all rows of a shard are on disk."""
        self.files.sync()
        write_json(self._record(shard), {"checksums": self.files.checksums(self.files.shard(shard))})

    def publish(self, reason: str) -> None:
        """Move the complete cache to its final folder, and remove an existing one.

        Args:
            reason: the reason for building the cache, for the manifest.

        Raises:
            RuntimeError: a shard is missing or damaged.
        """
        records = [self._recorded(shard) for shard in range(self.files.num_shards)]
        if None in records:
            raise RuntimeError(
                f"Shard {records.index(None)} of {self.dirpath} was not written; call `cache_features` again."
            )
        folder = self.files.folder
        write_json(folder / MANIFEST, self.plan | self.files.describe() | {"reason": reason, "checksums": records})
        old = replaced_folder(self.dirpath)
        discard(old)
        if self.dirpath.exists():
            self.dirpath.rename(old)
        folder.rename(self.dirpath)
        discard(old)
        for name in (_PLAN, *(self._record(shard).name for shard in range(len(records)))):
            (self.dirpath / name).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder if it exists."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def replaced_folder(dirpath: Path) -> Path:
    """Return the folder of an earlier cache while it is being replaced; it remains if the program is killed then."""
    return dirpath.with_name(f".{dirpath.name}.old")


def unfinished_folder(dirpath: Path) -> Path:
    """Return the folder in which a cache is built."""
    return dirpath.with_name(f".{dirpath.name}.unfinished")


def size_of(num_bytes: int) -> str:
    """Return a number of bytes as text.

    Example:
        >>> size_of(3_680_256)
        '3.7 MB'
    """
    if num_bytes < 1000:
        return f"{num_bytes} B"
    exponent = min(4, int(math.log10(num_bytes)) // 3)
    return f"{num_bytes / 1000**exponent:.1f} {('kB', 'MB', 'GB', 'TB')[exponent - 1]}"


@contextlib.contextmanager
def only_writer(dirpath: Path) -> Iterator[None]:
    """Hold the lock of a cache, so that two programs do not build it at the same time.

    Raises:
        RuntimeError: another program holds it.
    """
    dirpath.parent.mkdir(parents=True, exist_ok=True)
    lock = dirpath.with_name(f".{dirpath.name}.lock")
    with lock.open("a") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"Another program is building the feature cache in {dirpath}; wait until it is done, or choose another "
                f"folder."
            ) from None
        except (ModuleNotFoundError, OSError):  # Windows, or a file system without locks
            pass
        yield
