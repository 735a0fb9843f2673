"""Measure: medians of interleaved repeats, so that a machine whose speed drifts slows both sides alike."""

import gc
import statistics
import threading
import time
from collections.abc import Callable, Collection

_thread = threading.local()


def interleaved(sides: dict[str, Callable[[], float]], repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Run each side in turn, again and again.

    Args:
        sides: functions by name; each returns what it measured.
        repeats: how often each counts.
        warmup: how often each runs before that.

    Returns:
        What each side measured, in the order of the runs.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(warmup + repeats):
        for name, side in sides.items():
            value = side()
            if i >= warmup:
                found[name].append(value)
    return found


def timed(function: Callable[[], object], clock: Callable[[], float] = time.process_time) -> Callable[[], float]:
    """Return a function that measures the seconds of a call.

    By default those that this process computed: other work on the machine does not count. Child processes need
    ``time.perf_counter``.
    """

    def measure() -> float:
        gc.collect()  # what the other side left behind is not this side's to clear away
        start = clock()
        function()
        return clock() - start

    return measure


def side_by_side(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Run all sides at once, each in a thread of its own, and hand over from one to the next at each `take_turn`.

    Whole fits that are timed one after the other meet another machine each: pairs of the very same fit spread over
    ten percent where a machine is shared. In turns of one training step, they meet the same.

    Args:
        sides: functions by name, which call `take_turn` once a training step.
        repeats: how often all of them run; in each, another one begins.

    Returns:
        The seconds that each side's thread computed, in the order of the runs.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for i in range(1 + repeats):
        gc.collect()
        first = i % len(names)
        seconds = _Turns({name: sides[name] for name in names[first:] + names[:first]}).run()
        for name in names if i else ():
            found[name].append(seconds[name])
    return found


def take_turn() -> None:
    """Let the other sides of `side_by_side` do a step first; nothing anywhere else."""
    turns = getattr(_thread, "turns", None)
    if turns is not None:
        turns.hand_over()


class _Turns:
    """Threads of which one runs at a time."""

    def __init__(self, sides: dict[str, Callable[[], object]]) -> None:
        self.sides, self.waiting = sides, list(sides)
        self.changed = threading.Condition()
        self.seconds: dict[str, float] = {}
        self.errors: list[BaseException] = []

    def run(self) -> dict[str, float]:
        threads = [threading.Thread(target=self._run_side, args=(name,), name=name) for name in self.sides]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        return self.seconds

    def _run_side(self, name: str) -> None:
        _thread.turns = self
        self._wait(name)
        start = time.thread_time()
        try:
            self.sides[name]()
        except BaseException as error:  # handed to the main thread, which raises it
            self.errors.append(error)
        finally:
            self.seconds[name] = time.thread_time() - start
            with self.changed:
                self.waiting.remove(name)
                self.changed.notify_all()

    def hand_over(self) -> None:
        name = threading.current_thread().name
        with self.changed:
            self.waiting.append(self.waiting.pop(0))
            self.changed.notify_all()
        self._wait(name)

    def _wait(self, name: str) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.waiting[0] == name)


def median_ratio(found: dict[str, list[float]], side: str, to: str) -> float:
    """Return the median of the ratios of neighbouring runs."""
    return statistics.median(a / b for a, b in zip(found[side], found[to], strict=True))


def report(topic: str, figure: str, limit: str) -> None:
    """Print one line: what was measured, the figure, and the bound that we hold ourselves to."""
    print(f"{topic:<66} {figure:>14}   {limit}")


def report_alarms(topic: str, alarms: dict[str, list[str]], rightly: Collection[str] = ()) -> None:
    """Print how many healthy programs the doctor suspects, and what it says of each that it suspects.

    Args:
        topic: what the programs are.
        alarms: what is said of each program, at warning or above.
        rightly: those that turned out sick; they do not count.
    """
    told = {name: found for name, found in alarms.items() if found}
    wrong, healthy = told.keys() - set(rightly), alarms.keys() - set(rightly)
    topic = f"doctor: false alarms at warning or above, {len(healthy)} {topic}"
    report(topic, f"{len(wrong)}, {len(wrong) / len(healthy):.1%}", "< 2%")
    for name, messages in told.items():
        print(f"  {name}{' (rightly)' if name in rightly else ''}: {'; '.join(messages)}")
