"""`lightning-tricks find-lr pkg.module:callable`: the learning rate that a range test suggests for a model."""

import argparse
from functools import partial

from lightning_tricks.cli.target import TARGET_HELP
from lightning_tricks.cli.trial_search import add_output_arguments, show_search


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "find-lr",
        help="find a learning rate with a range test",
        description="Train for a hundred steps at increasing learning rates and suggest one of them.",
        epilog="example: lightning-tricks find-lr project.model:make --plot lr.png",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}(module, dataloader), (module, datamodule), or a module with its own train_dataloader",
    )
    parser.add_argument("--min-lr", type=float, default=1e-7, help="the first rate (default: 1e-7)")
    parser.add_argument("--max-lr", type=float, default=10.0, help="the last rate (default: 10)")
    parser.add_argument("--num-steps", type=int, default=100, help="optimizer steps of the sweep (default: 100)")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of the coming training (default: unknown)")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the random generators during the sweep")
    parser.add_argument(
        "--refine", type=int, default=0, metavar="K", help="then train for K steps at a few rates around it"
    )
    parser.add_argument("--suggestion", default="auto", help="auto, valley, steep, minimum or slide (default: auto)")
    add_output_arguments(parser, "rates, losses and the suggestion")


def run(args: argparse.Namespace) -> int:
    """Find a rate and show it; 1 if there is no suggestion, 2 if the search is not possible."""
    from lightning_tricks.callbacks.find_lr import find_lr

    names = ("min_lr", "max_lr", "num_steps", "refine", "suggestion", "epochs", "seed")
    return show_search("find-lr", args, partial(find_lr, **{name: getattr(args, name) for name in names}))
