"""Check the faults of other tools' galleries, and print one line for each: the rule that names it, and its message.

The exit status is 1 if a fault is not named by its rule, or if one is named that the table calls not named.
"""

import logging
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "questions"), str(HERE.parent / "corpus")]


def main() -> int:
    """Return the exit status."""
    from operators import declare_torchvision_operators

    declare_torchvision_operators()
    import of_torch_audit
    import of_torchtest2
    from fault import FAULTS
    from named import named

    warnings.filterwarnings("ignore")
    for logger in ("lightning.pytorch", "lightning_tricks"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    wrong = 0
    for each in FAULTS:
        found = named(each)
        wrong += bool(found) != bool(each.code)
        print(f"{'ok ' if bool(found) == bool(each.code) else 'BAD'} {each.peer} {each.place}: {each.name}", flush=True)
        print(f"      {found or 'not named'}")
    for peer in (of_torchtest2.PEER, of_torch_audit.PEER):
        faults = [each for each in FAULTS if each.peer == peer]
        print(f"{peer}: {sum(bool(each.code) for each in faults)} of {len(faults)} faults have a rule that names them")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
