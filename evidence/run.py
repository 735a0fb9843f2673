"""Measure what the tricks are worth against a random search, and write docs/evidence.md.

Usage: python evidence/run.py          train what evidence.csv does not hold yet, then write the page
       python evidence/run.py --quick  one seed of a few tasks, into a table that is printed and not kept
       python evidence/run.py --page   write the page alone
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import methods
import page
import quotes
from results import Job, Row, append, read, remaining, whole_seeds
from script import be_quiet
from tasks import TASKS
from training import Method, Outcome, train

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "evidence.csv"
SEEDS, PROCESSES = 5, 2
QUICK = ["digits, small CNN", "prices of computers, MLP", "digits, autoencoder", "wages, MLP with batch norm"]


def jobs(tasks: list[str], seeds: int, trials: int = methods.TRIALS) -> Iterator[Job]:
    """Return all trainings, the seeds one after another, so that an interrupted run has whole seeds."""
    for seed in range(seeds):
        for task in tasks:
            for optimizer in methods.USUAL:
                for number in range(trials):
                    yield Job(task, optimizer, f"search {number:02d}", seed)
                for method in (*methods.peers(optimizer), *methods.ours(optimizer)):
                    yield Job(task, optimizer, method, seed)


def method_of(job: Job) -> Method:
    """Return the method that a job names."""
    if job.method.startswith("search "):
        return methods.trial(job.optimizer, job.task, job.seed, int(job.method.split()[1]))
    return {**methods.peers(job.optimizer), **methods.ours(job.optimizer)}[job.method]


def do(job: Job) -> Row:
    """Train once."""
    outcome: Outcome = train(TASKS[job.task], method_of(job), job.seed)
    return Row(job, *outcome)


def prepare() -> None:
    """Silence a process, and let its trainings write to a temporary folder."""
    be_quiet()
    os.chdir(tempfile.mkdtemp())


def do_all(wanted: list[Job], path: Path) -> None:
    """Train what a table does not hold yet, in two processes."""
    with ProcessPoolExecutor(PROCESSES, initializer=prepare) as pool:
        waiting = [pool.submit(do, job) for job in remaining(wanted, read(path))]
        append(path, (done.result() for done in as_completed(waiting)))


def quick() -> None:
    """Print the table of one seed of a few tasks, with its trainings in a temporary folder."""
    wanted = list(jobs(QUICK, seeds=1))
    with tempfile.TemporaryDirectory() as folder:
        do_all(wanted, Path(folder) / RESULTS.name)
        print(page.main_table(read(Path(folder) / RESULTS.name), held_out=None))


def main(mode: str = "") -> None:
    """Do what the usage says."""
    if mode == "--quick":
        return quick()
    if mode != "--page":
        do_all(list(jobs(list(TASKS), SEEDS)), RESULTS)
    page.write(shown_rows())
    return quotes.renew(page.main_table(shown_rows(), held_out=None))


def shown_rows() -> list[Row]:
    """Return the rows that the page shows: those of whole seeds."""
    return whole_seeds(read(RESULTS), jobs(list(TASKS), SEEDS))


if __name__ == "__main__":
    main(*sys.argv[1:2])
