"""Timing side by side: contestants take turns, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

TURN = 0.1  # seconds that one contestant works before the next has its turn
WARM_UP = 0.4  # seconds before the clock counts


@dataclass(frozen=True)
class Times:
    """Seconds for one call, in each round."""

    rounds: list[float]

    @property
    def typical(self) -> float:
        return median(self.rounds)

    def against(self, other: "Times") -> tuple[float, float, float]:
        """How many times as long as another contestant in the same round: quartile, median, quartile."""
        low, middle, high = quantiles([a / b for a, b in zip(self.rounds, other.rounds, strict=True)], n=4)
        return low, middle, high


def side_by_side(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Time every contestant in every round, in turns.

    The first calls of a turn are not counted: the processor's caches still hold what the contestant before needed.
    """
    calls = {name: _calls(contestant) for name, contestant in contestants.items()}
    rows: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            for _ in range(1 + calls[name] // 10):
                contestant()
            begin = time.perf_counter()
            for _ in range(calls[name]):
                contestant()
            rows[name].append((time.perf_counter() - begin) / calls[name])
    return {name: Times(row) for name, row in rows.items()}


def _calls(contestant: Callable[[], object]) -> int:
    """How many calls fill a turn, found while warming up."""
    calls, begin = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - begin < WARM_UP:
        contestant()
        calls += 1
    seconds = (time.perf_counter() - begin) / calls
    return max(1, round(TURN / seconds))
