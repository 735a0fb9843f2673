"""`gradient_check` on the architectures of `transformers` in tests/support, tiny and with random weights.

One line for each: the verdict, the relative difference, the worst parameter, kinks and seconds.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from transformers_batches import NAMES, model_and_batch

from lightning_tricks import gradient_check


def main() -> int:
    """Check all, or those named on the command line; return the number of those that are not right."""
    bad = 0
    for name in sys.argv[1:] or NAMES:
        start = time.perf_counter()
        try:
            result = gradient_check(*model_and_batch(name), budget="5min")
        except ValueError as error:
            verdict, bad = f"cannot tell: {error}", bad + 1
        else:
            bad += not result.ok
            worst = next(iter(result.by_parameter.items()), ("", 0.0))
            verdict = f"{'right' if result.ok else 'WRONG'} {result.relative_difference:.1e}, worst {worst[1]:.1e} "
            verdict += f"{worst[0]}, {len(result.kinks)} kinks of {len(result.by_parameter) + 8}"
        print(f"{name:<12} {time.perf_counter() - start:5.1f} s  {verdict}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
