"""An async mission: ask a service that takes a while, and refuses when too many ask.

python -m synexs_async --mission examples/service.py:ask --concurrency 1000 --missions 20000 \
    --output runs/service

The service is simulated: its answer takes 50 ms, and is a function of the question. It answers
1,000 at once, and to more it is busy: with a larger --concurrency some missions begin anew, a
little later, and their records are the same.
"""

from typing import Any

import anyio

from synexs_async import Context, Outcome, mission

ANSWER_SECONDS = 0.05
MOST_AT_ONCE = 1000
asked: set[int] = set()


class Busy(Exception):
    """The service has no time at the moment."""


async def answer(question: int) -> int:
    """Return the service's answer.

    Raises:
        Busy: it is to be asked again.
    """
    if len(asked) == MOST_AT_ONCE:
        raise Busy
    asked.add(question)
    try:
        await anyio.sleep(ANSWER_SECONDS)
    finally:
        asked.remove(question)
    return question * question % 10


@mission(version=1, metrics=["digit"], transient=(Busy,))
async def ask(ctx: Context[Any]) -> Outcome:
    """Ask for the last digit of a square."""
    ctx.message("client", "service", ctx.index)
    digit = await answer(ctx.index)
    ctx.advance(ANSWER_SECONDS)
    ctx.message("service", "client", digit)
    ctx.metric("digit", digit)
    return Outcome("success" if digit % 2 else "failure")
