"""An async mission: ask a service that takes a while, and sometimes fails for a moment.

python -m synexs_async --mission examples/service.py:ask --concurrency 1000 --missions 20000 \
    --output runs/service

The service is simulated: its answer takes 50 ms, and is a function of the question. Now and then it
is busy instead, by chance: then the mission begins anew, and its record is the same.
"""

from random import SystemRandom
from typing import Any

import anyio

from synexs_async import Context, Outcome, mission

ANSWER_SECONDS = 0.05
BUSY_SHARE = 0.01
chance = SystemRandom()  # the service's own, not the mission's


class Busy(Exception):
    """The service has no time at the moment."""


async def answer(question: int) -> int:
    """Return the service's answer.

    Raises:
        Busy: it is to be asked again.
    """
    if chance.random() < BUSY_SHARE:
        raise Busy
    await anyio.sleep(ANSWER_SECONDS)
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
