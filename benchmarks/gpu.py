"""What a GPU shows, in one command of eight minutes: `make gpu`. Each part has a time limit; partial results are kept.

The parts are in order of importance: the tests of `tests/gpu`, a file each, and the figures of `gpu_figures.py`.
Without the device that is asked for, it prints what it would do and ends with status 0.

Usage: python benchmarks/gpu.py [--device cuda|cpu] [--minutes 8] [--out FOLDER] [--only PART ...]
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "gpu"
MINUTES = 8.0
"""For which the time limits of the parts are; another number stretches or shortens them all."""
WORDS = ("passed", "failed", "error", "skipped")


class Part(NamedTuple):
    """A part of the run.

    Attributes:
        name: of a file of tests without `test_`, or of a subject of the figures.
        seconds: its time limit.
        is_tests: whether it consists of tests.
        shows: what it is about.
    """

    name: str
    seconds: int
    is_tests: bool
    shows: str


PARTS = (
    Part("host_waits", 60, True, "no training step waits for the device, under any callback"),
    Part("precision", 90, True, "float16 with a scaler, bfloat16, fused, foreach, capturable: steps that are skipped"),
    Part("untouched_training", 60, True, "finder and doctor leave a training bit-identical, and memory as it was"),
    Part("best_weights", 20, True, "best weights come back from host memory bit for bit"),
    Part("compile", 75, True, "torch.compile and CUDA graphs: no graph break, no further compilation"),
    Part("processes", 90, True, "two processes on one device; NCCL and FSDP2 on two; visible devices, MIG"),
    Part("keeping", 30, False, "time to keep 1 GB of weights in host memory, against a step"),
    Part("clipping", 40, False, "clipping against torch's foreach, and as a share of the memory bandwidth"),
    Part("fits", 60, False, "a fit with all callbacks over the bare Trainer, on steps of 5 ms and 50 ms"),
    Part("finder", 30, False, "100 steps of the finder over a bare loop"),
    Part("diagnose", 60, False, "diagnose on a ResNet-50 and on a transformer of 125 million weights"),
)


class Outcome(NamedTuple):
    """What became of a part: in a few words, its seconds, whether anything failed, and lines worth showing."""

    words: str
    seconds: float
    failed: bool
    lines: list[str]


def missing(device: str) -> str:
    """Return why this Python cannot use a device; empty if it can."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device"
    return ""


def command_of(part: Part, device: str) -> list[str]:
    if not part.is_tests:
        return [sys.executable, str(ROOT / "benchmarks" / "gpu_figures.py"), device, part.name]
    options = [
        "-v",
        "-rs",
        "--tb=short",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=--import-mode=importlib",
    ]
    return [sys.executable, "-m", "pytest", *options, str(TESTS / f"test_{part.name}.py")]


def run(part: Part, device: str, limit: float, log: Path) -> Outcome:
    """Run a part for at most so many seconds; what it has printed into its log by then counts."""
    if part.is_tests and importlib.util.find_spec("pytest") is None:
        return Outcome("not run: pytest is not installed", 0.0, True, [])
    environment = {**os.environ, "LIGHTNING_TRICKS_DEVICE": device, "PYTHONUNBUFFERED": "1"}
    if device == "cpu":  # parts run at the same time; their threads would wait for each other
        environment["OMP_NUM_THREADS"] = "1"
    start, status = time.monotonic(), None
    with log.open("w") as file:
        process = subprocess.Popen(
            command_of(part, device), stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # with the processes that it has started
            process.wait()
    text = log.read_text(errors="replace")
    return (read_tests if part.is_tests else read_figures)(text, status, time.monotonic() - start)


def read_tests(text: str, status: int | None, seconds: float) -> Outcome:
    """Return what pytest printed, also if it was cut off (status None) or never came to a test."""
    found = re.findall(r"^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED)", text, re.M)
    counts = {word: sum(result == word.upper() for _, result in found) for word in WORDS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no test was run"
    bad = [f"{result.lower()}: {name.partition('::')[2]}" for name, result in found if result in ("FAILED", "ERROR")]
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+ (.+)$", text, re.M)
    lines = bad + [f"skipped: {reason}" for reason in dict.fromkeys(skipped)]
    if status is None:
        return Outcome(f"{told}, cut off", seconds, True, lines)
    if status and not bad:
        lines += text.strip().splitlines()[-3:]
    return Outcome(told, seconds, bool(status), lines)


def read_figures(text: str, status: int | None, seconds: float) -> Outcome:
    """Return the figures that were printed, one a line after `figure:`."""
    lines = [line.removeprefix("figure: ") for line in text.splitlines() if line.startswith("figure: ")]
    told = f"{len(lines)} figures" + (", cut off" if status is None else "")
    if status:
        lines += text.strip().splitlines()[-1:]
    return Outcome(told, seconds, status != 0, lines)


def summary(device: str, outcomes: dict[str, Outcome], parts: Sequence[Part]) -> str:
    """Return one table over all parts; those that were not reached say so."""
    rows = [f"{'part':<20} {'result':<34} {'seconds':>8} {'limit':>6}"]
    for part in parts:
        outcome = outcomes.get(part.name)
        words, seconds = (outcome.words, f"{outcome.seconds:.1f}") if outcome else ("not reached", "-")
        rows.append(f"{part.name:<20} {words:<34} {seconds:>8} {part.seconds:>6}")
        rows += [f"    {line}" for line in (outcome.lines if outcome else [])]
    return "\n".join([f"On {described(device)}:", *rows])


def described(device: str) -> str:
    """Return the device and the versions."""
    import lightning
    import torch

    name = "the CPU"
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        name = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
    return f"{name}, torch {torch.__version__}, lightning {lightning.__version__}"


def dry_run(device: str, why: str, parts: Sequence[Part]) -> None:
    print(f"no GPU: {why}." if device == "cuda" else f"not possible: {why}.")
    print("On one, these parts would run, each for at most so many seconds:")
    for part in parts:
        print(f"{part.name:<20} {part.seconds:>4}  {part.shows}")
        print(f"    {' '.join(command_of(part, device))}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--out", type=Path, default=ROOT / "gpu-results")
    parser.add_argument("--only", nargs="*", choices=[part.name for part in PARTS])
    given = parser.parse_args(arguments)
    parts = [part for part in PARTS if not given.only or part.name in given.only]
    why = missing(given.device)
    if why:
        dry_run(given.device, why, parts)
        return 0
    outcomes = run_all(parts, given.device, given.minutes, given.out)
    print(summary(given.device, outcomes, parts))
    return int(any(outcome.failed for outcome in outcomes.values()) or len(outcomes) < len(parts))


def run_all(parts: Sequence[Part], device: str, minutes: float, out: Path) -> dict[str, Outcome]:
    """Run parts until the time is up; on a GPU one after the other, on the CPU two at once."""
    out.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, Outcome] = {}
    end = time.monotonic() + 60 * minutes

    def run_next(part: Part) -> None:
        limit = min(part.seconds * minutes / MINUTES, end - time.monotonic())
        if limit < 5:
            return
        print(f"{part.name}: {part.shows} ...", flush=True)
        outcomes[part.name] = run(part, device, limit, out / f"{part.name}.log")
        (out / "summary.txt").write_text(summary(device, outcomes, parts) + "\n")

    with ThreadPoolExecutor(1 if device == "cuda" else 2) as pool:
        list(pool.map(run_next, parts))
    return outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
