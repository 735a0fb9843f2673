"""How often the doctor cries wolf: all rules on healthy programs, every architecture with every optimizer."""

import sys
from collections import Counter
from pathlib import Path

import torch

from lightning_tricks.doctor.diagnose import diagnose
from measure import report

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from healthy import programs


def main(optimizers_each: int = 4) -> None:
    torch.set_num_threads(1)
    alarms: dict[str, list[str]] = {}
    infos: Counter[str] = Counter()
    for program in programs(optimizers_each):
        found = diagnose(**program.build())
        alarms[program.name] = [str(one) for one in found.at_least("warning")]
        infos.update({one.code for one in found.findings if one.severity == "info"})
    wrong = {name: found for name, found in alarms.items() if found}
    topic = f"doctor: false alarms at warning or above, {len(alarms)} healthy programs"
    report(topic, f"{len(wrong)}, {len(wrong) / len(alarms):.1%}", "< 2%")
    for name, messages in wrong.items():
        print(f"  {name}: {'; '.join(messages)}")
    print(f"  programs with an info: {dict(infos.most_common())}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
