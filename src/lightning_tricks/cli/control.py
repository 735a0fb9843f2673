"""`lightning-tricks control RUN lr=x0.5`: give an order to a run that goes on, through the file LiveControl watches."""

import argparse
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_tricks.functional.live_orders import KEYS, Order, read_entry, write_order

_FILE = "control.yaml"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "control",
        help="turn the learning rate down, save, validate or stop while a run goes on",
        description="Write the file that LiveControl watches; the run obeys at its next look, within every_n_steps.",
        epilog="example: lightning-tricks control outputs/2026-11-21/17-05-00 lr=x0.5 checkpoint=true",
    )
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="the Trainer's default_root_dir, the folder of a Hydra job, or the control file itself",
    )
    parser.add_argument(
        "orders",
        nargs="+",
        metavar="KEY=VALUE",
        help="lr=x0.5 (halve), lr=0.01 (set), stop=true, checkpoint=true, validate=true",
    )


def run(args: argparse.Namespace) -> int:
    """Write the order; 2 if it is none, or if there is no such run."""
    try:
        order = read_order(args.orders)
        path = find_control_file(args.run)
        before = path.read_text(encoding="utf-8").split() if path.is_file() else []
        _write_atomically(path, write_order(order))
    except (ValueError, OSError) as error:
        print(f"lightning-tricks control: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {', '.join(write_order(order).splitlines())}")
    if before:
        print(f"in place of: {' '.join(before)}")
    return 0


def read_order(words: Sequence[str]) -> Order:
    """Return the order that ``key=value`` words give, with an ``id`` that makes it a new one.

    Raises:
        ValueError: no such key or value, or a key given twice; the message is the callback's own.

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


def find_control_file(run: Path) -> Path:
    """Return the file that the LiveControl of a run watches.

    Args:
        run: the file itself, which need not exist yet if its name ends in ``.yaml``; the folder of a Hydra job, whose
            configuration says where the file is; or the Trainer's ``default_root_dir``, where it has its default name.

    Raises:
        ValueError: there is no such run, or it is a sweep of many.
    """
    if run.is_file() or (run.suffix in (".yaml", ".yml") and run.parent.is_dir()):
        return run.resolve()
    if not run.is_dir():
        raise ValueError(f"There is no run {run}: neither a folder nor a control file in one.")
    if all((run / ".hydra" / name).is_file() for name in ("config.yaml", "hydra.yaml")):
        return _of_hydra_job(run.resolve())
    jobs = sorted(job.parent.name for job in run.glob("*/.hydra"))
    if jobs:
        raise ValueError(
            f"{run} is a sweep of {len(jobs)} jobs ({', '.join(jobs[:4])} ...): name one, {run / jobs[0]}."
        )
    return run.resolve() / _FILE


def _of_hydra_job(job: Path) -> Path:
    """Ask what the job was composed of: where its Trainer's root is, and what its LiveControl watches.

    A Trainer without a ``default_root_dir`` takes the process's folder: the job's, if Hydra changes to it, else the one
    from which the application was started.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    cfg: Any = OmegaConf.load(job / ".hydra" / "config.yaml")
    hydra: Any = OmegaConf.load(job / ".hydra" / "hydra.yaml").hydra
    hydra.runtime.output_dir = str(job)  # it may have been moved since
    OmegaConf.register_new_resolver("hydra", lambda key: OmegaConf.select(hydra, key), replace=True)
    try:
        nodes = list(_nodes(OmegaConf.to_container(cfg)))
        controls = [OmegaConf.select(cfg, f"{at}.path") or _FILE for at, kind in nodes if kind == "LiveControl"]
        roots = [OmegaConf.select(cfg, f"{at}.default_root_dir") for at, kind in nodes if kind == "Trainer"]
    except OmegaConfBaseException as error:
        raise ValueError(f"{job} does not say where its control file is ({error}): name the file itself.") from error
    finally:
        OmegaConf.clear_resolver("hydra")
    if len(controls) > 1:
        raise ValueError(f"{job} has {len(controls)} LiveControl ({', '.join(controls)}): name the file itself.")
    if not controls:  # its code may add one
        print(f"note: {job} was composed without a LiveControl.", file=sys.stderr)
        return job / _FILE
    started_in = Path(hydra.runtime.cwd)
    root = next(filter(None, roots), job if hydra.job.get("chdir") else started_in)
    return started_in / root / controls[0]


def _nodes(node: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield where there is something to build, and the name of its class."""
    if isinstance(node, dict) and "_target_" in node:
        yield at, str(node["_target_"]).rpartition(".")[2]
    if isinstance(node, (dict, list)):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _nodes(child, f"{at}.{key}" if at else str(key))


def _write_atomically(path: Path, text: str) -> None:
    """Replace the file in one go: whoever reads it sees the old order or the new one."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
