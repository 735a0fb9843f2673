"""`lightning-tricks gradcheck pkg.module:callable`: check the gradients of a training step."""

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from lightning_tricks.cli.target import TARGET_HELP, load_target


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "gradcheck",
        help="compare gradients with finite differences",
        description="Run the training step on a copy of the model in float64 and compare its gradients with finite "
        "differences. Exit status: 0 correct, 1 wrong, 2 cannot be checked.",
        epilog="example: lightning-tricks gradcheck project.model:make --budget 2min",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}(module, dataloader), (module, datamodule), or a module with its own train_dataloader",
    )
    parser.add_argument("--eps", type=float, default=1e-6, help="step size of each weight (default: 1e-6)")
    parser.add_argument("--tol", type=float, default=1e-7, help="largest accepted relative difference (default: 1e-7)")
    parser.add_argument("--directions", type=int, default=8, help="number of random directions (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the directions (default: 0)")
    parser.add_argument("--budget", default="60s", metavar="TIME", help="wall-clock time: 30s, 2min (default: 60s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    """Compare and print the table; 1 if a gradient is wrong, 2 if it cannot be checked."""
    from lightning_tricks.doctor.tracing.obtain_batch import draw, loaders_of
    from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
    from lightning_tricks.engine.gradcheck.gradient_check import gradient_check

    try:
        with redirect_stdout(sys.stderr):  # output of user code is not part of the table
            model, data = load_target(args.target)
            if data is None:
                data = model.train_dataloader()
            error = None
            if hasattr(data, "train_dataloader"):
                data, _, error = loaders_of(data, TrainerStandIn(model=model, datamodule=data))
            batch, error = (None, error) if error is not None else draw(data)
            if error is not None:
                raise ValueError(f"{error.phase} raised {error.kind}: {error.message}")
            names = ("eps", "tol", "directions", "seed", "budget")
            result = gradient_check(model, batch, **{name: getattr(args, name) for name in names})
        if args.json:
            args.json.write_text(json.dumps(result.to_dict(), indent=1))
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks gradcheck: {error}", file=sys.stderr)
        return 2
    print(result)
    return 0 if result.ok else 1
