"""Run record: the results of a run, as data that can be stored as JSON and displayed in a notebook."""

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lightning_tricks.reports.run_data import SCHEMA_VERSION, RunData
from lightning_tricks.reports.run_page import show_fragment


@dataclass(frozen=True, repr=False)
class RunRecord(RunData):
    """The results of a run; :class:`RunData` documents the attributes.

    Example:
        >>> record = RunRecord("Net", steps=3, seconds=2.5)
        >>> RunRecord.from_json(record.to_json()) == record
        True
    """

    def to_json(self, **arguments: Any) -> str:
        """Return strict JSON with ``null`` for non-finite values; ``arguments`` are passed to ``json.dumps``."""
        return json.dumps(_strict(asdict(self)), allow_nan=False, **arguments)

    @classmethod
    def from_json(cls, text: str) -> "RunRecord":
        """Read the output of :meth:`to_json`, of this version or an earlier one.

        Raises:
            ValueError: the text is not a report of a run, or a newer version wrote it.
        """
        try:
            plain = json.loads(text)
            version = plain["schema_version"]
            record: RunRecord = _build(cls, plain)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"This is not the report.json of a run: {error!r}.") from error
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"`schema_version` must be at most {SCHEMA_VERSION}, got {version}: a newer version of "
                f"lightning-tricks wrote this report. Upgrade to read it."
            )
        return record

    def __repr__(self) -> str:
        return f"RunRecord({self.sentence()!r})"

    def _repr_html_(self) -> str:
        return show_fragment(self)


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _build(kind: Any, plain: dict[str, Any]) -> Any:
    """Build a dataclass from plain data; unknown fields, of later minor changes, are ignored."""
    hints = typing.get_type_hints(kind)
    known = {part.name for part in fields(kind)}
    return kind(**{name: _convert(hints[name], value) for name, value in plain.items() if name in known})


def _convert(hint: Any, value: Any) -> Any:
    arguments = typing.get_args(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return _build(hint, value)
    if typing.get_origin(hint) is dict:
        return {key: _convert(arguments[1], inner) for key, inner in value.items()}
    if typing.get_origin(hint) is tuple:
        return tuple(_convert(arguments[0], inner) for inner in value)
    dataclass_type = next((kind for kind in arguments if hasattr(kind, "__dataclass_fields__")), None)
    return _build(dataclass_type, value) if dataclass_type is not None and value is not None else value


def read_record(path: Path) -> RunRecord:
    """Return the record of a run.

    Args:
        path: the run's folder, or its ``report.json``.

    Raises:
        OSError: the file does not exist.
        ValueError: the file is not a report of a run.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        return RunRecord.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no {file}. A run with `RunReport` writes one when it ends.") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
