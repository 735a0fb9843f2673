"""`lightning-tricks find-batch-size pkg.module:callable`: the batch size that trains best in equal wall time."""

import argparse
import json
import sys
from pathlib import Path

from lightning_tricks.cli.target import TARGET_HELP, load_target


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "find-batch-size",
        help="find a batch size by validation score against wall time",
        description="Train at several batch sizes for the same wall-clock time, and suggest the smallest that is as "
        "good as the best. Exit status: 0 found, 1 no suggestion, 2 the search is not possible.",
        epilog="example: lightning-tricks find-batch-size project.data:make --budget 1min --plot sizes.png",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}(module, datamodule), or a module with its own train_dataloader and val_dataloader",
    )
    parser.add_argument("--sizes", metavar="N,N", help="batch sizes to try (default: powers of two from 16 to 512)")
    parser.add_argument("--budget", default="30s", help="wall-clock time of all sizes together (default: 30s)")
    parser.add_argument("--monitor", default="val_loss", help="the validation metric (default: val_loss)")
    parser.add_argument("--mode", default="min", help="min or max (default: min)")
    parser.add_argument(
        "--lr-rule", default="sqrt", help="how the learning rate scales with the size: sqrt, linear or none"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.02,
        help="share of the best improvement that may be missing (default: 0.02)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a figure: .png, .pdf, .svg ...")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the trials and the suggestion")


def run(args: argparse.Namespace) -> int:
    """Find a size and show it; 1 if there is no suggestion, 2 if the search is not possible."""
    from lightning_tricks.callbacks.find_batch_size import find_batch_size

    try:
        model, data = load_target(args.target)
        where = {"datamodule": data} if hasattr(data, "train_dataloader") else {"train_dataloaders": data}
        sizes = None if args.sizes is None else [_size(text) for text in args.sizes.split(",")]
        names = ("budget", "monitor", "mode", "lr_rule", "tolerance")
        result = find_batch_size(model, **where, sizes=sizes, **{name: getattr(args, name) for name in names})
        print(result)
        if args.plot:
            result.plot().savefig(args.plot, dpi=150)
            print(f"figure: {args.plot}")
        if args.json:
            args.json.write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
            print(f"numbers: {args.json}")
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks find-batch-size: {error}", file=sys.stderr)
        return 2
    return 0 if result.suggestion is not None else 1


def _size(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"`--sizes` must be whole numbers, separated by commas, got {text!r}.") from None
