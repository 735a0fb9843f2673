"""Object memory: remember what objects hold, all that hangs on them included, and put it back to the last bit.

Everything is put back in place: the same tensors, lists and dicts with their old contents, so that whoever holds one
of them goes on with it.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_SIMPLE = (bool, int, float, complex, str, bytes, type(None), type, torch.device, torch.dtype, torch.Size)
_TRAINERS = {"lightning", "pytorch_lightning", "lightning_fabric"}
_FOREIGN = {*_TRAINERS, "torch", "numpy", "pandas", "hydra", "omegaconf", "builtins", *sys.stdlib_module_names}
_TORCH_OWN = ("torch.optim", "torch.amp", "torch.cuda.amp", "torch.utils.data")
_LONG = 10_000


class ObjectSnapshot:
    """What objects held when they were given to :meth:`remember`.

    It follows attributes, lists, dicts, sets and tuples, into modules, optimizers, schedulers, samplers, data sets and
    objects of the user's own classes; not into those of other libraries, a Trainer's and a logger's least of all,
    unless they are named in ``enter``.

    Args:
        enter: packages whose objects are followed too.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> memory = ObjectSnapshot()
        >>> memory.remember(model, optimizer)
        >>> before = model.weight.item()
        >>> model(torch.ones(1)).backward()
        >>> optimizer.step()
        >>> memory.put_back_()
        >>> model.weight.item() == before, model.weight.grad, len(optimizer.state)
        (True, None, 0)
    """

    def __init__(self, enter: Iterable[str] = ()) -> None:
        self._enter = set(enter)
        self._seen: dict[int, object] = {}  # holding them keeps their ids from being given away
        self._undo: list[Callable[[], None]] = []

    def leave_out(self, *objects: object) -> None:
        """Never look at these."""
        self._seen.update({id(object): object for object in objects})

    def remember(self, *roots: object, tensors: bool = True) -> None:
        """Remember what these objects hold, whatever their class.

        Args:
            roots: modules, optimizers, samplers, any objects.
            tensors: copy tensors and arrays too: what a step may write in place. A data set's are only held.
        """
        waiting: deque[tuple[object, bool]] = deque((root, True) for root in roots)
        while waiting:
            holder, is_root = waiting.popleft()
            if isinstance(holder, _SIMPLE) or id(holder) in self._seen:
                continue
            if not tensors and isinstance(holder, (Tensor, nn.Module)) and not is_root:
                continue  # another call may want them with their values
            self._seen[id(holder)] = holder
            waiting.extend((inner, False) for inner in self._note(holder, is_root, tensors))

    def _note(self, holder: Any, is_root: bool, tensors: bool) -> list[object]:
        """Note how to put one object back, and return what it holds."""
        if isinstance(holder, Tensor):
            return self._note_tensor(holder) if tensors else []
        if isinstance(holder, tuple):
            return list(holder) if len(holder) <= _LONG else []
        if isinstance(holder, (list, deque, set, dict)):
            return self._note_container(holder)
        if generator := _generator(holder):
            self._undo.append(generator)
            return []
        if type(holder).__module__ == "numpy" and type(holder).__name__ == "ndarray":
            if tensors and holder.flags.writeable:
                self._note_array(holder)
            return []
        if hasattr(holder, "__dict__") and (is_root or self._is_open(holder)):
            return self._note_attributes(vars(holder))
        return []

    def _note_tensor(self, tensor: Tensor) -> list[object]:
        if torch.nn.parameter.is_lazy(tensor):
            return []
        copy, grad = tensor.detach().clone(), tensor.grad if tensor.is_leaf else None
        place = tensor.data if type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided else None

        def undo() -> None:
            with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                if place is not None and tensor.data_ptr() != place.data_ptr():
                    tensor.data = place  # somebody let it point to other memory, which may be another tensor's
                if tensor.shape != copy.shape:
                    tensor.data = copy
                else:
                    tensor.detach().copy_(copy)
            if tensor.is_leaf and tensor.grad is not grad:
                tensor.grad = grad

        self._undo.append(undo)
        return []

    def _note_container(self, container: Any) -> list[object]:
        held = dict(container) if isinstance(container, dict) else list(container)

        def undo() -> None:
            now = list(container.items() if isinstance(container, dict) else container)
            then = list(held.items() if isinstance(held, dict) else held)
            if not _are_the_same(now, then):
                container.clear()
                container.update(held) if isinstance(container, (dict, set)) else container.extend(held)

        self._undo.append(undo)
        if len(held) > _LONG:
            return []
        return [*held, *held.values()] if isinstance(held, dict) else held

    def _note_array(self, array: Any) -> None:
        copy = array.copy()

        def undo() -> None:
            array[...] = copy

        self._undo.append(undo)

    def _note_attributes(self, attributes: dict[str, Any]) -> list[object]:
        self._seen[id(attributes)] = attributes
        held = dict(attributes)

        def undo() -> None:
            for name in attributes.keys() - held.keys():
                del attributes[name]
            attributes.update(held)

        self._undo.append(undo)
        return [value for name, value in held.items() if name not in ("_iterator", "_trainer", "_fabric")]

    def _is_open(self, holder: object) -> bool:
        """Say whether the attributes of an object are a part of the training that may be looked at."""
        homes = [cls.__module__ for cls in type(holder).__mro__]
        packages = {home.partition(".")[0] for home in homes}
        if isinstance(holder, nn.Module) or packages & self._enter:
            return True
        if packages & _TRAINERS:
            return False
        return homes[0].startswith(_TORCH_OWN) or homes[0].partition(".")[0] not in _FOREIGN

    def put_back_(self) -> None:
        """Put everything back; may be called again and again.

        Raises:
            Exception: the first one that an object raised on being put back; all others are put back all the same.
        """
        errors: list[Exception] = []
        for undo in reversed(self._undo):  # what was found first, containers for instance, last
            try:
                undo()
            except Exception as error:  # one object that refuses must not keep the others from being put back
                errors.append(error)
        if errors:
            raise errors[0]


def _are_the_same(now: list[Any], then: list[Any]) -> bool:
    """Say whether two lists hold the very same objects (of a dict's items, keys and values)."""
    if len(now) != len(then):
        return False
    pairs = zip(now, then, strict=True)
    if now and isinstance(now[0], tuple) and len(now[0]) == 2:
        return all(a is b or (isinstance(a, tuple) and a[0] is b[0] and a[1] is b[1]) for a, b in pairs)
    return all(a is b for a, b in pairs)


def _generator(candidate: Any) -> Callable[[], None] | None:
    """Return how to put a generator of random numbers back, if it is one."""
    kind = f"{type(candidate).__module__}.{type(candidate).__name__}"
    if isinstance(candidate, torch.Generator):
        return _later(candidate.set_state, candidate.get_state())
    if isinstance(candidate, random.Random):
        return _later(candidate.setstate, candidate.getstate())
    if kind == "numpy.random.mtrand.RandomState":
        return _later(candidate.set_state, candidate.get_state())
    if kind == "numpy.random._generator.Generator":
        return _later(lambda state: setattr(candidate.bit_generator, "state", state), candidate.bit_generator.state)
    return None


def _later(put: Callable[[Any], object], state: object) -> Callable[[], None]:
    def undo() -> None:
        put(state)

    return undo


def remember_random_state() -> Callable[[], None]:
    """Return a function that puts the global generators of python, numpy and torch back, and this device's."""
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = sys.modules.get("numpy")
    of_numpy = numpy.random.get_state() if numpy else None
    devices = [
        (module, module.get_rng_state())
        for module in (getattr(torch, name, None) for name in ("cuda", "xpu", "mps"))
        if module is not None and module.is_available() and _is_in_use(module)
    ]

    def put_back() -> None:
        random.setstate(python)
        torch.set_rng_state(cpu)
        if numpy:
            numpy.random.set_state(of_numpy)
        for module, state in devices:
            module.set_rng_state(state)

    return put_back


def _is_in_use(module: Any) -> bool:
    return not hasattr(module, "is_initialized") or bool(module.is_initialized())
