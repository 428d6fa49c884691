"""A plain mission: throw two dice until they show the same, within ten throws.

python -m synexs_async --mission examples/dice.py:dice --missions 1000 --output runs/dice
python -m synexs_async --mission examples/dice.py:dice --param sides=20 --output runs/dice20
"""

from dataclasses import dataclass

from synexs_async import Context, Outcome, Record, mission

THROW_SECONDS = 1.5


@dataclass(frozen=True)
class DiceParameters:
    """What may be chosen with `--param`."""

    sides: int = 6
    throws: int = 10


@dataclass(frozen=True)
class Throw:
    """One throw; a step of the mission."""

    left: int
    right: int


def encode(record: Record) -> list[list[float]]:
    """Return a row of features for each throw."""
    return [[step["left"], step["right"], 1.0] for step in record.steps]


@mission(
    version=1,
    parameters=DiceParameters,
    metrics=["throws"],
    features=["left", "right", "mask"],
    encode=encode,
)
def dice(ctx: Context[DiceParameters]) -> Outcome:
    """Throw until both dice show the same."""
    ctx.metric("throws", 0)
    for number in range(1, ctx.parameters.throws + 1):
        left, right = ctx.rng.integers(1, ctx.parameters.sides, size=2, endpoint=True)
        ctx.step(Throw(left, right))
        ctx.advance(THROW_SECONDS)
        ctx.metric("throws", number)
        if left == right:
            return Outcome("success")
    return Outcome("failure")
