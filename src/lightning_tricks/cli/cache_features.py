"""`lightning-tricks cache-features pkg.module:callable`: run a backbone once over a dataset and store its features."""

import argparse
import sys
from pathlib import Path

from lightning_tricks.cli.target import TARGET_HELP, load_target


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "cache-features",
        help="run a frozen backbone once over a dataset and store its features on disk",
        description="Write the outputs of a model, or of one of its layers, for each row of a dataset. Called again, "
        "it continues an interrupted run, and rebuilds the cache only if the weights, the data or the layer "
        "changed.",
        epilog="example: lightning-tricks cache-features project.model:backbone_and_loader --layer pool --out features",
    )
    parser.add_argument("target", metavar="MODULE:CALLABLE", help=f"{TARGET_HELP}(module, dataloader), not shuffled")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the cache")
    parser.add_argument(
        "--layer", metavar="NAME", help="use the output of this submodule (default: of the whole module)"
    )
    parser.add_argument("--copies", type=int, default=1, help="number of passes through augmented data (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the augmentation (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Write the cache and describe it; 2 if it cannot be written."""
    from lightning_tricks.data.cache_features import cache_features
    from lightning_tricks.data.cache_writer import size_of

    try:
        model, loader = load_target(args.target)
        features = cache_features(model, loader, args.out, layer=args.layer, copies=args.copies, seed=args.seed)
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks cache-features: {error or type(error).__name__}", file=sys.stderr)
        return 2
    parts = ", ".join(f"{part['name']} {tuple(part['shape'])} {part['dtype']}" for part in features.manifest["parts"])
    print(f"{len(features):,} rows of {parts}: {size_of(features.num_bytes)} in {args.out}")
    return 0
