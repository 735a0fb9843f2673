"""Look ledger: a record of every use of the test set, as a JSON file that is robust to damage and interruption."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightning_tricks.core.atomic_files import write_atomically

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Look:
    """One use of the test set.

    Attributes:
        when: local time with the offset from UTC, ISO 8601.
        fingerprint: a digest of the configuration and the hyper-parameters, not of the weights.
        weights: the origin of the weights (``ckpt_path``) and a digest of them.
        metrics: the metrics that ``trainer.test`` returns; ``None`` for a non-finite value.
        settings: the hyper-parameters and overrides behind the fingerprint, as text.
    """

    when: str
    fingerprint: str
    weights: dict[str, str | None] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a digest of settings that is the same in every process and independent of the order of keys.

    Example:
        >>> fingerprint({"lr": "0.1", "width": "8"}) == fingerprint({"width": "8", "lr": "0.1"})
        True
        >>> fingerprint({"lr": "0.1"}) == fingerprint({"lr": "0.2"})
        False
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def finite_or_none(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return values for strict JSON, with ``None`` for non-finite values."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def read_looks(path: Path) -> list[Look]:
    """Return the looks in a ledger; none if the file does not exist.

    Raises:
        ValueError: the file is not a ledger.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return [Look(**look) for look in plain["looks"]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:  # not JSON, or JSON of another form
        raise ValueError(f"{path} is not a ledger of test looks: {error}") from error


def add_look(path: Path, look: Look) -> tuple[list[Look], Path | None]:
    """Append a look to a ledger, atomically.

    Args:
        path: the ledger; a file that is not a readable ledger is kept under another name.
        look: the new entry.

    Returns:
        All looks, and the new name of a damaged ledger (``None`` if it was intact).

    Raises:
        OSError: the ledger cannot be written.
    """
    moved = None
    try:
        looks = read_looks(path)
    except ValueError:
        moved, looks = _free_name(path), []
        path.rename(moved)
    looks.append(look)
    plain = {"schema_version": SCHEMA_VERSION, "looks": [asdict(entry) for entry in looks]}
    write_atomically(path, json.dumps(plain, indent=1, allow_nan=False))
    return looks, moved


def _free_name(path: Path) -> Path:
    number = 1
    while (name := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return name
