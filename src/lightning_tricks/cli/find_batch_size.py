"""`lightning-tricks find-batch-size pkg.module:callable`: the batch size that trains best in equal wall time."""

import argparse
from typing import Any

from lightning_tricks.cli.target import TARGET_HELP
from lightning_tricks.cli.trial_search import add_output_arguments, show_search


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
    add_output_arguments(parser, "the trials and the suggestion")


def run(args: argparse.Namespace) -> int:
    """Find a size and show it; 1 if there is no suggestion, 2 if the search is not possible."""
    from lightning_tricks.callbacks.find_batch_size import find_batch_size

    names = ("budget", "monitor", "mode", "lr_rule", "tolerance")
    settings = {name: getattr(args, name) for name in names}

    def search(model: Any, **where: Any) -> Any:
        sizes = None if args.sizes is None else [_size(text) for text in args.sizes.split(",")]
        return find_batch_size(model, **where, sizes=sizes, **settings)

    return show_search("find-batch-size", args, search)


def _size(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"`--sizes` must be whole numbers, separated by commas, got {text!r}.") from None
