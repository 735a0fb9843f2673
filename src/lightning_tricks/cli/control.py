"""`lightning-tricks control RUN lr=x0.5`: give an order to a running training, through the file of LiveControl."""

import argparse
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from lightning_tricks.core.atomic_files import replace_file
from lightning_tricks.engine.control.run_marker import WatchedFile, watched_files
from lightning_tricks.functional.live_orders import KEYS, Order, read_entry, write_order


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "control",
        help="change the learning rate, save, validate or stop during a run",
        description="Write the file that LiveControl watches; the run applies the order within every_n_steps steps. "
        "Without an order, list the runs that can be controlled.",
        epilog="example: lightning-tricks control outputs/2026-11-21/17-05-00 lr=x0.5 checkpoint=true",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="RUN | KEY=VALUE",
        help="RUN: a folder of the run (of its logs, of its Hydra job, the Trainer's default_root_dir) or one above "
        "it, or the control file; by default the current folder. KEY=VALUE: lr=x0.5 (halve), lr=0.01 (set), "
        "stop=true, checkpoint=true, validate=true",
    )


def run(args: argparse.Namespace) -> int:
    """Write the order, or list the runs; 2 if the order is invalid, or there is not exactly one such run."""
    words = list(args.words)
    folder = Path(words.pop(0)) if words and ("=" not in words[0] or Path(words[0]).exists()) else Path()
    try:
        if not words:
            return _list_runs(folder)
        order = read_order(words)
        path = find_run(folder).path
        before = path.read_text(encoding="utf-8").split() if path.is_file() else []
        _write_atomically(path, write_order(order))
    except (ValueError, OSError) as error:
        print(f"lightning-tricks control: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {', '.join(write_order(order).splitlines())}")
    if before:
        print(f"replaces: {' '.join(before)}")
    return 0


def read_order(words: Sequence[str]) -> Order:
    """Return the order of ``key=value`` arguments, with an ``id`` that makes it a new order.

    Raises:
        ValueError: an unknown key, an invalid value, or a repeated key; with the message of the callback.

    Example:
        >>> order = read_order(["lr=x0.5", "stop=true"])
        >>> order.pop("id") != read_order(["lr=x0.5"])["id"], order
        (True, {'lr': 'x0.5', 'stop': True})
    """
    order: Order = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"`{word}` is not of the form KEY=VALUE, with a key of {', '.join(KEYS)}.")
        if key in order:
            raise ValueError(f"`{key}` is given twice.")
        order[key] = read_entry(key, value)
    order.setdefault("id", f"order-{uuid.uuid4().hex[:12]}")
    return order


def find_run(run: Path) -> WatchedFile:
    """Return the file that the LiveControl of a run currently watches.

    Args:
        run: the control file, or a folder that identifies the run, or one above it.

    Raises:
        ValueError: there is no run, or there are several; the message lists the runs found.
    """
    runs = _runs_of(run)
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise ValueError(f"There are {len(runs)} runs in {run}; name one of them:\n{_table(runs)}")
    others = watched_files(Path())
    seen = f"Runs below the current folder:\n{_table(others)}" if others else "There is none below it either."
    raise ValueError(f"No run with LiveControl is training in {run}. {seen}")


def _runs_of(run: Path) -> list[WatchedFile]:
    """Return the runs in a folder; runs with logs elsewhere below the current folder are also found."""
    here = run.resolve()
    if run.is_file() or run.suffix in (".yaml", ".yml"):
        return [watched for watched in watched_files(here.parent) if watched.path == here]
    return watched_files(here) or [watched for watched in watched_files(Path()) if watched.belongs_to(here)]


def _list_runs(folder: Path) -> int:
    """Print the runs in a folder; 2 if there is none."""
    runs = _runs_of(folder)
    if runs:
        print(_table(runs))
        return 0
    print(f"lightning-tricks control: No run with LiveControl is training in {folder.resolve()}.", file=sys.stderr)
    return 2


def _table(runs: Sequence[WatchedFile]) -> str:
    return "\n".join(f"  {run.path}  (process {run.pid} on {run.host})" for run in runs)


def _write_atomically(path: Path, text: str) -> None:
    """Replace the file atomically: a reader sees either the old order or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
