"""Graph: walk over the operations of a trace, to the inputs of an operation and to the uses of its result."""

from collections.abc import Callable, Collection, Iterator

from lightning_tricks.doctor.facts.operations import SHAPES
from lightning_tricks.doctor.facts.trace_facts import Operation, TraceFacts


class Graph:
    """The operations of a trace, with the edges in both directions.

    Args:
        trace: the traced pass.

    Example:
        >>> x, w = Operation("batch", "0", ()), Operation("parameter", "fc.weight", ())
        >>> steps = (x, w, Operation("linear", "fc", (0, 1)), Operation("view", "", (2,)), Operation("relu", "", (3,)))
        >>> graph = Graph(TraceFacts("forward", "hybrid", steps, outputs=(4,), loss=None))
        >>> graph.source(3), graph.reached_by(2), sorted(graph.before(4))
        (2, [4], [0, 1, 2, 3])
    """

    def __init__(self, trace: TraceFacts) -> None:
        self.trace = trace
        self.operations = trace.operations
        self.users: list[list[int]] = [[] for _ in trace.operations]
        for index, operation in enumerate(trace.operations):
            for each in dict.fromkeys(operation.inputs):
                self.users[each].append(index)

    def __getitem__(self, index: int) -> Operation:
        return self.operations[index]

    def find(self, *names: str) -> Iterator[tuple[int, Operation]]:
        """Yield the operations with these names, in order, with their indices."""
        return ((i, operation) for i, operation in enumerate(self.operations) if operation.op in names)

    def source(self, index: int, through: Collection[str] = SHAPES) -> int:
        """Go back from an operation along first arguments while it is one of ``through``; return the last one."""
        while self[index].op in through and self[index].inputs:
            index = self[index].inputs[0]
        return index

    def reached_by(self, index: int, through: Collection[str] = SHAPES) -> list[int]:
        """Return the first operations that use the result, following each path past those in ``through``."""
        found: list[int] = []
        waiting, seen = [index], set()
        while waiting:
            for user in self.users[waiting.pop()]:
                if user in seen:
                    continue
                seen.add(user)
                (waiting if self[user].op in through else found).append(user)
        return sorted(found)

    def terms(self, index: int) -> list[int]:
        """Return the single numbers that are added to form a result; the operation itself if it is not a sum."""
        operation = self[index]
        if operation.op in ("add", "sub") and operation.shape == () and operation.inputs:
            return [term for each in operation.inputs for term in self.terms(each)]
        return [index]

    def before(self, *indices: int, stops: Collection[int] = ()) -> set[int]:
        """Return all operations that these depend on, along paths that end at given operations."""
        return self._closure(indices, lambda index: () if index in stops else self[index].inputs)

    def after(self, *indices: int) -> set[int]:
        """Return all operations that depend on these."""
        return self._closure(indices, lambda index: self.users[index])

    def _closure(self, indices: Collection[int], step: Callable[[int], Collection[int]]) -> set[int]:
        seen: set[int] = set()
        waiting = list(indices)
        while waiting:
            new = set(step(waiting.pop())) - seen
            seen |= new
            waiting.extend(new)
        return seen
