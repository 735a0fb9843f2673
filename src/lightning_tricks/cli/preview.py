"""`lightning-tricks preview tricks=[...]`: the learning rates that a set of tricks will produce, before training."""

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_tricks.callbacks.lr_preview import LRPreview

_EXAMPLE = (
    "example: lightning-tricks preview 'tricks=[cosine_warm_restarts,reduce_lr_on_plateau]' "
    "tricks.cosine_warm_restarts.t_0=5 --epochs 40 --steps-per-epoch 100 --plot lr.png"
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "preview",
        help="show the learning rates that a set of tricks will produce, before training",
        description="Show the learning rate of each optimizer step and its factors as numbers, sparklines and a "
        "figure.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("overrides", nargs="+", metavar="tricks=[...]", help="Hydra overrides, as for a training run")
    parser.add_argument("--epochs", type=int, required=True, help="max_epochs of the run")
    parser.add_argument("--steps-per-epoch", type=int, required=True, help="optimizer steps per epoch")
    parser.add_argument("--lr", type=float, default=1.0, help="base learning rate (default: 1, that is, multipliers)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a figure: .png, .pdf, .svg ...")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per step: step, epoch, lr, factors")


def run(args: argparse.Namespace) -> int:
    """Compose the tricks, compute their learning rates and show them; 2 if that is not possible."""
    from lightning_tricks.callbacks.lr_preview import preview_lr
    from lightning_tricks.hydra.compose import REFUSALS, compose_tricks
    from lightning_tricks.hydra.instantiate import instantiate_callbacks

    try:
        callbacks = instantiate_callbacks(compose_tricks(args.overrides))
        preview = preview_lr(callbacks, args.epochs, args.steps_per_epoch, lr=args.lr)
        print(preview)
        if args.plot:
            preview.plot().savefig(args.plot, dpi=150)
            print(f"figure: {args.plot}")
        if args.csv:
            _write(preview, args.csv)
            print(f"numbers: {args.csv}")
    except (*REFUSALS, OSError, ModuleNotFoundError) as error:
        print(f"lightning-tricks preview: {error}", file=sys.stderr)
        return 2
    return 0


def _write(preview: "LRPreview", path: Path) -> None:
    rows = preview.rows()
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
