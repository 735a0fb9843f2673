"""Control file: plain YAML is read, all else refused with its line; a file counts once it has been left alone."""

import gc
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.engine.control import control_file
from lightning_tricks.engine.control.control_file import ControlFile, parse_order
from lightning_tricks.functional.live_orders import KEYS, write_order


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", {}),
        ("# nothing yet\n---\n", {}),
        ("lr: 1e-3", {"lr": 0.001}),
        ("{lr: x2, stop: off}", {"lr": "x2", "stop": False}),
        ('"lr": "x0.5"\n\n# because\nvalidate: Yes\n', {"lr": "x0.5", "validate": True}),
        ("id: 2026-11-21\n", {"id": "2026-11-21"}),
        ("\ufeffcheckpoint: true\r\nid: a b\r\n", {"checkpoint": True, "id": "a b"}),
    ],
)
def test_plain_yaml_is_read(text: str, order: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ControlFile(str(tmp_path / "control.yaml"))
    (tmp_path / "control.yaml").write_bytes(text.encode())
    with monkeypatch.context() as patch:
        patch.setattr(control_file, "QUIET", 0.0)
        file.look_again()
        settled = file.settled()
    file.close()
    assert settled is not None
    assert parse_order(settled) == order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: x0.5\nmomentum: 0.9", r"line 2 \('momentum: 0.9'\): `momentum` is not an order"),
        ("lr: -1", r"line 1 .*`lr` must be a number > 0.*got '-1'"),
        ("lr: x0", "must be a number > 0"),
        ("lr: .inf", "must be a number > 0"),
        ("lr: nan", "must be a number > 0"),
        ("lr:", "must be a number > 0.*got ''"),
        ("\nstop: now", r"line 2 .*`stop` must be true or false, got 'now'"),
        ("id:", "`id` must not be empty"),
        ("lr: x0.5\nlr: x0.5", r"line 2 .*`lr` is given twice"),
        ("lr: [0.1]", "one plain value"),
        ("stop: {a: b}", "one plain value"),
        ("- lr", "expected one `key: value` per line"),
        ("x0.5", "expected one `key: value` per line"),
        ("lr: !!python/object/apply:os.system ['touch bad']", "one plain value"),
        ("lr: !!python/name:os.system x0.5", "one plain value"),
        ("a: &a x\nlr: *b", r"line 2 .*invalid YAML: found undefined alias"),
        ("lr: x0.5\n  stop: true", r"line 2 .*invalid YAML"),
        ("lr: 1\n---\nlr: 2", "invalid YAML: but found another document"),
        ("lr: \x07", "invalid YAML: unacceptable character"),
        ("[" * 1000, "invalid YAML"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^line .*{message}" if not message.startswith("line") else message):
        parse_order(text)
    assert not Path("bad").exists()


@given(st.text("lrstopid:x0.5 \n\t#-[]{}&*!|>'\"%@`", max_size=40))
def test_no_text_brings_it_down(text: str) -> None:
    try:
        order = parse_order(text)
    except ValueError:
        return
    assert order.keys() <= set(KEYS)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(1e-9, 1e3) | st.floats(1e-9, 1e3).map("x{!r}".format),
            "stop": st.booleans(),
            "validate": st.booleans(),
            "id": st.integers(0, 10**9),
        },
    )
)
def test_what_is_written_is_read_and_is_yaml_to_others_too(order: dict) -> None:
    assert parse_order(write_order(order)) == order
    assert set(yaml.safe_load(write_order(order)) or {}) == set(order)


class Clock:
    """A clock that stands still until it is told the time, next to a thread that does not look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(control_file, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now))
        monkeypatch.setattr(control_file, "_POLL", 1000.0)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        os.utime(path, (self.now, self.now))

    def seen(self, file: ControlFile, after: float) -> str | None:
        """Look once after so many seconds."""
        self.now += after
        file.look_again()
        return file.settled()


def test_a_change_counts_half_a_second_after_it_and_a_half_written_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Clock(monkeypatch), tmp_path / "control.yaml"
    file = ControlFile(str(path))
    assert clock.seen(file, 0.1) is None
    clock.write(path, "lr: x0.")  # an editor that is not done yet
    assert clock.seen(file, 0.3) is None
    clock.write(path, "lr: x0.5")
    assert clock.seen(file, 0.3) is None
    assert clock.seen(file, 0.19) is None
    assert clock.seen(file, 0.02) == "lr: x0.5", "half a second after the change, not after it was seen"
    path.unlink()
    assert clock.seen(file, 0.1) is None
    file.close()


def test_a_file_that_is_saved_again_unchanged_counts_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Clock(monkeypatch), tmp_path / "control.yaml"
    file = ControlFile(str(path))
    for _ in range(2):
        clock.write(path, "lr: x3")
        assert clock.seen(file, 0.3) is None
    assert clock.seen(file, 0.3) == "lr: x3"
    file.close()


def test_the_date_of_a_file_counts_only_where_it_can_be_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Clock(monkeypatch), tmp_path / "control.yaml"
    clock.write(path, "lr: x2")
    file = ControlFile(str(path))
    assert file.left_over == "lr: x2"
    assert clock.seen(file, 9.0) is None, "it is older than the run"
    replacement = tmp_path / "other"
    replacement.write_text("stop: true")
    os.utime(replacement, (0, 0))
    replacement.replace(path)
    assert clock.seen(file, 0.1) is None, "it was moved here just now"
    assert clock.seen(file, 0.4) is None
    assert clock.seen(file, 0.1) == "stop: true"
    path.write_text("stop: false")
    os.utime(path, (clock.now + 1e6, clock.now + 1e6))
    assert clock.seen(file, 0.1) is None
    assert clock.seen(file, 0.5) == "stop: false", "a server's clock runs ahead"
    file.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: .*directory"), (b"\xff\xfe\xfa", "cannot be read"), (b"#" * 5000, "longer than 4096")],
)
def test_a_file_that_cannot_be_read_says_so(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_file, "QUIET", 0.0)
    path = tmp_path if content is None else tmp_path / "control.yaml"
    if content is not None:
        path.write_bytes(content)
    file = ControlFile(str(path))
    with pytest.raises(ValueError, match=message):
        file.settled()
    file.close()


def test_the_thread_ends_where_nobody_closed_the_file(tmp_path: Path) -> None:
    file = ControlFile(str(tmp_path / "control.yaml"))
    thread = file._thread
    assert thread.is_alive()
    assert thread.daemon
    assert thread in threading.enumerate()
    del file
    gc.collect()
    thread.join(timeout=2)
    assert not thread.is_alive()
