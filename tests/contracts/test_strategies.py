"""docs/strategies.md says of every public callback and every strategy what a run shows."""

from strategy_matrix import PAGE, READ, REMARKS, RUN, markdown, refusal
from tricks import public_callbacks


def test_the_page_is_what_the_callbacks_do() -> None:
    """Whether a callback works under the strategies of a CPU is run in test_ranks.py."""
    refused = {(name, strategy): refusal(name, strategy) for name in public_callbacks() for strategy in READ}
    assert all(
        reason is None or "Use" in reason or "Build" in reason or "Find" in reason for reason in refused.values()
    )
    page = markdown({case: reason for case, reason in refused.items() if reason})
    assert PAGE.read_text() == page, "run `python tests/support/scripts/strategy_matrix.py --page`"


def test_a_remark_is_about_a_callback_and_a_strategy_that_exist() -> None:
    assert {name for name, _ in REMARKS} <= set(public_callbacks())
    assert {strategy for _, strategy in REMARKS} <= {*RUN, *READ}
