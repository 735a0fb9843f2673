"""Check the programs of the corpus and print one line for each, and one for each package.

``python run.py`` takes all packages, ``python run.py of_timm of_graphs`` those of two modules. The exit status is 1 if
a program crashed or was changed by the doctor, if a finding is not among the true ones, or if a true one is missing.
"""

import logging
import sys
import warnings
from collections import defaultdict
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "support")]


def main(names: list[str]) -> int:
    """Return the exit status."""
    from operators import declare_torchvision_operators

    declare_torchvision_operators()
    from check import Outcome, check
    from program import PROGRAMS

    warnings.filterwarnings("ignore")
    for name in names or sorted(path.stem for path in HERE.glob("of_*.py")):
        import_module(name)
    for logger in ("lightning.pytorch", "pytorch_lightning", "lightning_tricks"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for program in PROGRAMS:
        outcome = check(program)
        outcomes[program.package].append(outcome)
        print(f"{'ok ' if outcome.ok else 'BAD'} {program.package}: {program.name}", flush=True)
        for line in outcome.lines():
            print(f"      {line}")
    for package, found in outcomes.items():
        print(summary(package, found))
    every = [outcome for found in outcomes.values() for outcome in found]
    print(summary("all", every))
    return int(not all(outcome.ok for outcome in every))


def summary(name: str, outcomes: list) -> str:
    """Return the figures of a package."""
    false, true = (sum(len(getattr(each, kind)) for each in outcomes) for kind in ("false", "true"))
    wrong = sum(bool(each.false) for each in outcomes)
    return (
        f"{name}: {sum(not each.broken for each in outcomes)} programs, "
        f"{sum(bool(each.crash) for each in outcomes)} crashes, "
        f"{sum(each.changed for each in outcomes)} changed, "
        f"{sum(each.false_errors for each in outcomes)} false errors, "
        f"{false} false findings in {wrong} programs, {true} true ones"
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
