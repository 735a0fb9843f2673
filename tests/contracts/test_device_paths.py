"""docs/device-paths.md lists every call of the source that reads from a device, or copies to or from it."""

import re
from collections import Counter
from pathlib import Path

import pytest
from device_calls import SRC, DeviceCall, device_calls

PAGE = Path(__file__).parents[2] / "docs" / "device-paths.md"


def listed_calls() -> list[DeviceCall]:
    """The calls that the page lists, each under a heading that says why it is right."""
    listed = PAGE.read_text().partition("## The calls")[2]
    rows = re.findall(r"^- `([\w/]+\.py)`: (.+)$", listed, re.MULTILINE)
    return [DeviceCall(file, text) for file, texts in rows for text in re.findall(r"`([^`]+)`", texts)]


def test_the_page_lists_each_call_once_and_no_other() -> None:
    found, listed = set(device_calls()), Counter(listed_calls())
    missing, gone = sorted(found - set(listed)), sorted(set(listed) - found)
    assert not missing, "read these for CUDA, MPS and XPU, and list them in docs/device-paths.md under their reason"
    assert not gone, "these are not in the source any more"
    assert not [call for call, count in listed.items() if count > 1]


def test_the_search_finds_each_kind_of_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "engine" / "deep"
    room.mkdir(parents=True)
    (room / "a.py").write_text(
        "import torch\n"
        "x.item(); x.tolist(); float(x); bool(x); x.cpu(); x.to(d); f(non_blocking=True); f(pin_memory=p)\n"
        "torch.cuda.Event(); torch.cuda.current_stream(d); e.synchronize(); x.data_ptr(); x.untyped_storage()\n"
        "mmap.mmap(-1, 1); x.numpy(); x.copy_(y); int(len(x)); x.nonzero()\n"
        "float('inf'); x.add_(y); str(x)\n"
    )
    monkeypatch.setattr("device_calls.SRC", tmp_path)
    assert SRC.is_dir()
    found = [call.text for call in device_calls()]
    assert len(found) == 18
    assert not {"float('inf')", "x.add_(y)", "str(x)"} & set(found)


def test_each_heading_above_calls_gives_a_reason() -> None:
    for section in re.split(r"^### ", PAGE.read_text().partition("## The calls")[2], flags=re.MULTILINE)[1:]:
        reason = section.partition("\n- ")[0].partition("\n")[2]
        assert len(reason.split()) > 15, section.splitlines()[0]
