"""The team mission a block at a time: the same records as `team`, many times faster.

Numbers are drawn and computed for all missions of a block at once with NumPy. Journal lines are
made by filling in templates. A template is a record of the specification's own types, encoded with
holes where the numbers go, so that keys and their order are written down only once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from synexs_async.missions import team
from synexs_async.missions.mission import (
    OUTCOME_NAMES,
    Block,
    BlockMission,
    mission_identifiers,
)
from synexs_async.missions.records import Environment, MissionRecord, Status, Topology
from synexs_async.missions.rng import Floats, MissionStreams
from synexs_async.missions.scenario import (
    SIGNALS,
    Scenario,
    checked_scenario,
    default_scenario,
    make_scenario,
)
from synexs_async.missions.team import Draw
from synexs_async.missions.team_features import (
    COLUMN,
    DEFENSE_SCALE,
    FEATURE_NAMES,
    FEATURE_ROWS,
    LATENCY_SCALE,
    MAX_MESSAGES,
    SIGNAL_SCALE,
    SIZE_SCALE,
    WHOLE_MISSION,
    features_of,
)
from synexs_async.missions.team_outcomes import expected_outcomes

Integers = npt.NDArray[np.int64]

STATUSES: Final = get_args(Status)
SUCCESS, FAILURE, ABORTED = (OUTCOME_NAMES.index(status) for status in STATUSES)
MESSAGES: Final = np.array([4, 2, 1])  # by label
DECISIONS: Final = np.array([2, 2, 1])
GO_DECISION: Final = 1  # the message that lists the signals
APPROACHES: Final = ("proceed", "adapt")

_HOLE_PATTERN: Final = re.compile('"\ue000(\\w+)\ue000"|\ue001(\\w+)\ue002'.encode())
_ENVIRONMENT_LEVELS: Final = ("risk_level", "success_probability", "detection_likelihood")
_MEASURES: Final = (
    "total_bytes",
    "mean_latency_ms",
    "mean_confidence",
    "overhead",
    "coordination",
    "efficiency",
)

_COLUMNS: Final = (
    *("id", "number", "hosts", "subnets", "signals", "signal_count", "defense_count"),
    *("signal_risk", "analyzer_decides", "analyzer_confidence"),
    *("executor_decides", "executor_confidence", "duration"),
    *(f"sent{k}" for k in range(MAX_MESSAGES)),
    *(f"size{k}" for k in range(MAX_MESSAGES)),
    *(f"latency{k}" for k in range(MAX_MESSAGES)),
    *_ENVIRONMENT_LEVELS,
    *_MEASURES,
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MissionRecord).decode


class TeamMission(BlockMission):
    """The built-in mission kind; `Mission` says what each member is for."""

    name = team.NAME
    version = team.VERSION
    source = team.NAME
    metric_names = ("duration", "efficiency", "coordination")
    batch_metrics = ("efficiency",)
    feature_names = FEATURE_NAMES
    group_by = "environment.difficulty"

    def __init__(self, scenario: Scenario | None = None) -> None:
        """Take a scenario; ScenarioError says what is wrong with one that a program made."""
        self.scenario = default_scenario() if scenario is None else checked_scenario(scenario)
        self.group_names = list(self.scenario.by_name())
        self._kernels: dict[int, _Kernel] = {}

    @classmethod
    def with_parameters(
        cls, parameters: Mapping[str, Any], source: str = "parameters"
    ) -> TeamMission:
        """Return the kind with another scenario; ScenarioError says what is wrong with it."""
        return cls(make_scenario(dict(parameters), source) if parameters else None)

    def parameters(self) -> dict[str, Any]:
        """Return the scenario."""
        parameters: dict[str, Any] = msgspec.to_builtins(self.scenario)
        return parameters

    def expected_outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """Return what follows from the scenario, by difficulty."""
        return expected_outcomes(self.scenario)

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions `first` to `first + count - 1`."""
        if seed not in self._kernels:
            self._kernels = {seed: _Kernel(self.scenario, seed)}
        return self._kernels[seed].simulate(first, count)

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again."""
        records = [_decode(line) for line in lines]
        labels = np.array([record.training_label for record in records], np.int64)
        return Block(
            first,
            lines,
            [record.mission_id for record in records],
            labels,
            labels,
            np.stack([features_of(record) for record in records]),
            {
                "duration": np.array([record.duration for record in records]),
                "efficiency": np.array([record.metrics.efficiency for record in records]),
                "coordination": np.array([record.metrics.coordination for record in records]),
            },
            [record.environment.difficulty for record in records],
        )

    def decode(self, line: bytes) -> MissionRecord:
        """Make the record of a journal line."""
        return _decode(line)


class _Drawn(NamedTuple):
    """What is drawn for a block of n missions; arrays are [n] where nothing else is said."""

    difficulty: Integers
    risk_level: Floats
    success_probability: Floats
    detection_likelihood: Floats
    phases: Floats  # [5, n] seconds
    latencies: Floats  # [4, n] ms
    signal_count: Integers
    hosts: Integers
    subnets: Integers
    signals: Integers  # [n, 7]: the shuffled signals, of which the first `signal_count` count
    success: npt.NDArray[np.bool_]


class _Kernel:
    """Everything that can be prepared for one scenario and seed, and the work itself."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._streams = MissionStreams(seed, team.DRAWS)
        self._identify = mission_identifiers(
            team.NAME, team.VERSION, msgspec.to_builtins(scenario), seed
        )
        self._names = list(scenario.by_name())
        difficulties = list(scenario.by_name().values())
        self._upper = np.cumsum([difficulty.share for difficulty in difficulties[:-1]])
        self._real_ends = np.array(
            [
                [
                    difficulty.risk_level,
                    difficulty.success_probability,
                    difficulty.detection_likelihood,
                    *team.PHASE_SECONDS,
                    *[team.LATENCY_MS] * MAX_MESSAGES,
                ]
                for difficulty in difficulties
            ]
        )
        self._whole_ends = np.array(
            [[difficulty.honeypot_signals, team.HOSTS, team.SUBNETS] for difficulty in difficulties]
        )
        self._most_signals = max(difficulty.honeypot_signals[1] for difficulty in difficulties)
        self._defense_count = np.array([len(d.defenses) for d in difficulties])
        self._signal_lists: dict[tuple[int, ...], bytes] = {}
        self._templates = [
            _Template(name, difficulty.defenses, approach, status)
            for name, difficulty in scenario.by_name().items()
            for approach in APPROACHES
            for status in STATUSES
        ]
        self._content_lengths = np.array([shape.content_lengths for shape in self._templates])
        of_label = self._templates[: len(STATUSES)]
        self._information = np.array(of_label[SUCCESS].information)
        self._mean_information = np.array([shape.mean_information for shape in of_label])

    def simulate(self, first: int, count: int) -> Block:
        drawn = self._draw(first, count)
        ids = [self._identify(index) for index in range(first, first + count)]
        signals = [
            self._signal_list(tuple(shuffled[:kept]))
            for shuffled, kept in zip(
                drawn.signals.tolist(), drawn.signal_count.tolist(), strict=True
            )
        ]
        defenses = self._defense_count[drawn.difficulty]
        aborts = drawn.signal_count / team.SIGNAL_SCALE > team.ABORT_ABOVE_RISK
        label = np.where(aborts, ABORTED, np.where(drawn.success, SUCCESS, FAILURE))
        adapts = ~(drawn.success_probability > team.PROCEED_ABOVE_PROBABILITY)
        shape = (drawn.difficulty * len(APPROACHES) + adapts) * len(STATUSES) + label
        templates = [self._templates[number] for number in shape.tolist()]

        sizes = self._sizes(drawn, shape, signals)
        floats = self._measure(drawn, label, defenses, sizes)
        integers = {
            "number": np.arange(first, first + count),
            "hosts": drawn.hosts,
            "subnets": drawn.subnets,
            "total_bytes": sizes.sum(axis=1),
            **{f"size{k}": sizes[:, k] for k in range(sizes.shape[1])},
        }
        columns = {
            "id": [mission_id.encode() for mission_id in ids],
            "signals": signals,
            **_written(integers),
            **_written({name: floats[name] for name in _COLUMNS if name in floats}),
        }
        rows = zip(*(columns[name] for name in _COLUMNS), strict=True)
        lines = [
            template.text % template.pick(row)
            for template, row in zip(templates, rows, strict=True)
        ]
        return Block(
            first,
            lines,
            ids,
            label,
            label,
            self._features(drawn, label, adapts, defenses, sizes, floats),
            {name: floats[name] for name in ("duration", "efficiency", "coordination")},
            [self._names[number] for number in drawn.difficulty.tolist()],
        )

    def _draw(self, first: int, count: int) -> _Drawn:
        u = self._streams.uniforms(first, count)
        difficulty = np.searchsorted(self._upper, u[:, Draw.DIFFICULTY], side="right")
        reals = _between(self._real_ends[difficulty], u[:, Draw.RISK : Draw.SIGNAL_COUNT]).T
        wholes = _whole(self._whole_ends[difficulty], u[:, Draw.SIGNAL_COUNT : Draw.SIGNAL]).T
        risk_level, success_probability, detection_likelihood = reals[:3]
        signal_count, hosts, subnets = wholes
        return _Drawn(
            difficulty,
            risk_level,
            success_probability,
            detection_likelihood,
            phases=reals[3 : 3 + len(team.ROLES)],
            latencies=reals[3 + len(team.ROLES) :],
            signal_count=signal_count,
            hosts=hosts,
            subnets=subnets,
            signals=self._shuffle(u[:, Draw.SIGNAL : Draw.SUCCESS]),
            success=u[:, Draw.SUCCESS] < success_probability,
        )

    def _shuffle(self, u: Floats) -> Integers:
        """Shuffle the signals of each mission as far as any of them needs it."""
        steps = np.arange(self._most_signals)
        chosen = steps + ((len(SIGNALS) - steps) * u[:, : self._most_signals]).astype(np.int64)
        signals = np.tile(np.arange(len(SIGNALS)), (len(u), 1))
        every = np.arange(len(u))
        for place, swapped in enumerate(chosen.T):
            signals[every, swapped], signals[:, place] = signals[:, place], signals[every, swapped]
        return signals

    def _signal_list(self, signals: tuple[int, ...]) -> bytes:
        if signals not in self._signal_lists:
            self._signal_lists[signals] = _encode([SIGNALS[signal] for signal in signals])
        return self._signal_lists[signals]

    def _sizes(self, drawn: _Drawn, shape: Integers, signals: list[bytes]) -> Integers:
        """Return the sizes of the messages, [n, 4], 0 where none was sent."""
        lengths = self._content_lengths[shape]
        sent = lengths > 0
        lengths = lengths + (1 + (drawn.hosts >= 10))[:, None]  # its digits
        lengths[:, GO_DECISION] += np.array([len(text) for text in signals])
        sizes: Integers = np.where(sent, lengths // team.BYTES_PER_UNIT, 0)
        return sizes

    def _measure(
        self, drawn: _Drawn, label: Integers, defenses: Integers, sizes: Integers
    ) -> dict[str, Floats]:
        """Run the simulated clock and compute the metrics, in the specification's order."""
        phases, latencies = drawn.phases, drawn.latencies
        sent: list[Floats] = [phases[0]]
        arrived: list[Floats] = []
        for phase, latency in zip(phases[1:], latencies, strict=True):
            arrived.append(sent[-1] + latency / 1000)
            sent.append(arrived[-1] + phase)
        duration = np.choose(label, [sent[4], sent[2], sent[1]])

        facts = 3 + defenses + drawn.signal_count
        analyzer = np.minimum(facts / 10, 1.0)
        facts = 4 + defenses + drawn.signal_count + 2
        executor = np.minimum(facts / 10, 1.0)
        mean_confidence = np.where(label == ABORTED, analyzer, (analyzer + executor) / 2)

        two = latencies[0] + latencies[1]
        four = two + latencies[2] + latencies[3]
        mean_latency = np.choose(label, [four / 4, two / 2, latencies[0]])

        overhead = sizes.sum(axis=1) / duration
        information = self._mean_information[label]
        coordination = np.minimum(MESSAGES[label] / 10, 1.0) * information
        efficiency = (
            0.4 * mean_confidence
            + 0.3 * coordination
            + 0.3 * (1.0 - np.minimum(overhead / 1000, 1.0))
        )
        return {
            "risk_level": drawn.risk_level,
            "success_probability": drawn.success_probability,
            "detection_likelihood": drawn.detection_likelihood,
            "signal_risk": drawn.signal_count / team.SIGNAL_SCALE,
            "signal_count": drawn.signal_count.astype(np.float64),
            "defense_count": defenses.astype(np.float64),
            "analyzer_confidence": analyzer,
            "executor_confidence": executor,
            **{f"latency{k}": latency for k, latency in enumerate(latencies)},
            **{f"sent{k}": moment for k, moment in enumerate(sent[:-1])},
            "analyzer_decides": sent[1],
            "executor_decides": arrived[1],
            "duration": duration,
            "mean_latency_ms": mean_latency,
            "mean_confidence": mean_confidence,
            "overhead": overhead,
            "coordination": coordination,
            "efficiency": efficiency,
            "mean_information_value": information,
        }

    def _features(
        self,
        drawn: _Drawn,
        label: Integers,
        adapts: npt.NDArray[np.bool_],
        defenses: Integers,
        sizes: Integers,
        floats: dict[str, Floats],
    ) -> npt.NDArray[np.float32]:
        rows = np.zeros((len(label), FEATURE_ROWS, len(FEATURE_NAMES)), np.float32)
        sent = np.arange(sizes.shape[1]) < MESSAGES[label][:, None]
        messages = rows[:, : sizes.shape[1]]
        messages[:, :, 0] = sizes / SIZE_SCALE
        messages[:, :, 1] = np.where(sent, drawn.latencies.T / LATENCY_SCALE, 0)
        messages[:, :, 2] = np.where(sent, self._information, 0)
        messages[:, :, 3] = sent

        goes = label != ABORTED
        rows[:, 0, COLUMN["decision_proceed"]] = goes
        rows[:, 0, COLUMN["decision_abort"]] = ~goes
        rows[:, 0, COLUMN["decision_confidence"]] = floats["analyzer_confidence"]
        rows[:, 0, COLUMN["decision_risk"]] = floats["signal_risk"]
        rows[:, 1, COLUMN["decision_proceed"]] = goes & ~adapts
        rows[:, 1, COLUMN["decision_adapt"]] = goes & adapts
        rows[:, 1, COLUMN["decision_confidence"]] = np.where(goes, floats["executor_confidence"], 0)
        rows[:, 1, COLUMN["decision_risk"]] = np.where(goes, drawn.risk_level, 0)

        whole = {
            **floats,
            "honeypot_signals": drawn.signal_count / SIGNAL_SCALE,
            "defenses": defenses / DEFENSE_SCALE,
            "message_count": MESSAGES[label],
            "decision_count": DECISIONS[label],
        }
        rows[:, :, COLUMN["risk_level"] :] = np.stack(
            [whole[name] for name in WHOLE_MISSION], axis=1
        )[:, None, :]
        return rows


class _Template:
    """The journal line of one shape of mission, with holes for what differs."""

    def __init__(
        self, difficulty: str, defenses: Sequence[str], approach: str, status: Status
    ) -> None:
        specimen = _specimen(difficulty, defenses, approach, status)
        self.information = [message.information_value for message in specimen.communications]
        self.mean_information = specimen.metrics.mean_information_value
        self.content_lengths = [0] * MAX_MESSAGES
        for k, message in enumerate(specimen.communications):
            one_digit_of_hosts, no_signals = 1, 2 * ("signals" in message.content)
            length = len(_encode(message.content)) - one_digit_of_hosts - no_signals
            self.content_lengths[k] = length

        names: list[str] = []

        def leave_hole(match: re.Match[bytes]) -> bytes:
            names.append((match[1] or match[2]).decode())
            return b"%b"

        line = _encode(_with_holes(specimen)) + b"\n"
        self.text = _HOLE_PATTERN.sub(leave_hole, line.replace(b"%", b"%%"))
        self.pick = itemgetter(*(_COLUMNS.index(name) for name in names))


def _specimen(
    difficulty: str, defenses: Sequence[str], approach: str, status: Status
) -> MissionRecord:
    """Let the specification make a record of this shape."""
    environment = Environment(
        mission_number=0,
        type=team.environment_type(difficulty),
        difficulty=difficulty,
        topology=Topology(hosts=1, subnets=1),
        risk_level=0.0,
        success_probability=1.0 if approach == "proceed" else 0.0,
        detection_likelihood=0.0,
        honeypot_signals=SIGNALS if status == "aborted" else (),
        defenses=tuple(defenses),
    )
    u = [0.0] * team.DRAWS
    return team.record_mission("", environment, u, succeeds=status == "success")


def _with_holes(specimen: MissionRecord) -> dict[str, Any]:
    """Return the record as a document with a hole wherever a number or an id goes."""
    document: dict[str, Any] = msgspec.to_builtins(specimen)

    def fill(part: dict[str, Any], **columns: str) -> None:
        part.update({key: _hole(name) for key, name in columns.items() if key in part})

    fill(document, mission_number="number", duration="duration")
    document["mission_id"] = _hole("id", quoted=True)
    environment = document["environment"]
    fill(environment, mission_number="number", honeypot_signals="signals")
    fill(environment, **{name: name for name in _ENVIRONMENT_LEVELS})
    fill(environment["topology"], hosts="hosts", subnets="subnets")
    for k, message in enumerate(document["communications"]):
        message["message_id"] = _hole("id", quoted=True) + message["message_id"]
        fill(message, timestamp=f"sent{k}", size_bytes=f"size{k}", latency_ms=f"latency{k}")
        fill(message["content"], hosts="hosts", subnets="subnets", risk="signal_risk")
        fill(message["content"], confidence="analyzer_confidence", signals="signals")
    for decision in document["decisions"]:
        decision["decision_id"] = _hole("id", quoted=True) + decision["decision_id"]
        agent = decision["agent"]
        fill(decision, timestamp=f"{agent}_decides", confidence=f"{agent}_confidence")
        if agent == "analyzer":
            fill(decision["factors"], risk="signal_risk", signals="signal_count")
            fill(decision["factors"], defenses="defense_count")
        else:
            fill(decision["factors"], risk="risk_level", success_probability="success_probability")
    fill(document["metrics"], **{name: name for name in _MEASURES})
    return document


def _hole(name: str, *, quoted: bool = False) -> str:
    """Return a mark for a column: of a whole value, or of a part of a `quoted` text.

    The marks are private-use characters, which a scenario's own texts can't contain.
    """
    return f"\ue001{name}\ue002" if quoted else f"\ue000{name}\ue000"


def _between(ends: Floats, u: Floats) -> Floats:
    """`team.uniform`, with `ends` [..., 2]."""
    low, high = ends[..., 0], ends[..., 1]
    between: Floats = low + (high - low) * u
    return between


def _whole(ends: Integers, u: Floats) -> Integers:
    """`team.integer`, with `ends` [..., 2]."""
    low, high = ends[..., 0], ends[..., 1]
    whole: Integers = low + ((high - low + 1) * u).astype(np.int64)
    return whole


def _written(columns: Mapping[str, Integers] | Mapping[str, Floats]) -> dict[str, list[bytes]]:
    """Write the numbers of all columns as JSON does, in one call."""
    count = len(next(iter(columns.values())))
    texts = _encode(np.concatenate(list(columns.values())).tolist())[1:-1].split(b",")
    return {
        name: texts[position * count : (position + 1) * count]
        for position, name in enumerate(columns)
    }
