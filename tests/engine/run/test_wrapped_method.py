"""Calls along with a method of one object come off again in any order and leave nothing."""

import itertools

import pytest
from torch import nn

from lightning_tricks.engine.run.wrapped_method import call_with


class Speaker(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def speak(self, word: str) -> str:
        self.said.append(word)
        return word


def test_calls_come_before_and_after_with_the_method_s_result_unchanged() -> None:
    speaker = Speaker()
    call_with(speaker, "speak", lambda: speaker.said.append("after"))
    call_with(speaker, "speak", lambda: speaker.said.append("before"), before=True)
    assert speaker.speak("word") == "word"
    assert speaker.said == ["before", "word", "after"]


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_taken_off_in_any_order_nothing_is_left(order: tuple[int, ...]) -> None:
    speaker = Speaker()
    before = set(vars(speaker))
    detach = [call_with(speaker, "speak", lambda i=i: speaker.said.append(str(i)), before=i == 1) for i in range(3)]
    for i in order:
        detach[i]()
        detach[i]()  # a second time does nothing
    assert set(vars(speaker)) == before
    speaker.speak("alone")
    assert speaker.said == ["alone"]


def test_an_attribute_of_the_object_s_own_is_put_back() -> None:
    speaker = Speaker()
    own = lambda word: speaker.said.append("own " + word)  # noqa: E731
    speaker.speak = own  # type: ignore[method-assign]
    call_with(speaker, "speak", lambda: None)()
    assert vars(speaker)["speak"] is own


def test_a_call_that_takes_itself_off_is_called_once() -> None:
    speaker = Speaker()

    def once() -> None:
        detach()
        speaker.said.append("once")

    detach = call_with(speaker, "speak", once)
    speaker.speak("a")
    speaker.speak("b")
    assert speaker.said == ["a", "once", "b"]
    assert "speak" not in vars(speaker)


def test_what_somebody_else_put_on_top_stays() -> None:
    speaker = Speaker()
    detach = call_with(speaker, "speak", lambda: speaker.said.append("ours"))
    inner = speaker.speak
    speaker.speak = lambda word: inner(word + "!")  # type: ignore[method-assign]
    detach()
    speaker.speak("hi")
    assert speaker.said == ["hi!"]
