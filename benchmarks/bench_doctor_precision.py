"""How often the doctor raises false alarms: all rules on healthy programs, every architecture with every optimizer."""

import sys
from collections import Counter
from pathlib import Path

import torch

from lightning_tricks.doctor.judging.diagnose import diagnose
from measure import report_alarms

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from healthy import programs


def main(optimizers_each: int = 4) -> None:
    torch.set_num_threads(1)
    alarms: dict[str, list[str]] = {}
    infos: Counter[str] = Counter()
    for program in programs(optimizers_each):
        found = diagnose(**program.build())
        alarms[program.name] = [str(finding) for finding in found.at_least("warning")]
        infos.update({finding.code for finding in found.findings if finding.severity == "info"})
    report_alarms("healthy programs", alarms)
    print(f"  programs with an info: {dict(infos.most_common())}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
