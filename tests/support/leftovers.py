"""What a callback could leave behind on a Trainer and a module, to be compared with a fit without it."""

from typing import Any


def shape_of(runner: Any, net: Any) -> dict[str, Any]:
    """All that a callback could leave behind on a Trainer, a module, its layers and its parameters."""
    layers = [
        (name, sorted(vars(layer)), *(len(value) for key, value in sorted(vars(layer).items()) if "hooks" in key))
        for name, layer in net.named_modules()
    ]
    methods = {
        (type(owner).__name__, key)
        for owner in (runner, runner.strategy, runner.fit_loop, net)
        for key, value in vars(owner).items()
        if callable(value) and getattr(value, "__self__", owner) is not owner
    }
    grads = [(name, p.requires_grad, len(p._backward_hooks or ())) for name, p in net.named_parameters()]
    return {"layers": layers, "methods": methods, "grads": grads, "trainer": sorted(vars(runner))}
