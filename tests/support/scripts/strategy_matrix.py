"""Each public callback under each strategy: what is declared, what a run shows, and the page that says both.

Usage::

    python tests/support/scripts/strategy_matrix.py          # run every case (minutes), compare with docs/strategies.md
    python tests/support/scripts/strategy_matrix.py --write  # and write the page
    python tests/support/scripts/strategy_matrix.py --page   # write the page without running what a CPU can serve

The suite runs the cheap part: each callback under ddp_fork, all of them at once under ddp, ddp_spawn and FSDP2
(tests/contracts/test_ranks.py), each against the strategies that a CPU cannot serve (test_strategies.py).
"""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import SingleDeviceStrategy

import lightning_tricks as lt

sys.path.append(str(Path(__file__).parents[1]))
from ranks import SaveRank, ShardedNet, strategy_named
from tiny import Net, fit, same
from tricks import TINY, public_callbacks

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "strategies.md"
RUN = ("ddp", "ddp_spawn", "ddp_fork", "fsdp2")
"""Strategies that run on two CPU processes with gloo."""
READ = ("fsdp", "deepspeed")
"""Strategies that need a GPU. Here is run only whether a callback refuses them, which it does by the class's name."""

_NOT_TRACED = "no step is traced, and the report says so: the rules that look at the model as it is built are all"
REMARKS = {
    (
        "EarlyStopping",
        "fsdp2",
    ): "each process keeps its part of the best weights; none is in a checkpoint, so a resumed "
    "run knows only the checks since",
    ("ReduceLROnPlateau", "fsdp2"): "with `restore_best=True` each process keeps its part of the best weights; none is "
    "in a checkpoint",
    ("ReduceLROnPlateau", "deepspeed"): "`restore_best=True` is refused: the engine keeps weights of its own",
    ("LRFinder", "ddp_spawn"): "the callback works; `find_lr` is refused, for its result would stay in the child",
    ("LRFinder", "ddp_fork"): "the callback works; `find_lr` is refused, for its result would stay in the child",
    **{(doctor, shards): _NOT_TRACED for doctor in ("Doctor", "PlacementCheck") for shards in ("fsdp2", *READ)},
}
"""What works, but not quite as in one process."""


TEXT = """\
# Tricks and strategies

Written by `python tests/support/scripts/strategy_matrix.py --write`, which runs each case; a test keeps this page
equal to it.

- **works**: run on two CPU processes with gloo: both ranks take the same decisions and use the same learning rates, on
  different data. (*One process* is run by the whole test suite.)
- **refuses**: a clear error when fit starts, before any training; the number gives the reason and the way out.
- **read**: no GPU was at hand, so it was not run. Nothing refuses it; that it works follows from the sources of
  Lightning and of the engine alone.

| callback | one process | `ddp` | `ddp_spawn` | `ddp_fork` | `fsdp2` | `fsdp` (FSDP1) | `deepspeed` (ZeRO 1 to 3) |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

{notes}

Each column is an option: `python train.py +lt_strategy=fsdp2 trainer.devices=2`; DeepSpeed's are `deepspeed_stage_1`,
`deepspeed_stage_2`, `deepspeed_stage_3`, the last two also with `_offload`. An application whose Trainer is configured
elsewhere says where: `+lt_strategy@pl.trainer=ddp`.

For all callbacks under `ddp_spawn` and `ddp_fork`: the processes are copies, so the objects in the script are as they
were before the fit. What a person needs comes back through `trainer.callback_metrics`, the log and the files. This is
Lightning's limit, not a trick's.

For all callbacks under `fsdp2`: the module's `configure_model` says what is sharded; one that shards nothing gets a
warning. `ddp` in a Hydra multirun needs `hydra/callbacks=lightning_tricks_ddp`; see [cluster.md](cluster.md).
"""


class DeepSpeedStrategy(SingleDeviceStrategy):
    """The engine's name, by which a callback knows it."""


class FSDPStrategy(SingleDeviceStrategy):
    """The strategy's name, by which a callback knows it."""


def instance(name: str) -> Any:
    """The tiny instance; the plateau rule as it is by default, for one argument of it is what strategies refuse."""
    return lt.ReduceLROnPlateau(patience=1, strict=False) if name == "ReduceLROnPlateau" else TINY[name]()


def refusal(name: str, strategy: str) -> str | None:
    """Return why a callback refuses a strategy that cannot be run here, in its own words; None if it does not."""
    kind = {"deepspeed": DeepSpeedStrategy, "fsdp": FSDPStrategy}[strategy]
    try:
        fit(instance(name), strategy=kind("cpu"), max_epochs=2)
    except MisconfigurationException as error:
        return str(error)
    return None


def markdown(refusals: dict[tuple[str, str], str]) -> str:
    """Return the page."""
    notes: list[str] = []

    def cell(name: str, strategy: str) -> str:
        reason = refusals.get((name, strategy))
        mark = "refuses" if reason else "works" if strategy in RUN else "read"
        note = reason.replace(f"`{name}`", "It") if reason else REMARKS.get((name, strategy))
        if note is None:
            return mark
        if note not in notes:
            notes.append(note)
        return f"{mark} ({notes.index(note) + 1})"

    rows = []
    for name in public_callbacks():
        cells = [cell(name, strategy) for strategy in (*RUN, *READ)]
        rows.append(f"| `{name}` | works | {' | '.join(cells)} |")
    listed = "\n".join(f"{i}. {note[0].upper()}{note[1:].rstrip('.')}." for i, note in enumerate(notes, 1))
    return TEXT.format(rows="\n".join(rows), notes=listed)


def run_inside(strategy: str, out: Path) -> None:
    """Fit each callback, on this rank of two; a later Trainer finds the processes that the first one started."""
    torch.set_num_threads(1)
    for name in public_callbacks():
        (out / name).mkdir(exist_ok=True)
        net = ShardedNet() if strategy == "fsdp2" else Net()
        fit(
            instance(name),
            SaveRank(out / name),
            net=net,
            strategy=strategy_named(strategy),
            devices=2,
            max_epochs=2,
        )


def check(strategy: str, out: Path) -> list[str]:
    """Return which callbacks did not run under a strategy with the same decisions on both ranks."""
    command = [sys.executable, __file__, "--inside", strategy, str(out)]
    run = subprocess.run(command, capture_output=True, text=True)
    failed = []
    for name in public_callbacks():
        files = [out / name / f"rank{rank}.pt" for rank in (0, 1)]
        if not all(file.exists() for file in files):
            failed.append(f"{name}: {run.stderr.strip().splitlines()[-1]}")
            continue
        first, second = (torch.load(file, weights_only=True) for file in files)
        if not first["trace"] or first["trace"] != second["trace"] or not same(first["states"], second["states"]):
            failed.append(f"{name}: the ranks differ")
    return failed


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--inside"]:
        run_inside(arguments[1], Path(arguments[2]))
        return 0
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)
    failed = []
    for strategy in RUN if "--page" not in arguments else ():
        with tempfile.TemporaryDirectory() as folder:
            wrong = check(strategy, Path(folder))
        print(
            f"{strategy}: {len(public_callbacks()) - len(wrong)} of {len(public_callbacks())} work", *wrong, sep="\n  "
        )
        failed += wrong
    refused = {(name, kind): refusal(name, kind) for name in public_callbacks() for kind in READ}
    page = markdown({case: reason for case, reason in refused.items() if reason})
    if {"--write", "--page"} & set(arguments) and not failed:
        PAGE.write_text(page)
    return int(bool(failed) or PAGE.read_text() != page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
