"""Sampled overrides: parse which overrides of a command line are sampled, and write sampled values as overrides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep
from hydra.errors import HydraException

from lightning_tricks.sweeps.search_space import Choice, Interval, Parameter, Scale, Trial
from lightning_tricks.sweeps.sweep_values import split_override

_SCALES: dict[frozenset[str], Scale] = {
    frozenset(): "linear",
    frozenset({"log"}): "log",
    frozenset({"log1m"}): "log1m",
}


@dataclass
class SampledOverrides:
    """The overrides of a sweep.

    Attributes:
        space: the sampled parameters, by key.
        texts: their original text, by key.
        fixed: the overrides shared by all jobs, as written.
    """

    space: dict[str, Parameter] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)


def read_overrides(lines: Iterable[str], loader: ConfigLoader | None = None) -> SampledOverrides:
    """Separate sampled from fixed overrides; the later of two overrides with the same key counts.

    Args:
        lines: overrides in Hydra's syntax: ``lr=tag(log, interval(1e-5, 1))``, ``width=int(interval(16, 256))``,
            ``net=cnn,mlp``, ``seed=range(0, 5)``, ``epochs=3``.
        loader: the application's loader, for ``glob``.

    Raises:
        ValueError: an interval whose lower bound is not less than its upper bound or to which the scale does not
            apply, or an unknown tag.
        hydra.errors.HydraException: an override that Hydra cannot read.

    Example:
        >>> found = read_overrides(["lr=tag(log, interval(1e-5, 1))", "net=cnn,mlp", "epochs=3"])
        >>> found.space["lr"], found.space["net"].options, found.fixed
        (Interval(low=1e-05, high=1.0, scale='log', whole=False), ('cnn', 'mlp'), ['epochs=3'])
    """
    latest: dict[str, Override] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(lines)):
        key = override.get_key_element()
        latest.pop(key, None)
        latest[key] = override
    found = SampledOverrides()
    for key, override in latest.items():
        if not override.is_sweep_override():
            found.fixed.append(str(override.input_line))
            continue
        try:
            found.space[key] = _parameter(override)
        except (ValueError, HydraException) as error:
            raise ValueError(f"`{override.input_line}`: {error}") from error
        found.texts[key] = override.get_value_string().replace(" ", "")
    return found


def _parameter(override: Override) -> Parameter:
    sweep = override.value()
    assert isinstance(sweep, Sweep)
    scale = _SCALES.get(frozenset(sweep.tags))
    if scale is None:
        raise ValueError(f"unknown tag {' with '.join(sorted(sweep.tags))}; the tags are `log` and `log1m`.")
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        return Interval(sweep.start, sweep.end, scale, whole=isinstance(sweep.start, int))
    if scale != "linear":
        raise ValueError(f"`{scale}` is a scale for an interval; a list has no scale.")
    if isinstance(sweep, (ChoiceSweep, RangeSweep)):
        sweep.shuffle = False  # only the seed determines the draws
    return Choice(tuple(override.sweep_string_iterator()))


def write_overrides(trial: Trial) -> list[str]:
    """Return overrides that Hydra parses to exactly the values of a trial.

    Example:
        >>> write_overrides({"lr": 1e-05, "width": 64, "tricks": "[one_cycle,z_clip]"})
        ['lr=1e-05', 'width=64', 'tricks=[one_cycle,z_clip]']
    """
    return [f"{key}={value!r}" if isinstance(value, (int, float)) else f"{key}={value}" for key, value in trial.items()]


def without_keys(overrides: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the overrides whose keys do not occur in the others.

    Example:
        >>> without_keys(["lr=1", "net=cnn"], ["lr=2"])
        ['net=cnn']
    """
    taken = {split_override(other)[0] for other in others}
    return [override for override in overrides if split_override(override)[0] not in taken]
