"""Cache files: the layout of rows of tensors on disk, one file per part, with checksums of shards of rows."""

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_tricks.core.atomic_files import replace_file

FORMAT = 1
"""The version of the file layout; increased when older versions could not read the files."""
MANIFEST = "manifest.json"


class Part(NamedTuple):
    """One entry of each row: the features, the target, ..."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return math.prod(self.shape) * dtype.itemsize

    @classmethod
    def of(cls, name: str, rows: Tensor) -> "Part":
        """Describe the rows of a batch, ``(B, *)``."""
        return cls(name, str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:]))


class CacheFiles:
    """The files of a cache in a folder.

    Args:
        folder: their folder.
        parts: the entries of a row.
        rows_per_copy: rows of one pass through the data.
        copies: number of passes.
        shard_rows: rows per shard, the unit of writing and checking; no shard has rows of two passes.
    """

    def __init__(self, folder: Path, parts: list[Part], rows_per_copy: int, copies: int, shard_rows: int) -> None:
        self.folder, self.parts = folder, parts
        self.rows_per_copy, self.copies, self.shard_rows = rows_per_copy, copies, shard_rows
        self.num_rows = rows_per_copy * copies

    @classmethod
    def from_manifest(cls, folder: Path, manifest: dict[str, Any]) -> "CacheFiles":
        """Return the files that a manifest describes."""
        parts = [Part(part["name"], part["dtype"], tuple(part["shape"])) for part in manifest["parts"]]
        return cls(folder, parts, manifest["rows_per_copy"], manifest["copies"], manifest["shard_rows"])

    def describe(self) -> dict[str, Any]:
        """Return the input of :meth:`from_manifest`."""
        parts = [part._asdict() | {"shape": list(part.shape)} for part in self.parts]
        return {
            "format": FORMAT,
            "parts": parts,
            "num_rows": self.num_rows,
            "rows_per_copy": self.rows_per_copy,
            "copies": self.copies,
            "shard_rows": self.shard_rows,
        }

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows."""
        return self.num_rows * sum(part.row_bytes for part in self.parts)

    @property
    def num_shards(self) -> int:
        """Shards of all passes."""
        return self.copies * self._shards_per_copy

    @property
    def _shards_per_copy(self) -> int:
        return math.ceil(self.rows_per_copy / self.shard_rows)

    def shard(self, index: int) -> range:
        """Return the rows of a shard."""
        copy, place = divmod(index, self._shards_per_copy)
        first = copy * self.rows_per_copy
        start = first + place * self.shard_rows
        return range(start, min(start + self.shard_rows, first + self.rows_per_copy))

    def path(self, part: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"{part}.bin"

    def reserve(self) -> None:
        """Create the files with their full length, so that a full disk is detected before the work.

        Raises:
            OSError: the disk is full.
        """
        for i, part in enumerate(self.parts):
            with self.path(i).open("wb") as file:
                size = self.num_rows * part.row_bytes
                if hasattr(os, "posix_fallocate") and size:
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)

    def write(self, first_row: int, tensors: list[Tensor]) -> None:
        """Write rows to their positions."""
        for i, (part, rows) in enumerate(zip(self.parts, tensors, strict=True)):
            if part.row_bytes:
                with self.path(i).open("r+b") as file:
                    file.seek(first_row * part.row_bytes)
                    file.write(bytes_of(rows))

    def sync(self) -> None:
        """Wait until everything is written to disk."""
        for i in range(len(self.parts)):
            with self.path(i).open("r+b") as file:
                os.fsync(file.fileno())

    def checksums(self, rows: range) -> list[int]:
        """Return a checksum of these rows in each part, as stored on disk."""
        return [self._checksum(i, part, rows) for i, part in enumerate(self.parts)]

    def _checksum(self, index: int, part: Part, rows: range) -> int:
        left, total = len(rows) * part.row_bytes, 0
        with self.path(index).open("rb") as file:
            file.seek(rows.start * part.row_bytes)
            while left and (block := file.read(min(left, 1 << 20))):
                total = zlib.crc32(block, total)
                left -= len(block)
        return total if not left else -1

    def map(self) -> list[Tensor]:
        """Return each part as a memory-mapped tensor ``(num_rows, *)``; writes to it stay in memory."""
        return [self._map(i, part) for i, part in enumerate(self.parts)]

    def _map(self, index: int, part: Part) -> Tensor:
        dtype, shape = getattr(torch, part.dtype), (self.num_rows, *part.shape)
        if not part.row_bytes:
            return torch.empty(shape, dtype=dtype)
        return torch.from_file(str(self.path(index)), shared=False, size=math.prod(shape), dtype=dtype).view(shape)


def bytes_of(rows: Tensor) -> memoryview:
    """Return the memory of a tensor on the host."""
    flat: Any = rows.detach().cpu().contiguous().resolve_conj().resolve_neg().view(-1).view(torch.uint8).numpy()
    return memoryview(flat)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the contents of a JSON file; ``None`` if it is missing, incomplete, or of another form."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file such that it exists completely or not at all, even after a power failure."""
    unfinished = path.with_name(f"{path.name}.tmp{os.getpid()}")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    replace_file(unfinished, path)
