"""Pinning: what a resolver gave once is what everybody reads, and nothing else changes."""

import copy
from itertools import count

import pytest
from omegaconf import OmegaConf

from lightning_tricks.hydra.pinning import pin_values_


@pytest.fixture(autouse=True)
def _resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    OmegaConf.register_new_resolver("tick", count().__next__, replace=True)
    OmegaConf.register_new_resolver("broken", lambda: 1 / 0, replace=True)
    monkeypatch.setenv("TOKEN", "secret")


def test_what_is_drawn_is_drawn_once_for_all_copies() -> None:
    cfg = OmegaConf.create({"lr": "${tick:}", "text": "run ${tick:}", "deep": [{"a": "${tick:}"}], "same": "${lr}"})
    other = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, True)
    OmegaConf.set_readonly(other, True)
    pin_values_(cfg, cfg, other)
    assert OmegaConf.to_container(cfg, resolve=True) == OmegaConf.to_container(other, resolve=True)
    assert [cfg.lr, cfg.lr, cfg.same] == [cfg.lr] * 3
    assert OmegaConf.is_struct(cfg)
    assert OmegaConf.is_readonly(other)


def test_plain_interpolations_secrets_and_what_cannot_be_resolved_stay_as_they_are() -> None:
    raw = {
        "a": 1,
        "b": "${a}",
        "c": "${oc.env:TOKEN}",
        "d": "${broken:}",
        "e": "\\${tick:}",
        "f": "${nobody:}",
        "g": "???",
    }
    cfg = OmegaConf.create(raw)
    pin_values_(cfg, cfg)
    assert OmegaConf.to_container(cfg, resolve=False) == raw
